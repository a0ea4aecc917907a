/// The printable stand-ins that byte-level vocabularies write bytes with.
///
/// Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2): the 188 visible
/// Latin-1 characters stand for themselves, the other 68 bytes for U+0100 and up, in order.
enum ByteLevelAlphabet {
    /// The byte that each scalar below U+0180 stands for, or -1.
    static let byteOfScalar: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x180)
        var next = 0x100
        for byte in 0..<0x100 {
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF:
                table[byte] = Int16(byte)
            default:
                table[next] = Int16(byte)
                next += 1
            }
        }
        return table
    }()

    /// Writes the bytes that a vocabulary entry stands for.
    ///
    /// - Parameters:
    ///   - text: What the entry is a part of.
    ///   - range: The entry.
    ///   - bytes: Made longer where needed, and more than that; what is past the end is undefined.
    ///   - start: Where to write.
    /// - Returns: The end of what was written, or nil if not all of it was in the alphabet.
    @inline(__always)
    static func write(
        _ text: RawSpan, _ range: Range<Int>, to bytes: inout [UInt8], at start: Int
    ) -> Int? {
        // Words are stored whole, so up to seven bytes more than the entry has.
        let missing = start &+ range.count &+ 8 &- bytes.count
        if missing > 0 {
            bytes.append(contentsOf: repeatElement(0, count: max(missing, bytes.count, 64)))
        }
        var output = bytes.mutableSpan
        var written = start
        var index = range.lowerBound
        // Nearly all entries are visible ASCII, maybe after one stand-in for a space.
        if range.count >= 2, text.byte(at: index) == 0xC4, text.byte(at: index &+ 1) == 0xA0 {
            output[written] = 0x20
            written &+= 1
            index &+= 2
        }
        var raw = output.mutableBytes
        while index < range.upperBound {
            let length = min(range.upperBound &- index, 8)
            let word = text.word(in: Range(uncheckedBounds: (index, index &+ length)))
            guard isVisibleASCII(word, length) else {
                return writeScalars(
                    text, Range(uncheckedBounds: (index, range.upperBound)), to: &bytes,
                    at: written)
            }
            raw.storeBytes(of: word.littleEndian, toByteOffset: written, as: UInt64.self)
            index &+= length
            written &+= length
        }
        return written
    }

    /// Whether the low `count` bytes, of 1 to 8, are all in 0x21...0x7E.
    @inline(__always)
    private static func isVisibleASCII(_ word: UInt64, _ count: Int) -> Bool {
        let unused = UInt64(truncatingIfNeeded: 64 &- 8 &* count)
        // Without high bits, no byte's sum or difference reaches into the next.
        let filled = word | 0x2121_2121_2121_2121 & ~(UInt64.max &>> unused)
        let low = (filled | 0x8080_8080_8080_8080) &- 0x2121_2121_2121_2121
        let high = filled &+ 0x0101_0101_0101_0101
        return (filled | ~low | high) & 0x8080_8080_8080_8080 == 0
    }

    private static func writeScalars(
        _ text: RawSpan, _ range: Range<Int>, to bytes: inout [UInt8], at start: Int
    ) -> Int? {
        let table = byteOfScalar.span
        var output = bytes.mutableSpan
        var written = start
        var index = range.lowerBound
        while index < range.upperBound {
            let lead = text.byte(at: index)
            var value = Int(lead)
            index &+= 1
            if lead >= 0x80 {
                guard lead >= 0xC2, lead <= 0xC5, index < range.upperBound,
                    text.byte(at: index) & 0xC0 == 0x80
                else { return nil }
                value = (value & 0x1F) << 6 | Int(text.byte(at: index) & 0x3F)
                index &+= 1
            }
            let byte = table[value]
            guard byte >= 0 else { return nil }
            output[written] = UInt8(truncatingIfNeeded: byte)
            written &+= 1
        }
        return written
    }
}
