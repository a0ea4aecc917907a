extension Scheduler {
    /// The next pass; empty if nothing can be computed now.
    ///
    /// - Parameters:
    ///   - drafts: Guessed tokens of decoding sequences, to be verified in the same pass.
    ///   - paused: Requests whose reader is behind; their answers wait.
    mutating func plan(drafts: [Int: [Int32]] = [:], paused: Set<Int> = []) -> StepPlan {
        var plan = StepPlan()
        var draftBudget = configuration.batchTokens
        for id in running where sequences[id]?.isDecoding == true {
            guard let sequence = sequences[id], !paused.contains(sequence.request) else { continue }
            let draft = (drafts[id] ?? []).prefix(max(0, draftBudget))
            decode(id, draft: Array(draft), into: &plan)
            draftBudget -= draft.count + 1
        }
        var budget = configuration.batchTokens - plan.tokenCount
        if !plan.isEmpty { budget = min(budget, configuration.prefillBesideDecode) }
        // A sequence that gave way to one before it waits now, although the loop still names it.
        for id in running where budget > 0 && sequences[id]?.isDecoding == false {
            guard running.contains(id) else { continue }
            budget -= prefill(id, budget: budget, into: &plan)
        }
        admit(budget: budget, into: &plan)
        return plan
    }

    // MARK: - Running sequences

    private mutating func decode(_ id: Int, draft: [Int32], into plan: inout StepPlan) {
        guard let sequence = sequences[id] else { return }
        var draft = draft
        if reserve(id, count: 1 + draft.count, into: &plan) == false {
            draft = []
            while !reserve(id, count: 1, into: &plan) {
                guard let victim = victim(after: id) else {
                    // Those before it hold the rest of the pool, and will give it back.
                    drop(id, from: &plan)
                    return
                }
                drop(victim, from: &plan)
            }
        }
        add(id, tokens: sequence.tokens[sequence.computed...] + draft, draft.count, to: &plan)
    }

    private mutating func prefill(_ id: Int, budget: Int, into plan: inout StepPlan) -> Int {
        guard let sequence = sequences[id] else { return 0 }
        var count = min(budget, sequence.pending)
        // The first in order must get on, whatever that takes from the others.
        let spare = running.first == id ? 0 : spareBlocks
        while count > 0 {
            let room = sequence.blocks.count * blockTokens - sequence.computed
            let possible = room + max(0, allocator.availableCount - spare) * blockTokens
            if isWritable(sequence), possible > 0 { count = min(count, possible) }
            if possible > 0, reserve(id, count: count, into: &plan) { break }
            guard running.first == id, let victim = victim(after: id) else { return 0 }
            drop(victim, from: &plan)
        }
        let end = sequence.computed + count
        add(id, tokens: sequence.tokens[sequence.computed..<end], 0, to: &plan)
        return count
    }

    /// Blocks that prompts leave to running answers, so that these rarely have to take them back.
    private var spareBlocks: Int { (running.count + 15) / 16 }

    /// Whether the block of the next token is the sequence's own.
    private func isWritable(_ sequence: ScheduledSequence) -> Bool {
        let index = sequence.computed / blockTokens
        return index >= sequence.blocks.count
            || allocator.referenceCount(of: sequence.blocks[index]) == 1
    }

    private mutating func add(
        _ id: Int, tokens: some Collection<Int32>, _ draftCount: Int, to plan: inout StepPlan
    ) {
        guard let sequence = sequences[id] else { return }
        plan.items.append(
            StepPlan.Item(
                sequence: id, request: sequence.request, firstPosition: sequence.computed,
                tokens: Array(tokens), draftCount: draftCount, blocks: sequence.blocks,
                promptCount: sequence.promptCount, cachedTokens: sequence.cachedTokens,
                reachesEnd: sequence.computed + tokens.count - draftCount == sequence.tokens.count))
    }

    /// Blocks for `count` more tokens, the sequence's own where it will write; all or nothing.
    private mutating func reserve(_ id: Int, count: Int, into plan: inout StepPlan) -> Bool {
        guard let sequence = sequences[id] else { return false }
        let total = (sequence.computed + count + blockTokens - 1) / blockTokens
        let more = max(0, total - sequence.blocks.count)
        let copies = isWritable(sequence) ? 0 : 1
        guard var blocks = allocator.allocate(more + copies) else { return false }
        if copies == 1, let own = blocks.popLast() {
            let index = sequence.computed / blockTokens
            let shared = sequence.blocks[index]
            plan.copies.append(StepPlan.Copy(source: shared, destination: own))
            allocator.release(shared)
            replaceBlock(index, of: id, by: own)
        }
        give(blocks, to: id)
        return true
    }

    /// The running sequence that came last, if that is after `id`.
    private func victim(after id: Int) -> Int? {
        guard let last = running.max(by: goesBefore), goesBefore(id, last) else { return nil }
        return last
    }

    private mutating func drop(_ id: Int, from plan: inout StepPlan) {
        plan.items.removeAll { $0.sequence == id }
        plan.preempted.append(id)
        preempt(id)
    }

    // MARK: - Admission

    private mutating func admit(budget: Int, into plan: inout StepPlan) {
        var budget = budget
        while budget > 0, let id = nextWaiting(), let sequence = sequences[id] {
            let promised = running.reduce(0) { $0 + (sequences[$1].map(seats) ?? 0) }
            guard promised + seats(sequence) <= configuration.maxSequences else {
                guard yield(to: sequence, in: &plan) else { return }
                continue
            }
            let shared = sharedPrefix(of: sequence)
            // Room for a first piece is enough: a prompt grows into what others leave, and gives
            // it back, prefix kept, when they need it.
            let whole = (sequence.tokens.count + blockTokens - 1) / blockTokens - shared.count
            let piece = (min(budget, sequence.pending) + blockTokens - 1) / blockTokens
            let needed = min(whole, piece) + (running.isEmpty ? 0 : spareBlocks)
            guard allocator.availableCount >= needed else {
                for registration in shared.reversed() { allocator.release(registration.block) }
                guard yield(to: sequence, in: &plan) else { return }
                continue
            }
            start(id, sharing: shared)
            let count = prefill(id, budget: budget, into: &plan)
            guard count > 0 else { return }
            budget -= count
        }
    }

    /// Places that a sequence takes: its samples branch off later.
    private func seats(_ sequence: ScheduledSequence) -> Int {
        sequence.computed >= sequence.promptCount ? 1 : sequence.sampleCount
    }

    /// Takes the place of a running sequence of strictly lower priority; says whether there was one.
    private mutating func yield(
        to sequence: ScheduledSequence, in plan: inout StepPlan
    ) -> Bool {
        guard let last = running.max(by: goesBefore), let other = sequences[last],
            other.priority > sequence.priority
        else { return false }
        drop(last, from: &plan)
        return true
    }

    /// The waiting sequence whose turn it is: by priority, then those that ran already, then the
    /// client served least, then arrival.
    ///
    /// One whose next block is just being computed for another is left out: it will find it cached.
    private func nextWaiting() -> Int? {
        guard !waiting.isEmpty else { return nil }
        let beingComputed = Set(
            running.compactMap { sequences[$0]?.nextKey(blockTokens: blockTokens) })
        let candidates = waiting.sorted { a, b in
            guard let first = sequences[a], let second = sequences[b] else { return a < b }
            return (
                first.priority, first.wasPreempted ? 0 : 1, fairShare.served(first.client),
                first.arrival, a
            ) < (
                second.priority, second.wasPreempted ? 0 : 1, fairShare.served(second.client),
                second.arrival, b
            )
        }
        return candidates.first { id in
            guard !beingComputed.isEmpty, let sequence = sequences[id],
                let key = firstMissingKey(of: sequence)
            else { return true }
            return !beingComputed.contains(key)
        }
    }

    /// The key of the first block that is not cached and that the sequence could share.
    private func firstMissingKey(of sequence: ScheduledSequence) -> PrefixKey? {
        guard !sequence.wantsAllRows else { return nil }
        var probe = sequence
        probe.registered = 0
        while (probe.registered + 1) * blockTokens < probe.tokens.count,
            let key = probe.nextKey(blockTokens: blockTokens)
        {
            guard let content = allocator.content(of: key) else { return key }
            probe.content = content
            probe.registered += 1
        }
        return nil
    }

    /// Cached blocks of a sequence's beginning, each with one user more; the last token is always
    /// computed, because its logits are wanted.
    private mutating func sharedPrefix(
        of sequence: ScheduledSequence
    ) -> [BlockAllocator.Registration] {
        guard !sequence.wantsAllRows else { return [] }
        var probe = sequence
        probe.registered = 0
        var found: [BlockAllocator.Registration] = []
        while (found.count + 1) * blockTokens < probe.tokens.count,
            let key = probe.nextKey(blockTokens: blockTokens),
            let registration = allocator.share(key)
        {
            found.append(registration)
            probe.content = registration.content
            probe.registered += 1
        }
        return found
    }
}
