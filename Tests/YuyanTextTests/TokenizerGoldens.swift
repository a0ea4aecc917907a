import TestSupport
import Testing
import YuyanFormats
import YuyanText

/// What HF `tokenizers` made of the texts of `Tools/goldens/tokenizers_texts.py`.
struct TokenizerGoldens {
    let texts: [String]
    let strings: [String]
    let expected: JSONCursor

    /// - Parameters:
    ///   - texts: A file with `texts` and `strings`.
    ///   - expected: What the reference made of them.
    init(texts: String, expected: String) throws {
        let source = try JSONDocument(path: texts).root
        self.texts = try source.array("texts").map { try #require($0.string) }
        strings = try source.array("strings").map { try #require($0.string) }
        self.expected = try JSONDocument(path: expected).root
    }

    /// The digits that `expectations` in `tokenizers_texts.py` records for one string.
    static func digest(_ ids: [Int32], _ kept: String, _ skipped: String) -> String {
        var idHash = FNV()
        for id in ids {
            for shift in [0, 8, 16, 24] { idHash.add(UInt8(truncatingIfNeeded: id >> shift)) }
        }
        var textHash = FNV()
        for byte in kept.utf8 { textHash.add(byte) }
        textHash.add(0)
        for byte in skipped.utf8 { textHash.add(byte) }
        return hex(idHash.value & 0xFFFF_FFFF, 8) + hex(textHash.value & 0xFFFF, 4)
    }

    private static func hex(_ value: UInt64, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: width - digits.count) + digits
    }

    /// Checks ids and decoded texts of everything, in both modes.
    func check(_ tokenizer: Tokenizer) throws {
        for (mode, parses) in [("plain", false), ("parsed", true)] {
            let cases = try expected.object(mode)
            for (text, row) in zip(texts, try cases.array("texts")) {
                let wanted = try #require(row.array).map { Int32(try #require($0.int)) }
                let ids = tokenizer.encode(text, parseSpecial: parses, addSpecial: parses)
                let place = zip(ids, wanted).enumerated().first { $0.element.0 != $0.element.1 }
                #expect(
                    ids == wanted, "\(mode), first at \(place?.offset ?? -1) in \(text.prefix(20))")
            }
            let digests = Array(try cases.string("strings").utf8)
            try #require(digests.count == 12 * strings.count)
            for (index, string) in strings.enumerated() {
                let ids = tokenizer.encode(string, parseSpecial: parses, addSpecial: parses)
                let kept = tokenizer.decode(ids)
                let skipped = tokenizer.decode(ids, skipSpecial: true)
                let wanted = String(decoding: digests[12 * index..<12 * index + 12], as: UTF8.self)
                #expect(
                    Self.digest(ids, kept, skipped) == wanted,
                    "\(mode) \(index): \(string.debugDescription) gave \(ids), \(kept)")
            }
        }
        for row in try expected.array("sequences") {
            let ids = try #require(row[0]?.array).map { Int32(try #require($0.int)) }
            #expect(tokenizer.decode(ids) == row[1]?.string, "\(ids)")
        }
    }

    private struct FNV {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325

        mutating func add(_ byte: UInt8) {
            value = (value ^ UInt64(byte)) &* 0x100_0000_01B3
        }
    }
}
