/// The merge rules of byte-pair encoding: a pair of ids to the rank of its rule.
///
/// Open addressing over one word per rule: left id (20 bits), right id (20), rank (24).
struct MergeTable: Sendable {
    /// Ranks need 24 bits, all ones being a free slot.
    static let maximumCount = 1 << 24 - 1
    /// The rank of a pair that no rule joins.
    static let none = UInt32.max

    private var slots: [UInt64]
    private var shift: UInt64
    private var mask: Int
    /// The id that each rule makes, by rank.
    private(set) var results: [UInt32] = []

    init(capacity expected: Int) {
        var bits: UInt64 = 6
        while 1 << bits < expected + expected / 2 { bits += 1 }
        slots = [UInt64](repeating: .max, count: 1 << bits)
        mask = 1 << bits - 1
        shift = 64 - bits
        results.reserveCapacity(expected)
    }

    /// Adds the rule of the next rank; a pair that is listed again gets the later rank, as in HF.
    mutating func append(left: UInt32, right: UInt32, result: UInt32) {
        let key = UInt64(left) << 20 | UInt64(right)
        var slot = home(of: key)
        while slots[slot] != .max, slots[slot] >> 24 != key { slot = (slot &+ 1) & mask }
        slots[slot] = key << 24 | UInt64(results.count)
        results.append(result)
    }

    /// The rank of a pair, or `none`.
    @inline(__always)
    func rank(_ left: UInt32, _ right: UInt32) -> UInt32 {
        let key = UInt64(left) << 20 | UInt64(right)
        var slot = home(of: key)
        while true {
            let entry = slots[slot]
            if entry >> 24 == key { return UInt32(truncatingIfNeeded: entry & 0xFF_FFFF) }
            if entry == .max { return Self.none }
            slot = (slot &+ 1) & mask
        }
    }

    @inline(__always)
    private func home(of key: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
    }
}
