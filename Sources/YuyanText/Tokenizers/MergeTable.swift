/// The merge rules of byte-pair encoding: a pair of ids to the rank of its rule.
///
/// Open addressing over one word per rule: left id (20 bits), right id (20), rank (24).
struct MergeTable: Sendable {
    /// Ranks need 24 bits, all ones being a free slot.
    static let maximumCount = 1 << 24 - 1
    /// The rank of a pair that no rule joins.
    static let none = UInt32.max

    private var slots: [UInt64]
    private let shift: UInt64
    private let mask: Int
    /// The id that each rule makes, by rank.
    let results: [UInt32]
    /// Ranks of the rules that join two single bytes, at `first * 256 + second`.
    var bytePairRanks = [UInt32](repeating: none, count: 1 << 16)

    /// A table for rules that make these ids; `append` adds what they join.
    init(results: [UInt32]) {
        precondition(results.count <= Self.maximumCount, "\(results.count) rules")
        var bits: UInt64 = 6
        while 1 << bits < results.count + results.count / 2 { bits += 1 }
        slots = [UInt64](repeating: .max, count: 1 << bits)
        mask = 1 << bits - 1
        shift = 64 - bits
        self.results = results
    }

    /// The key of a pair of ids.
    @inline(__always)
    static func pair(_ left: UInt32, _ right: UInt32) -> UInt64 {
        UInt64(left) << 20 | UInt64(right)
    }

    /// Most rules that `append` takes at once.
    static let blockSize = 32

    /// Adds the next rules; a pair that is listed again gets the later rank, as in HF.
    ///
    /// Looks at all home slots before it fills them, as `Vocabulary` does.
    ///
    /// - Parameters:
    ///   - pairs: What each rule joins, packed by `pair`; at most `blockSize`.
    ///   - first: The rank of the first of them.
    mutating func append(_ pairs: Span<UInt64>, rank first: Int) {
        let (mask, shift) = (mask, shift)
        var slots = self.slots.mutableSpan
        var entries = InlineArray<32, UInt64>(repeating: 0)
        for index in 0..<pairs.count {
            entries[index] = slots[Self.home(of: pairs[index], shift)]
        }
        for index in 0..<pairs.count {
            let key = pairs[index]
            var slot = Self.home(of: key, shift)
            var entry = entries[index]
            while true {
                // A free slot may have been taken by the same block.
                if entry == .max { entry = slots[slot] }
                if entry == .max || entry >> 24 == key { break }
                slot = (slot &+ 1) & mask
                entry = slots[slot]
            }
            slots[slot] = key << 24 | UInt64(first &+ index)
        }
    }

    /// The rank of a pair, or `none`.
    @inline(__always)
    func rank(_ left: UInt32, _ right: UInt32) -> UInt32 {
        let key = Self.pair(left, right)
        var slot = Self.home(of: key, shift)
        while true {
            let entry = slots[slot]
            if entry >> 24 == key { return UInt32(truncatingIfNeeded: entry & 0xFF_FFFF) }
            if entry == .max { return Self.none }
            slot = (slot &+ 1) & mask
        }
    }

    @inline(__always)
    private static func home(of key: UInt64, _ shift: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) &>> shift)
    }
}
