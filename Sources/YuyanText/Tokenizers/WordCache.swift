/// A bounded, direct-mapped cache from short words to their tokens.
///
/// An entry is 32 bytes: the word itself with its length, and up to four ids. A word that maps to a
/// taken place replaces what was there, so hostile text costs speed but no memory.
struct WordCache: Sendable {
    /// Words are kept whole in 16 bytes, the last of which is the length.
    static let maximumWordLength = 15
    private static let bits = 14

    /// Key, key, two ids, two ids; an id is stored plus one, so that 0 is none.
    private var entries: [UInt64] = []

    /// The bytes of a word, zero-padded, with the length in the top byte.
    struct Key {
        let low: UInt64
        let high: UInt64

        @inline(__always)
        init(_ text: Span<UInt8>, _ range: Range<Int>) {
            let count = range.count
            let bytes = text.bytes
            var low: UInt64 = 0
            var high: UInt64 = 0
            if range.lowerBound &+ 16 <= bytes.byteCount {
                low = bytes.unsafeLoadUnaligned(fromByteOffset: range.lowerBound, as: UInt64.self)
                if count < 8 {
                    low &= (1 &<< UInt64(truncatingIfNeeded: 8 &* count)) &- 1
                } else {
                    high = bytes.unsafeLoadUnaligned(
                        fromByteOffset: range.lowerBound &+ 8, as: UInt64.self)
                    high &= (1 &<< UInt64(truncatingIfNeeded: 8 &* (count &- 8))) &- 1
                }
            } else {
                for offset in 0..<count {
                    let byte = UInt64(text[range.lowerBound &+ offset])
                    if offset < 8 {
                        low |= byte &<< UInt64(8 &* offset)
                    } else {
                        high |= byte &<< UInt64(8 &* (offset &- 8))
                    }
                }
            }
            self.low = low
            self.high = high | UInt64(truncatingIfNeeded: count) &<< 56
        }

        @inline(__always)
        var slot: Int {
            let mixed = (low ^ high &* 0xE703_7ED1_A0B4_28DB) &* 0x9E37_79B9_7F4A_7C15
            let spread = (mixed ^ mixed >> 32) &* 0x9E37_79B9_7F4A_7C15
            return Int(truncatingIfNeeded: spread &>> UInt64(64 - bits)) &* 4
        }
    }

    /// Appends the ids of a word that is here.
    @inline(__always)
    func append(_ key: Key, to ids: inout [Int32]) -> Bool {
        let slot = key.slot
        guard slot < entries.count, entries[slot] == key.low, entries[slot &+ 1] == key.high
        else { return false }
        let first = entries[slot &+ 2]
        ids.append(Int32(truncatingIfNeeded: first & 0xFFFF_FFFF) &- 1)
        if first >> 32 == 0 { return true }
        ids.append(Int32(truncatingIfNeeded: first >> 32) &- 1)
        let second = entries[slot &+ 3]
        if second == 0 { return true }
        ids.append(Int32(truncatingIfNeeded: second & 0xFFFF_FFFF) &- 1)
        if second >> 32 != 0 { ids.append(Int32(truncatingIfNeeded: second >> 32) &- 1) }
        return true
    }

    /// Remembers `ids[start...]`, if there are one to four.
    mutating func insert(_ key: Key, _ ids: [Int32], from start: Int) {
        let count = ids.count - start
        guard (1...4).contains(count) else { return }
        if entries.isEmpty { entries = [UInt64](repeating: 0, count: 4 << Self.bits) }
        func stored(_ offset: Int) -> UInt64 {
            offset < count ? UInt64(UInt32(bitPattern: ids[start + offset] &+ 1)) : 0
        }
        let slot = key.slot
        entries[slot] = key.low
        entries[slot + 1] = key.high
        entries[slot + 2] = stored(0) | stored(1) << 32
        entries[slot + 3] = stored(2) | stored(3) << 32
    }
}
