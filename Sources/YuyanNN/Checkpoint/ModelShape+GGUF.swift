import YuyanFormats
import YuyanTensor

extension ModelShape {
    /// Reads the sizes of a llama-like model from GGUF metadata; the family's switches are unset.
    ///
    /// - Throws: `FormatError` on missing or mistyped keys, `CheckpointError.configuration` on
    ///   impossible values.
    package init(gguf file: GGUFFile, family: String, architecture: String) throws {
        let path = file.file.path
        func key(_ name: String) -> String { "\(architecture).\(name)" }
        func size(_ name: String) throws -> Int {
            try checkedSize(file.int(key(name)), file: path, key: key(name))
        }
        let width = try size("embedding_length")
        let heads = try size("attention.head_count")
        let keyValueHeads = try file.optionalInt(key("attention.head_count_kv")) ?? heads
        let headDimension = try file.optionalInt(key("attention.key_length")) ?? width / heads
        if let valueLength = try file.optionalInt(key("attention.value_length")),
            valueLength != headDimension
        {
            throw CheckpointError.configuration(
                file: path, key: key("attention.value_length"), found: "\(valueLength)",
                expected: "the key length, \(headDimension)")
        }
        let embedding = try file.tensor("token_embd.weight")
        guard embedding.shape.count == 2 else {
            throw CheckpointError.shape(
                name: embedding.name, file: path, expected: [0, width], found: embedding.shape)
        }
        self.init(
            family: family, vocabularySize: embedding.shape[0], width: width,
            hiddenWidth: try size("feed_forward_length"), layerCount: try size("block_count"),
            heads: heads, keyValueHeads: keyValueHeads, headDimension: headDimension,
            normEpsilon: try file.double(key("attention.layer_norm_rms_epsilon")),
            ropeTheta: try file.optionalDouble(key("rope.freq_base")) ?? 10_000,
            rotaryScaling: .none,
            rotaryDimension: try file.optionalInt(key("rope.dimension_count")) ?? headDimension,
            maximumPositions: try size("context_length"),
            tiedEmbeddings: !file.tensors.contains { $0.name == "output.weight" },
            queryKeyValueBias: file.tensors.contains { $0.name == "blk.0.attn_q.bias" },
            outputBias: file.tensors.contains { $0.name == "blk.0.attn_output.bias" },
            feedForwardBias: file.tensors.contains { $0.name == "blk.0.ffn_gate.bias" },
            queryKeyNorm: file.tensors.contains { $0.name == "blk.0.attn_q_norm.weight" },
            windows: [])
        rotaryScaling = try Self.rotaryScaling(
            file, prefix: architecture, maximumPositions: maximumPositions,
            rotaryDimension: rotaryDimension)
        try validate(file: path)
        windows = Array(repeating: nil, count: layerCount)
    }

    private static func rotaryScaling(
        _ file: GGUFFile, prefix: String, maximumPositions: Int, rotaryDimension: Int
    ) throws -> RotaryScaling {
        func key(_ name: String) -> String { "\(prefix).rope.\(name)" }
        let path = file.file.path
        if let entry = file.tensors.first(where: { $0.name == "rope_freqs.weight" }) {
            guard entry.shape == [rotaryDimension / 2] else {
                throw CheckpointError.shape(
                    name: entry.name, file: path, expected: [rotaryDimension / 2],
                    found: entry.shape)
            }
            let divisors = try Tensor(entry).values
            guard let odd = divisors.first(where: { !($0 > 0 && $0.isFinite) }) else {
                return .divisors(divisors)
            }
            throw CheckpointError.configuration(
                file: path, key: entry.name, found: "\(odd)", expected: "positive divisors")
        }
        let factor =
            try file.optionalDouble(key("scaling.factor"))
            ?? file.optionalDouble(key("scale_linear")) ?? 1
        guard factor > 0, factor.isFinite else {
            throw CheckpointError.configuration(
                file: path, key: key("scaling.factor"), found: "\(factor)", expected: "above 0")
        }
        switch try file.optionalString(key("scaling.type")) ?? "linear" {
        case "none":
            return .none
        case "linear":
            return factor == 1 ? .none : .linear(factor: factor)
        case "yarn":
            let lengthKey = key("scaling.original_context_length")
            let trained = try file.optionalInt(lengthKey) ?? maximumPositions
            var yarn = YaRN(
                factor: factor,
                trainedLength: try checkedSize(trained, file: path, key: lengthKey))
            yarn.betaFast = try file.optionalDouble(key("scaling.yarn_beta_fast")) ?? yarn.betaFast
            yarn.betaSlow = try file.optionalDouble(key("scaling.yarn_beta_slow")) ?? yarn.betaSlow
            yarn.attentionFactor = try file.optionalDouble(key("scaling.yarn_attn_factor"))
            try yarn.validate(file: path)
            return .yarn(yarn)
        case let other:
            throw CheckpointError.configuration(
                file: path, key: key("scaling.type"), found: other,
                expected: "none, linear or yarn")
        }
    }
}

/// A size from a file, refused unless it is one that a model could have.
func checkedSize(_ value: Int, file: String, key: String) throws -> Int {
    guard value > 0, value <= 1 << 24 else {
        throw CheckpointError.configuration(
            file: file, key: key, found: "\(value)", expected: "1 to \(1 << 24)")
    }
    return value
}

extension ModelShape {
    /// Refuses sizes that contradict each other, before anything is allocated.
    func validate(file: String) throws {
        func refuse(_ key: String, _ found: Any, _ expected: String) -> CheckpointError {
            .configuration(file: file, key: key, found: "\(found)", expected: expected)
        }
        guard keyValueHeads > 0, heads.isMultiple(of: keyValueHeads) else {
            throw refuse("key/value heads", keyValueHeads, "a divisor of the \(heads) heads")
        }
        guard headDimension > 0, headDimension <= 1024 else {
            throw refuse("head dimension", headDimension, "1 to 1024")
        }
        guard heads <= 1 << 14, layerCount <= 4096 else {
            throw refuse("layers, heads", "\(layerCount), \(heads)", "at most 4096, 16384")
        }
        guard rotaryDimension > 0, rotaryDimension <= headDimension,
            rotaryDimension.isMultiple(of: 2)
        else {
            throw refuse("rotary dimension", rotaryDimension, "even, at most \(headDimension)")
        }
        guard normEpsilon >= 0, normEpsilon < 1 else {
            throw refuse("norm epsilon", normEpsilon, "0 to 1")
        }
        guard ropeTheta > 1, ropeTheta.isFinite else {
            throw refuse("rope theta", ropeTheta, "a number above 1")
        }
    }
}

extension YaRN {
    /// Refuses parameters that would make frequencies or the attention factor NaN or infinite.
    func validate(file: String) throws {
        let parameters: [(String, Double?)] = [
            ("beta_fast", betaFast), ("beta_slow", betaSlow),
            ("attention_factor", attentionFactor),
        ]
        for case (let key, let value?) in parameters where !(value > 0 && value.isFinite) {
            throw CheckpointError.configuration(
                file: file, key: "yarn's \(key)", found: "\(value)",
                expected: "a positive number")
        }
        for (key, value) in [("mscale", mscale), ("mscale_all_dim", mscaleAllDimensions)]
        where value ?? 0 < 0 {
            throw CheckpointError.configuration(
                file: file, key: "yarn's \(key)", found: "\(value ?? 0)",
                expected: "at least 0")
        }
    }
}
