import YuyanFormats
import YuyanNN

extension DecoderFamily {
    /// Qwen2 and Qwen2.5: biases on q, k and v (Yang et al., arXiv:2407.10671, arXiv:2412.15115).
    static let qwen2 = DecoderFamily(
        name: "qwen2", modelTypes: ["qwen2"], architectures: ["qwen2"],
        huggingFaceClass: "Qwen2ForCausalLM", writtenArchitecture: "qwen2",
        interleavesGGUFRows: false
    ) { shape, root, file in
        shape.queryKeyValueBias = true
        try setWindows(&shape, root, file: file)
    } switches: {
        windowSwitches($0)
    }

    /// Qwen's switch: windows only with `use_sliding_window`, from layer `max_window_layers` on.
    static func setWindows(
        _ shape: inout ModelShape, _ root: JSONCursor, file: String
    ) throws {
        guard try root.optionalBool("use_sliding_window") ?? false else { return }
        let first = try root.optionalInt("max_window_layers") ?? 28
        shape.windows = try ModelShape.windows(
            root, layerCount: shape.layerCount, file: file,
            size: try root.optionalInt("sliding_window") ?? 4096, rule: { $0 >= first })
    }
}
