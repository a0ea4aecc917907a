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
    ///   - text: The entry.
    ///   - bytes: Made longer where needed, and more than that; what is past the end is undefined.
    ///   - start: Where to write.
    /// - Returns: The end of what was written, or nil if not all of it was in the alphabet.
    static func write(_ text: RawSpan, to bytes: inout [UInt8], at start: Int) -> Int? {
        let missing = start + text.byteCount - bytes.count
        if missing > 0 {
            bytes.append(contentsOf: repeatElement(0, count: max(missing, bytes.count, 64)))
        }
        let table = byteOfScalar.span
        var output = bytes.mutableSpan
        var written = start
        var index = 0
        while index < text.byteCount {
            let lead = text.byte(at: index)
            var value = Int(lead)
            index &+= 1
            if lead >= 0x80 {
                guard lead >= 0xC2, lead <= 0xC5, index < text.byteCount,
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

extension RawSpan {
    /// The byte at a checked offset.
    @inline(__always)
    func byte(at offset: Int) -> UInt8 { unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    /// The bytes as text, repaired where they are not UTF-8.
    var repairedText: String {
        String(decoding: (0..<byteCount).map { byte(at: $0) }, as: UTF8.self)
    }
}
