import Testing
import YuyanFormats
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where real models and vocabularies are, if this machine has them.
private enum Cache {
    static let home = variable("YUYAN_HOME") ?? (variable("HOME") ?? "") + "/.cache/yuyan"
    static let smollm2 = home + "/SmolLM2-135M-Instruct.Q4_1.gguf"
    static let hasSmolLM2 = access(smollm2, F_OK) == 0
    static let hasVocabularies =
        variable("YUYAN_MODEL_TESTS") != nil
        && access(home + "/tokenizers/texts.json", F_OK) == 0

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// Real vocabularies, which `Tools/goldens/tokenizers_full.py` puts into the cache.
@Suite("Tokenizers of real models")
struct TokenizerModelTests {
    @Test(
        "agree with HF on hard texts and 2,000 random strings",
        .enabled(if: Cache.hasVocabularies), arguments: ["smollm", "qwen2", "llama3"])
    func agreesWithReference(_ name: String) throws {
        let folder = Cache.home + "/tokenizers/"
        let clock = ContinuousClock()
        let start = clock.now
        let tokenizer = try Tokenizer(directory: folder + name)
        print("\(name): \(tokenizer.vocabularySize) tokens loaded in \(clock.now - start)")
        try TokenizerGoldens(
            texts: folder + "texts.json", expected: folder + name + "/expected.json"
        ).check(tokenizer)
    }

    @Test(
        "a GGUF file gives the ids of tokenizer.json",
        .enabled(if: Cache.hasVocabularies && Cache.hasSmolLM2))
    func ggufAgreesWithReference() throws {
        let folder = Cache.home + "/tokenizers/"
        let tokenizer = try Tokenizer(gguf: GGUFFile(path: Cache.smollm2))
        try TokenizerGoldens(
            texts: folder + "texts.json", expected: folder + "smollm/expected.json"
        ).check(tokenizer)
    }

    @Test("SmolLM2's GGUF has HF's ids", .enabled(if: Cache.hasSmolLM2))
    func smollm2Prompt() throws {
        let tokenizer = try Tokenizer(gguf: GGUFFile(path: Cache.smollm2))
        #expect(tokenizer.vocabularySize == 49152)
        #expect(tokenizer.beginningOfSequence == 1)
        #expect(tokenizer.endOfSequence == 2)
        #expect(tokenizer.padding == 2)
        #expect(tokenizer.endOfGeneration == [0, 2])
        #expect(!tokenizer.addsBeginningOfSequence)
        #expect(tokenizer.chatTemplate?.contains("named SmolLM") == true)
        let chat =
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            + "Face<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
            + "<|im_start|>assistant\n"
        let ids = tokenizer.encode(chat, parseSpecial: true)
        #expect(
            ids == [
                1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018,
                411, 407, 19712, 8182, 2, 198, 1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47,
                2, 198, 1, 520, 9531, 198,
            ])
        #expect(tokenizer.decode(ids) == chat)
        #expect(
            tokenizer.decode([504, 3575, 282, 4649, 314, 7042, 30, 2], skipSpecial: true)
                == "The capital of France is Paris.")
    }
}
