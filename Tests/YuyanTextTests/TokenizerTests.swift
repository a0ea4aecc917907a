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
}
