/// What one forward pass computes, as the scheduler decided it.
struct StepPlan: Sendable {
    /// Consecutive tokens of one sequence.
    struct Item: Sendable {
        let sequence: Int
        let request: Int
        /// Position of the first token.
        let firstPosition: Int
        /// Known tokens, then the draft's.
        let tokens: [Int32]
        /// How many of `tokens` are a draft.
        let draftCount: Int
        let blocks: [Int32]
        let promptCount: Int
        /// Prompt tokens that were found in the cache.
        let cachedTokens: Int
        /// Whether the last known token is among them, so that a next one can be chosen.
        let reachesEnd: Bool
    }

    /// A block to be copied before the pass because its sequence would write into a shared one.
    struct Copy: Sendable, Hashable {
        let source: Int32
        let destination: Int32
    }

    var items: [Item] = []
    var copies: [Copy] = []
    /// Sequences that gave blocks back, which are computed again later.
    var preempted: [Int] = []
    /// Whether something could not be computed because no block was free for it.
    var waitsForBlocks = false

    var isEmpty: Bool { items.isEmpty }
    var tokenCount: Int { items.reduce(0) { $0 + $1.tokens.count } }
}
