extension RawSpan {
    /// The byte at a checked offset.
    @inline(__always)
    func byte(at offset: Int) -> UInt8 { unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    /// The bytes in `range`, 1 to 8 of them, as a little-endian word with zeros above.
    ///
    /// Reads past `range` where the span goes on, which is far faster than byte by byte.
    @inline(__always)
    func word(in range: Range<Int>) -> UInt64 {
        let start = range.lowerBound
        if start &+ 8 <= byteCount {
            let word = unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self)
            let unused = UInt64(truncatingIfNeeded: 64 &- 8 &* range.count)
            return UInt64(littleEndian: word) & (.max &>> unused)
        }
        var word: UInt64 = 0
        for offset in range.reversed() { word = word << 8 | UInt64(byte(at: offset)) }
        return word
    }

    /// The bytes in `range` as text, repaired where they are not UTF-8.
    func repairedText(in range: Range<Int>) -> String {
        String(decoding: range.map { byte(at: $0) }, as: UTF8.self)
    }
}

/// Mixes bytes, eight at a time, into 64 bits.
@inline(__always)
func hashBytes(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
    let raw = bytes.bytes
    var hash = UInt64(truncatingIfNeeded: range.count) &* 0x9E37_79B9_7F4A_7C15
    var index = range.lowerBound
    while index &+ 8 < range.upperBound {
        hash = mix(hash ^ raw.word(in: Range(uncheckedBounds: (index, index &+ 8))))
        index &+= 8
    }
    guard index < range.upperBound else { return hash }
    return mix(hash ^ raw.word(in: Range(uncheckedBounds: (index, range.upperBound))))
}

/// Multiplies to 128 bits and folds the halves.
@inline(__always)
func mix(_ value: UInt64) -> UInt64 {
    let (high, low) = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
    return high ^ low
}

/// Whether two slices hold the same bytes.
@inline(__always)
func equal(_ a: Span<UInt8>, _ ra: Range<Int>, _ b: Span<UInt8>, _ rb: Range<Int>) -> Bool {
    guard ra.count == rb.count else { return false }
    let (rawA, rawB) = (a.bytes, b.bytes)
    var (ia, ib) = (ra.lowerBound, rb.lowerBound)
    while ia < ra.upperBound {
        let length = min(ra.upperBound &- ia, 8)
        let wordA = rawA.word(in: Range(uncheckedBounds: (ia, ia &+ length)))
        guard wordA == rawB.word(in: Range(uncheckedBounds: (ib, ib &+ length))) else {
            return false
        }
        ia &+= length
        ib &+= length
    }
    return true
}
