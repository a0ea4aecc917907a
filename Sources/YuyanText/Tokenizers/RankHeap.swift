/// A binary heap of (rank, position), lowest rank first and leftmost position on a tie.
struct RankHeap: Sendable {
    private var items: [UInt64] = []

    /// Replaces the contents by the ranks of all positions that have one.
    mutating func fill(from ranks: [UInt32]) {
        items.removeAll(keepingCapacity: true)
        for (position, rank) in ranks.enumerated() where rank != MergeTable.none {
            items.append(UInt64(rank) << 32 | UInt64(position))
        }
        for parent in stride(from: items.count / 2 - 1, through: 0, by: -1) { sink(parent) }
    }

    /// Adds an entry, unless there is no rank.
    mutating func push(_ rank: UInt32, _ position: Int) {
        guard rank != MergeTable.none else { return }
        let item = UInt64(rank) << 32 | UInt64(position)
        items.append(item)
        var child = items.count - 1
        while child > 0 {
            let parent = (child &- 1) >> 1
            if items[parent] <= item { break }
            items[child] = items[parent]
            child = parent
        }
        items[child] = item
    }

    /// Removes and returns the first entry.
    mutating func popLowest() -> (rank: UInt32, position: Int)? {
        guard let lowest = items.first, let last = items.popLast() else { return nil }
        if !items.isEmpty {
            items[0] = last
            sink(0)
        }
        return (UInt32(lowest >> 32), Int(lowest & 0xFFFF_FFFF))
    }

    private mutating func sink(_ start: Int) {
        let item = items[start]
        var parent = start
        while true {
            var child = 2 &* parent &+ 1
            if child >= items.count { break }
            if child &+ 1 < items.count, items[child &+ 1] < items[child] { child &+= 1 }
            if item <= items[child] { break }
            items[parent] = items[child]
            parent = child
        }
        items[parent] = item
    }
}
