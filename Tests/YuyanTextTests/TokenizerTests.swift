import TestSupport
import Testing
import YuyanText

@Suite("Tokenizer")
struct TokenizerTests {
    static let names = [
        "smollm", "gpt2", "gpt2-prefix", "llama3", "qwen2", "added", "default", "unknown",
        "unknown-fused",
    ]

    @Test("agrees with HF on hard texts and 2,000 random strings", arguments: names)
    func agreesWithReference(_ name: String) throws {
        let tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/\(name)"))
        try TokenizerGoldens(
            texts: Goldens.path("tokenizers/texts.json"),
            expected: Goldens.path("tokenizers/\(name)/expected.json")
        ).check(tokenizer)
    }

    @Test("one tokenizer gives the same ids on many threads, with warm and with cold caches")
    func concurrent() async throws {
        let tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/llama3"))
        let goldens = try TokenizerGoldens(
            texts: Goldens.path("tokenizers/texts.json"),
            expected: Goldens.path("tokenizers/llama3/expected.json"))
        let strings = goldens.strings
        let wanted = strings.map { tokenizer.encode($0) }
        await withTaskGroup(of: Bool.self) { group in
            for offset in 0..<8 {
                group.addTask {
                    (0..<strings.count).allSatisfy {
                        let index = ($0 + 250 * offset) % strings.count
                        return tokenizer.encode(strings[index]) == wanted[index]
                    }
                }
            }
            for await isEqual in group { #expect(isEqual) }
        }
    }

    @Test("a word of a million letters takes no quadratic time, and equals its parts")
    func longWord() throws {
        let tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/gpt2"))
        let word = String(repeating: "antidisestablishmentarianism", count: 40_000)
        let clock = ContinuousClock()
        let start = clock.now
        let ids = tokenizer.encode(word)
        // Quadratic merging of 1.1 MB would take minutes.
        #expect(clock.now - start < .seconds(20))
        #expect(tokenizer.decode(ids) == word)
        // Periodic text has periodic tokens, but for the borders.
        let short = tokenizer.encode(String(repeating: "antidisestablishmentarianism", count: 5))
        #expect(Array(ids.prefix(short.count / 2)) == Array(short.prefix(short.count / 2)))
    }

    @Test("BOS, special tokens and ids are as the files say")
    func roles() throws {
        let llama = try Tokenizer(directory: Goldens.path("tokenizers/llama3"))
        let begin = try #require(llama.id(of: "<|begin_of_text|>"))
        let end = try #require(llama.id(of: "<|end_of_text|>"))
        #expect(llama.encode("") == [begin])
        #expect(llama.encode("", addSpecial: false) == [])
        #expect(llama.isSpecial(begin))
        #expect(llama.endOfGeneration.contains(end))
        #expect(llama.text(of: end) == "<|end_of_text|>")
        #expect(!llama.encode("<|end_of_text|>").contains(end))
        #expect(llama.encode("<|end_of_text|>", parseSpecial: true) == [begin, end])
        let qwen = try Tokenizer(directory: Goldens.path("tokenizers/qwen2"))
        let tool = try #require(qwen.id(of: "<tool_call>"))
        #expect(!qwen.isSpecial(tool))
        #expect(qwen.encode("<tool_call>") == [tool])
        #expect(qwen.bytes(of: -1) == [])
        #expect(qwen.bytes(of: Int32(qwen.vocabularySize)) == [])
        #expect(qwen.id(of: "no such token") == nil)
        for id in 0..<Int32(qwen.vocabularySize)
        where String(validating: qwen.bytes(of: id), as: UTF8.self) != nil {
            #expect(qwen.id(of: qwen.text(of: id)) == id)
        }
    }
}
