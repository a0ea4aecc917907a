/// What a cached block depends on beside its tokens; blocks of different tags are never mixed.
public struct CacheTag: Hashable, Sendable {
    /// Which weights computed the keys and values.
    public var weights: UInt64
    /// The adapter's version; 0 for none.
    public var adapter: UInt64
    /// Whatever else must agree: a client's salt, a version of the chat template.
    public var salt: String

    /// Blocks of the base model, shared by all, unless told otherwise.
    public init(weights: UInt64 = 0, adapter: UInt64 = 0, salt: String = "") {
        self.weights = weights
        self.adapter = adapter
        self.salt = salt
    }
}

/// The content of a full block: its tokens, and the content before it.
///
/// A chain of exact comparisons, not of hashes alone: two contents that collide are still told
/// apart, so that a block can never be taken for another.
public struct PrefixKey: Hashable, Sendable {
    /// What comes before the block.
    public enum Parent: Hashable, Sendable {
        /// Nothing: the block is a sequence's first.
        case root(CacheTag)
        /// The registered content of the block before, as `BlockAllocator.register` named it.
        case content(UInt64)
    }

    /// What comes before the block.
    public let parent: Parent
    /// The block's tokens, as many as a block holds.
    public let tokens: [Int32]

    /// The content of a block of `tokens` after `parent`.
    public init(parent: Parent, tokens: [Int32]) {
        self.parent = parent
        self.tokens = tokens
    }
}
