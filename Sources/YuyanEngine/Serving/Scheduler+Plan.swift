extension Scheduler {
    /// The next pass; empty if nothing can be computed now.
    ///
    /// - Parameters:
    ///   - drafts: Guessed tokens of decoding sequences, to be verified in the same pass.
    ///   - paused: Requests whose reader is behind; their answers wait, and give their blocks to
    ///     others.
    mutating func plan(drafts: [Int: [Int32]] = [:], paused: Set<Int> = []) -> StepPlan {
        var plan = StepPlan()
        pause(paused)
        var draftBudget = configuration.batchTokens
        for id in running where sequences[id]?.isDecoding == true {
            guard !isPaused(id) else { continue }
            let draft = (drafts[id] ?? []).prefix(max(0, draftBudget))
            decode(id, draft: Array(draft), into: &plan)
            draftBudget -= draft.count + 1
        }
        var budget = configuration.batchTokens - plan.tokenCount
        if !plan.isEmpty { budget = min(budget, configuration.prefillBesideDecode) }
        // One that gave all its blocks to one before it waits now, although the loop names it.
        for id in running where budget > 0 && sequences[id]?.isDecoding == false {
            guard running.contains(id), !isPaused(id) else { continue }
            budget -= prefill(id, budget: budget, into: &plan)
        }
        admit(budget: budget, into: &plan)
        return plan
    }

    // MARK: - Running sequences

    private mutating func decode(_ id: Int, draft: [Int32], into plan: inout StepPlan) {
        guard let sequence = sequences[id] else { return }
        var draft = draft
        if !reserve(id, count: 1 + draft.count, into: &plan) {
            draft = []
            makeRoom(for: 1, of: id, in: &plan)
            guard reserve(id, count: 1, into: &plan) else {
                // Those before it hold the rest of the pool, and will give it back.
                plan.waitsForBlocks = true
                return
            }
        }
        add(id, tokens: sequence.tokens[sequence.computed...] + draft, draft.count, to: &plan)
    }

    private mutating func prefill(_ id: Int, budget: Int, into plan: inout StepPlan) -> Int {
        guard let pending = sequences[id]?.pending else { return 0 }
        let wanted = min(budget, pending)
        // The first in order must get on, whatever that takes from the others.
        let isFirst = running.first == id
        makeRoom(for: wanted, of: id, onlyFromPaused: !isFirst, in: &plan)
        guard let sequence = sequences[id] else { return 0 }
        let free = allocator.availableCount - (isFirst ? 0 : spareBlocks)
        let count = min(wanted, room(free, for: sequence))
        if count < wanted { plan.waitsForBlocks = true }
        guard count > 0, reserve(id, count: count, into: &plan) else { return 0 }
        let end = sequence.computed + count
        add(id, tokens: sequence.tokens[sequence.computed..<end], 0, to: &plan)
        return count
    }

    /// Tokens that a sequence can compute with so many more blocks.
    private func room(_ free: Int, for sequence: ScheduledSequence) -> Int {
        let held = sequence.blocks.count * blockTokens - sequence.computed
        if isWritable(sequence) { return held + max(0, free) * blockTokens }
        return free > 0 ? held + (free - 1) * blockTokens : 0
    }

    /// Takes blocks, from the end, of those who came after a sequence until it has room for
    /// `count` tokens or nobody is left to take from.
    ///
    /// What a victim keeps stays computed: it goes on from there when others have ended.
    private mutating func makeRoom(
        for count: Int, of id: Int, onlyFromPaused: Bool = false, in plan: inout StepPlan
    ) {
        while let sequence = sequences[id] {
            let spare = onlyFromPaused ? spareBlocks : 0
            let missing = blocksNeeded(sequence, count) + spare - allocator.availableCount
            guard missing > 0, let last = running.max(by: goesBefore), goesBefore(id, last),
                isPaused(last) || !onlyFromPaused
            else { return }
            withdraw(last, from: &plan)
            shrink(last, by: missing)
        }
    }

    /// Blocks to allocate before a sequence can write `count` more tokens.
    private func blocksNeeded(_ sequence: ScheduledSequence, _ count: Int) -> Int {
        let total = (sequence.computed + count + blockTokens - 1) / blockTokens
        return max(0, total - sequence.blocks.count) + (isWritable(sequence) ? 0 : 1)
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
        guard let sequence = sequences[id],
            var blocks = allocator.allocate(blocksNeeded(sequence, count))
        else { return false }
        if !isWritable(sequence), let own = blocks.popLast() {
            let index = sequence.computed / blockTokens
            let shared = sequence.blocks[index]
            plan.copies.append(StepPlan.Copy(source: shared, destination: own))
            allocator.release(shared)
            replaceBlock(index, of: id, by: own)
        }
        give(blocks, to: id)
        return true
    }

    /// Takes a sequence that loses blocks out of the plan.
    private func withdraw(_ id: Int, from plan: inout StepPlan) {
        plan.items.removeAll { $0.sequence == id }
        plan.preempted.append(id)
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
                let missing = needed - allocator.availableCount
                for registration in shared.reversed() { allocator.release(registration.block) }
                guard yield(to: sequence, blocks: missing, in: &plan) else {
                    plan.waitsForBlocks = true
                    return
                }
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
        sequence.tokens.count > sequence.promptCount ? 1 : sequence.sampleCount
    }

    /// Takes the place, or some blocks, of a running sequence of strictly lower priority or of one
    /// whose reader is behind; says whether there was one.
    private mutating func yield(
        to sequence: ScheduledSequence, blocks: Int? = nil, in plan: inout StepPlan
    ) -> Bool {
        guard let last = running.max(by: goesBefore), let other = sequences[last],
            isPaused(last) || other.priority > sequence.priority
        else { return false }
        withdraw(last, from: &plan)
        if let blocks, isPaused(last) { shrink(last, by: blocks) } else { preempt(last) }
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
        let candidates = waiting.filter { !isPaused($0) }.sorted { a, b in
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
