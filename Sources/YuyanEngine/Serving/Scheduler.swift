import YuyanTensor

/// Decides, step by step, which tokens of which sequences are computed in which blocks.
///
/// A pure value without tensors or tasks: it is told of arrivals, results and departures, and
/// answers with plans. Every running answer gets its next token in every step; prompts are computed
/// in pieces beside them; when blocks run out, the sequence that came last gives its own back, from
/// its end and no more than needed, and computes what they held again later, which changes no bit of
/// it (docs/numerics.md, "Attention"). So a full pool stays full of tokens that are of use.
struct Scheduler: Sendable {
    let configuration: EngineConfiguration
    let blockTokens = KeyValueLayout.blockTokens
    var allocator: BlockAllocator
    private(set) var sequences: [Int: ScheduledSequence] = [:]
    /// In the order in which they may take blocks: the last one gives its blocks up first.
    private(set) var running: [Int] = []
    private(set) var waiting: [Int] = []
    private(set) var fairShare = FairShare()
    private(set) var counters = Counters()
    /// Requests whose reader is behind.
    private(set) var paused: Set<Int> = []

    /// What happened since the start.
    struct Counters: Sendable {
        var prefixQueries = 0
        var prefixHits = 0
        var preemptions = 0
    }

    /// A scheduler over a pool of so many blocks.
    init(configuration: EngineConfiguration, blockCount: Int) {
        self.configuration = configuration
        allocator = BlockAllocator(capacity: blockCount)
    }

    // MARK: - Arrivals and departures

    /// A sequence waits from now on.
    mutating func enqueue(_ sequence: ScheduledSequence) {
        precondition(sequences[sequence.id] == nil, "sequence \(sequence.id) is here already")
        precondition(!sequence.tokens.isEmpty, "a sequence without tokens")
        fairShare.arrive(sequence.client)
        sequences[sequence.id] = sequence
        waiting.append(sequence.id)
    }

    /// Another sample branches off a sequence whose prompt is computed, with a first token of its own.
    mutating func fork(_ parent: Int, as id: Int, sample: Int, firstToken: Int32) {
        guard let source = sequences[parent] else { return }
        precondition(source.computed >= source.promptCount, "the prompt is not computed")
        var child = ScheduledSequence(
            id: id, request: source.request, sample: sample, promptCount: source.promptCount,
            tokens: Array(source.tokens[..<source.promptCount]) + [firstToken],
            priority: source.priority, client: source.client, arrival: source.arrival,
            tag: source.tag, sharesPrefixes: source.sharesPrefixes, sampleCount: 1,
            wantsAllRows: false, endsWithPrompt: false)
        let promptBlocks = (source.promptCount + blockTokens - 1) / blockTokens
        child.blocks = Array(source.blocks[..<promptBlocks])
        child.computed = source.promptCount
        child.registered = min(source.registered, source.promptCount / blockTokens)
        child.content = source.content
        // The name of a later block's content must not pass for the prompt's last one.
        if child.registered < source.registered { child.registered = 0 }
        for block in child.blocks { allocator.retain(block) }
        fairShare.arrive(child.client)
        sequences[id] = child
        running.append(id)
        running.sort(by: goesBefore)
    }

    /// A sequence ends; its blocks can be had at once.
    mutating func remove(_ id: Int) {
        guard let sequence = sequences.removeValue(forKey: id) else { return }
        free(sequence.blocks)
        fairShare.leave(sequence.client)
        running.removeAll { $0 == id }
        waiting.removeAll { $0 == id }
    }

    /// The last blocks are left first, so that they are also forgotten first: a prefix without its
    /// end is of use, an end without its beginning is not.
    private mutating func free(_ blocks: [Int32]) {
        for block in blocks.reversed() { allocator.release(block) }
    }

    // MARK: - Results

    /// The pass computed an item, and these tokens were chosen: the draft's as far as they were
    /// right, then a new one; none if the item did not reach the sequence's end.
    mutating func complete(_ item: StepPlan.Item, chosen: [Int32]) {
        guard let sequence = sequences[item.sequence], sequence.computed == item.firstPosition
        else { return }
        let known = item.tokens.count - item.draftCount
        let promptRows = max(0, min(known, sequence.promptCount - item.firstPosition))
        fairShare.charge(
            sequence.client,
            Double(promptRows) * FairShare.promptCost
                + Double(chosen.count) * FairShare.generatedCost)
        sequences[item.sequence]?.tokens += chosen
        sequences[item.sequence]?.computed += known + max(0, chosen.count - 1)
        registerFullBlocks(of: item.sequence)
    }

    private mutating func registerFullBlocks(of id: Int) {
        while let sequence = sequences[id],
            (sequence.registered + 1) * blockTokens <= sequence.computed,
            let key = sequence.nextKey(blockTokens: blockTokens)
        {
            let known = allocator.register(sequence.blocks[sequence.registered], as: key)
            sequences[id]?.blocks[sequence.registered] = known.block
            sequences[id]?.content = known.content
            sequences[id]?.registered += 1
        }
    }

    /// Forgets all cached prefixes, as when the weights change.
    mutating func forgetPrefixes() {
        allocator.forgetContents()
        for id in sequences.keys {
            sequences[id]?.registered = 0
            sequences[id]?.content = 0
        }
    }

    /// The sequences that wait for one more token, with their tokens.
    func decoding(_ paused: Set<Int>) -> [(id: Int, tokens: [Int32])] {
        running.compactMap { id in
            guard let sequence = sequences[id], sequence.isDecoding,
                !paused.contains(sequence.request)
            else { return nil }
            return (id, sequence.tokens)
        }
    }

    // MARK: - Used by planning

    mutating func start(_ id: Int, sharing registrations: [BlockAllocator.Registration]) {
        let shared = registrations.count * blockTokens
        sequences[id]?.blocks = registrations.map(\.block)
        sequences[id]?.registered = registrations.count
        sequences[id]?.content = registrations.last?.content ?? 0
        sequences[id]?.computed = shared
        sequences[id]?.cachedTokens = shared
        counters.prefixQueries += sequences[id]?.tokens.count ?? 0
        counters.prefixHits += shared
        waiting.removeAll { $0 == id }
        running.append(id)
        running.sort(by: goesBefore)
    }

    /// A running sequence gives back its last blocks, as many as make `count` more available, and
    /// keeps the others with what they hold; without any block left it waits again.
    mutating func shrink(_ id: Int, by count: Int) {
        // Scores and pooled vectors are collected row by row, from the first one on.
        guard var sequence = sequences[id], !sequence.wantsAllRows else { return preempt(id) }
        let goal = allocator.availableCount + count
        while allocator.availableCount < goal, let block = sequence.blocks.popLast() {
            allocator.release(block)
        }
        sequence.computed = min(sequence.computed, sequence.blocks.count * blockTokens)
        if sequence.registered > sequence.blocks.count {
            sequence.registered = sequence.blocks.count
            sequence.content = sequence.blocks.last.flatMap { allocator.content(of: $0) } ?? 0
        }
        sequences[id] = sequence
        if sequence.blocks.isEmpty { preempt(id) } else { counters.preemptions += 1 }
    }

    mutating func preempt(_ id: Int) {
        guard let blocks = sequences[id]?.blocks else { return }
        free(blocks)
        sequences[id]?.blocks = []
        sequences[id]?.computed = 0
        sequences[id]?.registered = 0
        sequences[id]?.content = 0
        sequences[id]?.wasPreempted = true
        counters.preemptions += 1
        running.removeAll { $0 == id }
        waiting.append(id)
    }

    mutating func give(_ blocks: [Int32], to id: Int) { sequences[id]?.blocks += blocks }

    mutating func replaceBlock(_ index: Int, of id: Int, by block: Int32) {
        sequences[id]?.blocks[index] = block
    }

    /// Takes note of whose readers are behind.
    mutating func pause(_ requests: Set<Int>) {
        guard requests != paused else { return }
        paused = requests
        running.sort(by: goesBefore)
    }

    /// Whether nobody waits for the sequence's next token now.
    func isPaused(_ id: Int) -> Bool { sequences[id].map { paused.contains($0.request) } ?? false }

    /// Who keeps its blocks when both cannot: those first whose reader keeps up.
    func goesBefore(_ a: Int, _ b: Int) -> Bool {
        guard let first = sequences[a], let second = sequences[b] else { return a < b }
        return (isPaused(a) ? 1 : 0, first.priority, first.arrival, a)
            < (isPaused(b) ? 1 : 0, second.priority, second.arrival, b)
    }
}
