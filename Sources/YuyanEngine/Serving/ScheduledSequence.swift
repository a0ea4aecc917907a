/// What the scheduler knows of one sequence: ids, counts and blocks, no tensors.
struct ScheduledSequence: Sendable {
    /// Names the sequence for as long as the engine lives.
    let id: Int
    /// The request that it belongs to.
    let request: Int
    /// Which of the request's samples it is.
    let sample: Int
    /// Tokens of the prompt.
    let promptCount: Int
    /// Prompt and what was generated so far.
    var tokens: [Int32]
    let priority: Int
    let client: String
    /// Whose turn came first: smaller is earlier.
    let arrival: Int
    let tag: CacheTag
    /// Whether full blocks may be looked up and registered.
    let sharesPrefixes: Bool
    /// Samples that branch off when the prompt is computed, this one included.
    let sampleCount: Int
    /// Whether all rows are wanted (scores, embeddings), so that nothing may come from the cache.
    let wantsAllRows: Bool
    /// Whether the sequence ends with its prompt.
    let endsWithPrompt: Bool

    /// Tokens whose keys and values are in `blocks`.
    var computed = 0
    var blocks: [Int32] = []
    /// Leading blocks whose content is registered, and the name of the last one's content.
    var registered = 0
    var content: UInt64 = 0
    /// Prompt tokens that the last admission found in the cache.
    var cachedTokens = 0
    var wasPreempted = false

    /// Tokens that a step could compute now.
    var pending: Int { tokens.count - computed }
    /// Whether the next token only waits for one row.
    var isDecoding: Bool { pending == 1 && tokens.count > promptCount }

    /// The key of the first block whose content is not registered, if its tokens are all known.
    func nextKey(blockTokens: Int) -> PrefixKey? {
        let start = registered * blockTokens
        guard sharesPrefixes, start + blockTokens <= tokens.count else { return nil }
        return PrefixKey(
            parent: registered == 0 ? .root(tag) : .content(content),
            tokens: Array(tokens[start..<start + blockTokens]))
    }
}
