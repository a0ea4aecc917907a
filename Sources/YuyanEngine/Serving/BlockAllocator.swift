/// Hands out numbered cache blocks, counts who uses them, and remembers what full ones contain.
///
/// A pure value: it knows nothing of tensors, and the memory behind a number is someone else's. A
/// block whose content is registered stays findable after its last user left, until its memory is
/// wanted: the one that was left longest ago goes first. Kwon et al., arXiv:2309.06180; the prefix
/// cache differs from vLLM's in that contents are compared, not hashed only.
public struct BlockAllocator: Sendable {
    /// Blocks that exist.
    public let capacity: Int
    /// Cached contents that were forgotten since the start because their blocks were wanted.
    public private(set) var evictedCount = 0
    /// Users of each block that was ever handed out.
    private var references: [Int32] = []
    private var free: [Int32] = []
    private var idle = BlockList()
    private var registered: [PrefixKey: Registration] = [:]
    private var keys: [Int32: PrefixKey] = [:]
    private var nextContent: UInt64 = 1
    private var used = 0

    /// A block and the name of its content, the parent of the next block's key.
    public struct Registration: Hashable, Sendable {
        /// The block that holds the content.
        public let block: Int32
        /// Unique among all contents ever registered.
        public let content: UInt64
    }

    /// All of `0..<capacity` are free at first; numbers are `Int32`, as block tables hold them.
    public init(capacity: Int) {
        precondition(capacity >= 0 && capacity <= Int(Int32.max), "\(capacity) blocks")
        self.capacity = capacity
    }

    /// Blocks in use.
    public var usedCount: Int { used }
    /// Blocks that nobody uses and whose content is known.
    public var cachedCount: Int { idle.count }
    /// Blocks that can still be had, those with known content among them.
    public var availableCount: Int { capacity - used }

    /// Takes `count` blocks with one reference each, or nil if too few are left.
    ///
    /// Blocks of unknown content go first; then the least recently used contents are forgotten.
    public mutating func allocate(_ count: Int) -> [Int32]? {
        guard count >= 0, count <= availableCount else { return nil }
        return (0..<count).map { _ in
            let block = take()
            references[Int(block)] = 1
            used += 1
            return block
        }
    }

    private mutating func take() -> Int32 {
        if let block = free.popLast() { return block }
        if references.count < capacity {
            references.append(0)
            return Int32(references.count - 1)
        }
        guard let block = idle.popFirst() else { preconditionFailure("no block is available") }
        if let key = keys.removeValue(forKey: block) { registered[key] = nil }
        evictedCount += 1
        return block
    }

    /// Adds a user of a block that is in use.
    public mutating func retain(_ block: Int32) {
        precondition(referenceCount(of: block) > 0, "block \(block) is free")
        references[Int(block)] += 1
    }

    /// Drops a user; returns true if that was the last one and the block can be had again.
    @discardableResult
    public mutating func release(_ block: Int32) -> Bool {
        precondition(referenceCount(of: block) > 0, "block \(block) is free")
        references[Int(block)] -= 1
        guard references[Int(block)] == 0 else { return false }
        used -= 1
        if keys[block] != nil { idle.append(block) } else { free.append(block) }
        return true
    }

    /// How many users a block has.
    public func referenceCount(of block: Int32) -> Int {
        block >= 0 && Int(block) < references.count ? Int(references[Int(block)]) : 0
    }

    // MARK: - Contents

    /// The name of a content, if a block that has it could be shared now.
    public func content(of key: PrefixKey) -> UInt64? { registered[key]?.content }

    /// The name of what a block contains, if that is registered.
    public func content(of block: Int32) -> UInt64? {
        keys[block].flatMap { registered[$0]?.content }
    }

    /// Whether a block nobody uses still has a known content.
    public func isCached(_ block: Int32) -> Bool {
        referenceCount(of: block) == 0 && keys[block] != nil
    }

    /// Becomes another user of the block with this content, if there is one.
    public mutating func share(_ key: PrefixKey) -> Registration? {
        guard let found = registered[key] else { return nil }
        if references[Int(found.block)] == 0 {
            idle.remove(found.block)
            used += 1
        }
        references[Int(found.block)] += 1
        return found
    }

    /// Makes known what a block in use contains, now that all its tokens are computed.
    ///
    /// If another block has that content already, the caller becomes its user instead and `block`
    /// loses one: equal contents have equal bits, so one copy is enough.
    public mutating func register(_ block: Int32, as key: PrefixKey) -> Registration {
        precondition(referenceCount(of: block) > 0, "block \(block) is free")
        if let known = registered[key] {
            guard known.block != block else { return known }
            guard let shared = share(key) else { return known }
            release(block)
            return shared
        }
        if let old = keys[block] { registered[old] = nil }
        let registration = Registration(block: block, content: nextContent)
        nextContent += 1
        registered[key] = registration
        keys[block] = key
        return registration
    }

    /// Forgets all contents, as when the weights change; blocks in use stay in use.
    public mutating func forgetContents() {
        registered.removeAll()
        keys.removeAll()
        while let block = idle.popFirst() { free.append(block) }
    }
}
