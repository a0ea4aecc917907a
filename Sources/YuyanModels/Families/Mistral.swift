import YuyanFormats
import YuyanNN

extension DecoderFamily {
    /// Mistral: Llama with a sliding window (Jiang et al., arXiv:2310.06825).
    ///
    /// GGUF knows it as `llama` and drops the window, so such a file attends to everything.
    static let mistral = DecoderFamily(
        name: "mistral", modelTypes: ["mistral"], architectures: ["mistral"],
        huggingFaceClass: "MistralForCausalLM", writtenArchitecture: "llama",
        interleavesGGUFRows: true
    ) { shape, root, file in
        // An absent key means the published window; an explicit null means none.
        let window =
            root["sliding_window"] == nil ? 4096 : try root.optionalInt("sliding_window")
        shape.windows = try ModelShape.windows(
            root, layerCount: shape.layerCount, file: file, size: window, rule: { _ in true })
    } switches: { shape in
        [
            (
                "sliding_window",
                shape.windows.lazy.compactMap { $0 }.first.map { .integer($0) } ?? .null
            )
        ]
    }
}
