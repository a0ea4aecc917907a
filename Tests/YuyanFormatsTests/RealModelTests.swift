import TestSupport
import Testing
import YuyanFormats

@Suite("SmolLM2 as GGUF", .enabled(if: Models.smolLM2 != nil, "the model is not downloaded"))
struct RealModelTests {
    @Test("has the metadata, vocabulary and tensors that the gguf package sees")
    func contents() throws {
        let file = try GGUFFile(path: try #require(Models.smolLM2))
        #expect(try file.string("general.architecture") == "llama")
        #expect(try file.int("llama.block_count") == 30)
        #expect(try file.int("llama.embedding_length") == 576)
        #expect(try file.int("llama.feed_forward_length") == 1536)
        #expect(try file.int("llama.attention.head_count_kv") == 3)
        #expect(try file.double("llama.rope.freq_base") == 100_000)
        #expect(try file.double("llama.attention.layer_norm_rms_epsilon") == Double(Float(1e-5)))
        #expect(try file.array("tokenizer.ggml.tokens", of: .string).strings().count == 49152)
        #expect(try file.array("tokenizer.ggml.merges", of: .string).count == 48900)
        let kinds = Dictionary(grouping: file.tensors, by: \.elementType).mapValues(\.count)
        #expect(kinds == [.q4_1: 210, .q8_0: 1, .f32: 61])
        #expect(try file.tensor("token_embd.weight").shape == [49152, 576])
        #expect(try file.tensor("blk.29.ffn_down.weight").shape == [576, 1536])
        #expect(file.tensors.last?.byteRange.upperBound == file.file.count)
    }

    @Test("opens and gives up its vocabulary in a few milliseconds")
    func speed() throws {
        let path = try #require(Models.smolLM2)
        let clock = ContinuousClock()
        var best = Duration.seconds(1)
        var bytes = 0
        for _ in 0..<5 {
            let start = clock.now
            let file = try GGUFFile(path: path)
            try file.array("tokenizer.ggml.tokens").forEachStringBytes { bytes += $0.byteCount }
            best = min(best, clock.now - start)
        }
        #expect(bytes > 5 * 49152)
        // Measured 1.0 ms; the slack is for slow and busy machines.
        #expect(best < .milliseconds(20), "\(best)")
    }
}
