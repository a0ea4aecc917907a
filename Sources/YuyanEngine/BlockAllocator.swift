/// Hands out numbered cache blocks and counts who uses them.
///
/// A pure value: it knows nothing of tensors, and the memory behind a number is someone else's.
public struct BlockAllocator: Sendable {
    /// Blocks that exist.
    public let capacity: Int
    private var references: [Int32: Int] = [:]
    private var free: [Int32] = []
    private var next: Int32 = 0

    /// All of `0..<capacity` are free at first; numbers are `Int32`, as block tables hold them.
    public init(capacity: Int) {
        precondition(capacity >= 0 && capacity <= Int(Int32.max), "\(capacity) blocks")
        self.capacity = capacity
    }

    /// Blocks in use.
    public var usedCount: Int { references.count }
    /// Blocks that can still be had.
    public var availableCount: Int { capacity - references.count }

    /// Takes `count` blocks with one reference each, lowest numbers first, or nil if too few are left.
    public mutating func allocate(_ count: Int) -> [Int32]? {
        guard count >= 0, count <= availableCount else { return nil }
        return (0..<count).map { _ in
            let block: Int32
            if let reused = free.popLast() {
                block = reused
            } else {
                block = next
                next += 1
            }
            references[block] = 1
            return block
        }
    }

    /// Adds a user of a block that is in use.
    public mutating func retain(_ block: Int32) {
        guard let count = references[block] else { preconditionFailure("block \(block) is free") }
        references[block] = count + 1
    }

    /// Drops a user; returns true if that was the last one and the block is free again.
    @discardableResult
    public mutating func release(_ block: Int32) -> Bool {
        guard let count = references[block] else { preconditionFailure("block \(block) is free") }
        if count > 1 {
            references[block] = count - 1
            return false
        }
        references[block] = nil
        free.append(block)
        return true
    }

    /// How many users a block has.
    public func referenceCount(of block: Int32) -> Int { references[block] ?? 0 }
}
