import TestSupport
import Testing
import YuyanFormats
import YuyanText

@Suite("Byte-level alphabet")
struct ByteLevelAlphabetTests {
    /// The byte that each character of the alphabet stands for, by the definition in GPT-2.
    static let bytes: [Unicode.Scalar: UInt8] = {
        var bytes: [Unicode.Scalar: UInt8] = [:]
        var next: UInt32 = 0x100
        for byte in UInt8.min...UInt8.max {
            let isVisible =
                (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
            let scalar = isVisible ? Unicode.Scalar(byte) : Unicode.Scalar(next)
            if !isVisible { next += 1 }
            if let scalar { bytes[scalar] = byte }
        }
        return bytes
    }()

    /// Entries of 1 to 18 characters, each with one other character at each place.
    static let entries: [String] = {
        // The whole alphabet, and neighbours outside of it.
        var others = Array(bytes.keys).sorted()
        others += ["\u{0}", "\u{1F}", " ", "\u{7F}", "\u{80}", "\u{A0}", "\u{AD}", "\u{144}"]
        others += ["\u{17F}", "\u{180}", "\u{200}", "雨", "😀"]
        var entries: [String] = []
        for count in 1...18 {
            let plain = (0..<count).map { Unicode.Scalar(UInt8(ascii: "A") + UInt8($0)) }
            for place in 0..<count {
                for other in others where other != plain[place] || place == 0 {
                    var scalars = String.UnicodeScalarView(plain)
                    let index = scalars.index(scalars.startIndex, offsetBy: place)
                    scalars.replaceSubrange(index...index, with: [other])
                    entries.append(String(scalars))
                }
            }
        }
        return entries
    }()

    @Test("entries become their bytes at every length, others stay as they are")
    func entriesBecomeBytes() throws {
        let entries = Self.entries
        var image = GGUFImage()
        image.key("tokenizer.ggml.model", "gpt2")
        for (key, texts) in [("tokens", entries), ("merges", ["A B"])] {
            let strings = texts.flatMap { GGUFImage.string(Array($0.utf8)) }
            image.key(
                "tokenizer.ggml.\(key)", .array,
                GGUFImage.array(.string, count: UInt64(texts.count), strings))
        }
        let tokenizer = try Tokenizer(
            gguf: GGUFFile(file: MappedFile(bytes: image.bytes, name: "image")))
        try #require(tokenizer.vocabularySize == entries.count)
        for (id, entry) in entries.enumerated() {
            let bytes = entry.unicodeScalars.compactMap { Self.bytes[$0] }
            let isInside = bytes.count == entry.unicodeScalars.count
            #expect(tokenizer.bytes(of: Int32(id)) == (isInside ? bytes : Array(entry.utf8)))
            // Only what is inside the alphabet can be found, by its text if it is UTF-8.
            if isInside, let text = String(validating: bytes, as: UTF8.self) {
                #expect(tokenizer.id(of: text) == Int32(id), "\(text.debugDescription)")
            }
        }
    }
}
