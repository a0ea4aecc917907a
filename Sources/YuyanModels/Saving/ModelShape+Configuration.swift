import YuyanFormats
import YuyanNN

/// Ids of tokens with a role, as configuration files name them.
public struct SpecialTokens: Sendable, Hashable {
    /// Begins a sequence.
    public var beginning: Int32?
    /// End an answer; the first is the tokenizer's own end.
    public var ends: [Int32]
    /// Fills unused places.
    public var padding: Int32?

    /// None of them is needed.
    public init(beginning: Int32? = nil, ends: [Int32] = [], padding: Int32? = nil) {
        self.beginning = beginning
        self.ends = ends
        self.padding = padding
    }

    /// The entries of `config.json` and `generation_config.json`.
    var entries: [(key: String, value: JSONOutput)] {
        func id(_ value: Int32?) -> JSONOutput { value.map { .integer(Int($0)) } ?? .null }
        return [
            ("bos_token_id", id(beginning)),
            (
                "eos_token_id",
                ends.count > 1 ? .array(ends.map { .integer(Int($0)) }) : id(ends.first)
            ),
            ("pad_token_id", id(padding)),
        ]
    }
}

extension ModelShape {
    /// `config.json` as transformers reads it, versions 4 and 5.
    ///
    /// - Parameters:
    ///   - type: What the weights are stored as.
    ///   - isTied: Whether the head has no weight of its own; the shape's own answer by default.
    /// - Throws: `CheckpointError.configuration` if the rotary scaling has no name there.
    public func configuration(
        as type: ElementType, isTied: Bool? = nil, tokens: SpecialTokens = SpecialTokens()
    ) throws(CheckpointError) -> JSONOutput {
        let family = try Families.family(of: self)
        var result: JSONOutput = [
            "architectures": [.string(family.huggingFaceClass)],
            "model_type": .string(family.modelTypes[0]),
            "vocab_size": .integer(vocabularySize),
            "hidden_size": .integer(width),
            "intermediate_size": .integer(hiddenWidth),
            "num_hidden_layers": .integer(layerCount),
            "num_attention_heads": .integer(heads),
            "num_key_value_heads": .integer(keyValueHeads),
            "head_dim": .integer(headDimension),
            "hidden_act": "silu",
            "max_position_embeddings": .integer(maximumPositions),
            "rms_norm_eps": .double(normEpsilon),
            "rope_theta": .double(ropeTheta),
            "rope_scaling": try rotaryEntry(),
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "tie_word_embeddings": .bool(isTied ?? tiedEmbeddings),
            "torch_dtype": .string(type.torchName),
            "use_cache": true,
        ]
        for (key, value) in tokens.entries { result[key] = value }
        if rotaryDimension != headDimension {
            result["partial_rotary_factor"] = .double(
                Double(rotaryDimension) / Double(headDimension))
        }
        for (key, value) in family.switches(self) { result[key] = value }
        return result
    }

    private func rotaryEntry() throws(CheckpointError) -> JSONOutput {
        switch rotaryScaling {
        case .none:
            return .null
        case .linear(let factor):
            return ["rope_type": "linear", "factor": .double(factor)]
        case .dynamicNTK(let factor, _):
            return ["rope_type": "dynamic", "factor": .double(factor)]
        case .yarn(let yarn):
            return yarn.entry
        case .llama3(let factor, let low, let high, let length):
            return [
                "rope_type": "llama3", "factor": .double(factor),
                "low_freq_factor": .double(low), "high_freq_factor": .double(high),
                "original_max_position_embeddings": .integer(length),
            ]
        case .divisors(let divisors):
            guard let named = llama3(giving: divisors) else {
                throw .configuration(
                    file: "the model", key: "rope_freqs.weight", found: "divisors of no known rule",
                    expected: "those of Llama 3, which config.json can name; write GGUF instead")
            }
            var copy = self
            copy.rotaryScaling = named
            return try copy.rotaryEntry()
        }
    }

    /// The scaling of Llama 3.1 or 3.2 that gives these divisors.
    ///
    /// GGUF keeps the quotients only. Every published model of the family uses these two factors, and
    /// was trained at a length that is a power of two.
    private func llama3(giving divisors: [Float]) -> RotaryScaling? {
        guard let factor = divisors.max() else { return nil }
        return (5...20).lazy.map { power in
            RotaryScaling.llama3(
                factor: Double(factor), lowFrequencyFactor: 1, highFrequencyFactor: 4,
                trainedLength: 1 << power)
        }
        .first { scaling in
            zip(rotaryDivisors(of: scaling), divisors).allSatisfy {
                ($0 - $1).magnitude <= 1e-4 * $1
            }
        }
    }

    /// What each base frequency is divided by, `[R / 2]`.
    func rotaryDivisors(of scaling: RotaryScaling) -> [Float] {
        func frequencies(_ scaling: RotaryScaling) -> [Float] {
            RotaryEmbedding(dimension: rotaryDimension, theta: ropeTheta, scaling: scaling)
                .frequencies(length: 1)
        }
        return zip(frequencies(.none), frequencies(scaling)).map { $0 / $1 }
    }
}

extension YaRN {
    fileprivate var entry: JSONOutput {
        var result: JSONOutput = [
            "rope_type": "yarn", "factor": .double(factor),
            "original_max_position_embeddings": .integer(trainedLength),
            "beta_fast": .double(betaFast), "beta_slow": .double(betaSlow),
        ]
        result["attention_factor"] = attentionFactor.map { .double($0) }
        result["mscale"] = mscale.map { .double($0) }
        result["mscale_all_dim"] = mscaleAllDimensions.map { .double($0) }
        if !truncate { result["truncate"] = false }
        return result
    }
}

extension ElementType {
    /// PyTorch's name of a float type, for `torch_dtype`.
    var torchName: String {
        switch self {
        case .f32: "float32"
        case .f16: "float16"
        case .bf16: "bfloat16"
        default: preconditionFailure("weights are not saved as \(name)")
        }
    }
}
