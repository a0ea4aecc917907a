/// A snapshot of the engine: counters since the start, and what is there now.
public struct EngineStatistics: Sendable {
    /// One block of the cache.
    public enum BlockUse: Sendable, Hashable {
        /// Never used, or its content is forgotten.
        case free
        /// Holds a prefix that nobody uses now; evicted when blocks are wanted.
        case cached
        /// In use by this many sequences; the first one's number, and its filled tokens.
        case used(sequence: Int, users: Int, tokens: Int)
    }
    /// A sequence that runs, as the live view shows it.
    public struct Sequence: Sendable, Hashable {
        public var number: Int
        public var promptTokens: Int
        public var computedTokens: Int
        public var generatedTokens: Int
        public var blocks: Int
        public var adapter: String?
    }

    /// How guessing ahead goes.
    public struct Speculation: Sendable, Hashable {
        /// Whether tokens are guessed now; off where a guess costs more than it saves.
        public var isOn: Bool
        /// Why, in one sentence for people.
        public var explanation: String
        /// Share of guessed tokens that were right when those before them were.
        public var acceptance: Double
        /// Mean guessed tokens of the last drafts.
        public var length: Double
    }

    public init() {}

    // Now.
    public var running: [Sequence] = []
    public var waiting = 0
    /// One entry per block of the pool.
    public var blocks: [BlockUse] = []
    public var blockTokens = 32
    public var blockBytes = 0
    /// Blocks in use, of all.
    public var usedBlocks = 0
    /// Tokens whose keys and values are in used blocks; a shared block counts once.
    public var liveTokens = 0
    public var totalBlocks = 0

    // Since the start.
    public var steps = 0
    public var promptTokens = 0
    public var generatedTokens = 0
    /// Prompt tokens looked up in the prefix cache, and found there.
    public var prefixQueries = 0
    public var prefixHits = 0
    public var evictedBlocks = 0
    public var preemptions = 0
    public var requests = 0
    public var cancelled = 0
    public var draftedTokens = 0
    public var acceptedTokens = 0
    public var drafts = 0
    /// Accepted drafts by place in the draft.
    public var acceptedByPosition: [Int] = []
    /// What the speculation controller measures and has decided; nil without speculation.
    public var speculation: Speculation?
    /// Time in forward passes, and in everything else of a step that had work.
    public var computeTime = Duration.zero
    public var overheadTime = Duration.zero
    /// Tokens of the last steps, newest last, with the step's time; at most 64.
    public var recentSteps: [(tokens: Int, time: Duration)] = []

    /// Tokens in use, of the tokens that used blocks could hold.
    public var utilization: Double {
        usedBlocks > 0 ? Double(liveTokens) / Double(usedBlocks * blockTokens) : 1
    }
}
