import YuyanFormats
import YuyanNN

extension DecoderFamily {
    /// Llama 1 to 3.x, SmolLM and everything that says `llama`.
    ///
    /// Touvron et al., arXiv:2302.13971; Grattafiori et al., arXiv:2407.21783.
    static let llama = DecoderFamily(
        name: "llama", modelTypes: ["llama"], architectures: ["llama"],
        huggingFaceClass: "LlamaForCausalLM", writtenArchitecture: "llama",
        interleavesGGUFRows: true
    ) { shape, root, _ in
        let bias = try root.optionalBool("attention_bias") ?? false
        shape.queryKeyValueBias = bias
        shape.outputBias = bias
        shape.feedForwardBias = try root.optionalBool("mlp_bias") ?? false
    } switches: { shape in
        [
            ("attention_bias", .bool(shape.queryKeyValueBias)),
            ("mlp_bias", .bool(shape.feedForwardBias)),
        ]
    }
}
