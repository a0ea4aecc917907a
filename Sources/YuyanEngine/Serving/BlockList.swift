/// Blocks in the order in which they were added, with removal from anywhere in constant time.
struct BlockList: Sendable {
    private var previous: [Int32] = []
    private var next: [Int32] = []
    private var first: Int32 = -1
    private var last: Int32 = -1
    /// Blocks in the list.
    private(set) var count = 0

    /// Adds a block that is not in the list, at its end.
    mutating func append(_ block: Int32) {
        let index = Int(block)
        if index >= next.count {
            previous += Array(repeating: -1, count: index + 1 - previous.count)
            next += Array(repeating: -1, count: index + 1 - next.count)
        }
        previous[index] = last
        next[index] = -1
        if last >= 0 { next[Int(last)] = block } else { first = block }
        last = block
        count += 1
    }

    /// Takes out a block that is in the list.
    mutating func remove(_ block: Int32) {
        let (before, after) = (previous[Int(block)], next[Int(block)])
        if before >= 0 { next[Int(before)] = after } else { first = after }
        if after >= 0 { previous[Int(after)] = before } else { last = before }
        count -= 1
    }

    /// Takes out the block that was added first.
    mutating func popFirst() -> Int32? {
        guard first >= 0 else { return nil }
        let block = first
        remove(block)
        return block
    }
}
