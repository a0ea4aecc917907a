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
        /// Names it for as long as the engine lives.
        public var number: Int
        /// Tokens of its prompt.
        public var promptTokens: Int
        /// Tokens whose keys and values are cached.
        public var computedTokens: Int
        /// Tokens of its answer so far.
        public var generatedTokens: Int
        /// Blocks it uses.
        public var blocks: Int
        /// Its adapter's name.
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

    /// An engine that has done nothing.
    public init() {}

    /// Sequences that have blocks now.
    public var running: [Sequence] = []
    /// Requests of which nothing runs yet.
    public var waiting = 0
    /// Whether the pool is full: the last step left something out because no block was free for it.
    public var waitsForBlocks = false
    /// One entry per block of the pool.
    public var blocks: [BlockUse] = []
    /// Tokens that a block holds.
    public var blockTokens = 32
    /// Memory of a block.
    public var blockBytes = 0
    /// Blocks in use, of all.
    public var usedBlocks = 0
    /// Tokens whose keys and values are in used blocks; a shared block counts once.
    public var liveTokens = 0
    /// Blocks of the pool.
    public var totalBlocks = 0

    /// Forward passes since the start; all that follows counts from there too.
    public var steps = 0
    /// Prompt tokens computed.
    public var promptTokens = 0
    /// Tokens chosen.
    public var generatedTokens = 0
    /// Prompt tokens looked up in the prefix cache, and found there.
    public var prefixQueries = 0
    /// Prompt tokens found in the prefix cache.
    public var prefixHits = 0
    /// Cached blocks whose memory was wanted for others.
    public var evictedBlocks = 0
    /// Times that a sequence gave blocks back, whose tokens were computed again.
    public var preemptions = 0
    /// Requests taken.
    public var requests = 0
    /// Requests whose reader went before it had what it wanted.
    public var cancelled = 0
    /// Tokens guessed ahead.
    public var draftedTokens = 0
    /// Guessed tokens that were right.
    public var acceptedTokens = 0
    /// Times that a sequence's next tokens were guessed.
    public var drafts = 0
    /// Accepted drafts by place in the draft.
    public var acceptedByPosition: [Int] = []
    /// What the speculation controller measures and has decided; nil without speculation.
    public var speculation: Speculation?
    /// Time in forward passes and sampling.
    public var computeTime = Duration.zero
    /// Time in everything else of a step that had work.
    public var overheadTime = Duration.zero
    /// Tokens of the last steps, newest last, with the step's time; at most 64.
    public var recentSteps: [(tokens: Int, time: Duration)] = []

    /// Tokens in use, of the tokens that used blocks could hold; 0 if none is used.
    public var utilization: Double {
        usedBlocks > 0 ? Double(liveTokens) / Double(usedBlocks * blockTokens) : 0
    }
}
