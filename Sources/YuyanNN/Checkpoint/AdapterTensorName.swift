/// What a tensor of a PEFT adapter is, by the end of its name.
enum AdapterTensorKind: CaseIterable {
    /// The two matrices of an update, and DoRA's lengths.
    case down, up, magnitude
    /// The same of an embedding, whose matrices are parameters and no modules.
    case embeddingDown, embeddingUp
    /// The model's own weight, which PEFT saves beside updates of embedding and head.
    case baseLayer
    /// A whole weight: of `modules_to_save`, or an embedding that was saved by itself.
    case whole

    /// What follows the path of the module; the first that fits counts.
    var suffix: String {
        switch self {
        case .down: ".lora_A.weight"
        case .up: ".lora_B.weight"
        case .magnitude: ".lora_magnitude_vector"
        case .embeddingDown: ".lora_embedding_A"
        case .embeddingUp: ".lora_embedding_B"
        case .baseLayer: ".base_layer.weight"
        case .whole: ".weight"
        }
    }
}

/// A tensor's name in a PEFT adapter, taken apart.
struct AdapterTensorName {
    static let prefix = "base_model.model."
    /// The path of the module in the Hugging Face layout.
    let module: String
    let kind: AdapterTensorKind

    init(module: String, kind: AdapterTensorKind) {
        self.module = module
        self.kind = kind
    }

    /// - Throws: `.unusedTensor` if nothing knows what to do with such a tensor.
    init(_ name: String, file: String) throws(AdapterError) {
        func unused(_ reason: String) -> AdapterError {
            .unusedTensor(name: name, file: file, reason: reason)
        }
        guard name.hasPrefix(Self.prefix) else {
            throw unused("names of LoRA's tensors begin with '\(Self.prefix)'")
        }
        if name.hasSuffix(".lora_B.bias") {
            throw unused("updates with a bias are not supported; train without lora_bias")
        }
        let found = AdapterTensorKind.allCases.first { name.hasSuffix($0.suffix) }
        guard let kind = found, kind != .whole || !name.contains("lora_") else {
            let endings = AdapterTensorKind.allCases.map { "'\($0.suffix)'" }
            throw unused("expected a name that ends in one of " + endings.joined(separator: ", "))
        }
        module = String(name.dropFirst(Self.prefix.count).dropLast(kind.suffix.count))
        self.kind = kind
    }

    /// The name in the file.
    var text: String { Self.prefix + module + kind.suffix }
}
