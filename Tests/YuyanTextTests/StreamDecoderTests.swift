import TestSupport
import Testing
import YuyanText

@Suite("StreamDecoder")
struct StreamDecoderTests {
    @Test("gives out whole characters, together what decode gives", arguments: [false, true])
    func equalsDecode(skipSpecial: Bool) throws {
        let tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/qwen2"))
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let count = Int.random(in: 1...12, using: &random)
            let ids = (0..<count).map { _ in
                Int32.random(in: -2..<Int32(tokenizer.vocabularySize) + 2, using: &random)
            }
            var decoder = tokenizer.streamDecoder(skipSpecial: skipSpecial)
            let parts = ids.map { decoder.append($0) } + [decoder.finish()]
            #expect(parts.joined() == tokenizer.decode(ids, skipSpecial: skipSpecial), "\(ids)")
        }
    }

    @Test("holds back what may become a character, and only that")
    func holdsBack() throws {
        let tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/gpt2"))
        func byte(_ value: UInt8) throws -> Int32 {
            try #require(
                (0..<Int32(tokenizer.vocabularySize)).first { tokenizer.bytes(of: $0) == [value] })
        }
        var decoder = tokenizer.streamDecoder(skipSpecial: false)
        #expect(decoder.append(try byte(0xF0)) == "")
        #expect(decoder.append(try byte(0x9F)) == "")
        #expect(decoder.append(try byte(0x98)) == "")
        #expect(decoder.append(try byte(0x80)) == "\u{1F600}")
        #expect(decoder.append(try byte(0xE4)) == "")
        #expect(decoder.append(try byte(0x41)) == "\u{FFFD}A")
        #expect(decoder.append(try byte(0xED)) == "")
        // ED A0 would be a surrogate, which no third byte can save.
        #expect(decoder.append(try byte(0xA0)) == "\u{FFFD}\u{FFFD}")
        #expect(decoder.append(try byte(0xE2)) == "")
        #expect(decoder.finish() == "\u{FFFD}")
        #expect(decoder.finish() == "")
    }
}
