import YuyanFormats
import YuyanNN

extension DecoderFamily {
    /// Qwen3: RMSNorm on every head's query and key (Yang et al., arXiv:2505.09388).
    static let qwen3 = DecoderFamily(
        name: "qwen3", modelTypes: ["qwen3"], architectures: ["qwen3"],
        huggingFaceClass: "Qwen3ForCausalLM", writtenArchitecture: "qwen3",
        interleavesGGUFRows: false
    ) { shape, root, file in
        let bias = try root.optionalBool("attention_bias") ?? false
        shape.queryKeyValueBias = bias
        shape.outputBias = bias
        shape.queryKeyNorm = true
        try setWindows(&shape, root, file: file)
    } switches: { shape in
        [("attention_bias", .bool(shape.queryKeyValueBias))] + windowSwitches(shape)
    }
}
