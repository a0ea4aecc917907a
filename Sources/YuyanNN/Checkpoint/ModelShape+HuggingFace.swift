import YuyanFormats

extension ModelShape {
    /// Reads the sizes of a llama-like model from `config.json`, of transformers 4 or 5.
    ///
    /// The family's own switches (biases, QK-norm, windows) are left for the family to set.
    ///
    /// - Throws: `FormatError` on missing or mistyped keys, `CheckpointError.configuration` on
    ///   impossible values.
    package init(configuration: JSONDocument, family: String) throws {
        let root = configuration.root
        let path = configuration.name
        func size(_ key: String) throws -> Int {
            try checkedSize(root.int(key), file: path, key: key)
        }
        let activation = try root.optionalString("hidden_act") ?? "silu"
        guard activation == "silu" || activation == "swish" else {
            throw CheckpointError.configuration(
                file: path, key: "hidden_act", found: activation, expected: "silu")
        }
        let width = try size("hidden_size")
        let heads = try size("num_attention_heads")
        let headDimension = try checkedSize(
            root.optionalInt("head_dim") ?? width / heads, file: path, key: "head_dim")
        let positions = try checkedSize(
            root.optionalInt("max_position_embeddings") ?? 2048, file: path,
            key: "max_position_embeddings")
        func object(_ key: String) throws -> JSONCursor? {
            guard let value = root[key], !value.isNull else { return nil }
            return try root.object(key)
        }
        let parameters = try object("rope_parameters")
        let scaling = try parameters ?? object("rope_scaling")
        let theta =
            try parameters?.optionalDouble("rope_theta") ?? root.optionalDouble("rope_theta")
        let partial = try root.optionalDouble("partial_rotary_factor") ?? 1
        guard partial > 0, partial <= 1 else {
            throw CheckpointError.configuration(
                file: path, key: "partial_rotary_factor", found: "\(partial)", expected: "0 to 1")
        }
        self.init(
            family: family, vocabularySize: try size("vocab_size"), width: width,
            hiddenWidth: try size("intermediate_size"), layerCount: try size("num_hidden_layers"),
            heads: heads, keyValueHeads: try root.optionalInt("num_key_value_heads") ?? heads,
            headDimension: headDimension,
            normEpsilon: try root.optionalDouble("rms_norm_eps") ?? 1e-6,
            ropeTheta: theta ?? 10_000,
            rotaryScaling: try scaling.map {
                try Self.rotaryScaling($0, file: path, root: root, maximumPositions: positions)
            } ?? .none,
            rotaryDimension: Int(Double(headDimension) * partial),
            maximumPositions: positions,
            tiedEmbeddings: try root.optionalBool("tie_word_embeddings") ?? false,
            queryKeyValueBias: false, outputBias: false, feedForwardBias: false,
            queryKeyNorm: false, windows: [])
        try validate(file: path)
        windows = Array(repeating: nil, count: layerCount)
    }

    private static func rotaryScaling(
        _ scaling: JSONCursor, file: String, root: JSONCursor, maximumPositions: Int
    ) throws -> RotaryScaling {
        let type = try scaling.optionalString("rope_type") ?? scaling.optionalString("type")
        func factor() throws -> Double {
            let factor = try scaling.double("factor")
            guard factor >= 1, factor.isFinite else {
                throw CheckpointError.configuration(
                    file: file, key: "rope_scaling.factor", found: "\(factor)",
                    expected: "at least 1")
            }
            return factor
        }
        func trainedLength() throws -> Int {
            let length =
                try scaling.optionalInt("original_max_position_embeddings")
                ?? root.optionalInt("original_max_position_embeddings") ?? maximumPositions
            return try checkedSize(
                length, file: file, key: "original_max_position_embeddings")
        }
        switch type ?? "default" {
        case "default":
            return .none
        case "linear":
            return .linear(factor: try factor())
        case "dynamic":
            return .dynamicNTK(factor: try factor(), trainedLength: maximumPositions)
        case "yarn":
            var yarn = YaRN(factor: try factor(), trainedLength: try trainedLength())
            yarn.betaFast = try scaling.optionalDouble("beta_fast") ?? yarn.betaFast
            yarn.betaSlow = try scaling.optionalDouble("beta_slow") ?? yarn.betaSlow
            yarn.attentionFactor = try scaling.optionalDouble("attention_factor")
            yarn.mscale = try scaling.optionalDouble("mscale")
            yarn.mscaleAllDimensions = try scaling.optionalDouble("mscale_all_dim")
            yarn.truncate = try scaling.optionalBool("truncate") ?? true
            try yarn.validate(file: file)
            return .yarn(yarn)
        case "llama3":
            let low = try scaling.double("low_freq_factor")
            let high = try scaling.double("high_freq_factor")
            guard low > 0, high > low else {
                throw CheckpointError.configuration(
                    file: file, key: "rope_scaling.high_freq_factor", found: "\(high)",
                    expected: "above low_freq_factor, \(low), and that above 0")
            }
            return .llama3(
                factor: try factor(), lowFrequencyFactor: low, highFrequencyFactor: high,
                trainedLength: try trainedLength())
        case let other:
            throw CheckpointError.configuration(
                file: file, key: "rope_scaling.rope_type", found: other,
                expected: "default, linear, dynamic, yarn or llama3")
        }
    }

    /// The windows per layer that `layer_types`, or else a rule, gives.
    package static func windows(
        _ root: JSONCursor, layerCount: Int, file: String, size: Int?, rule: (Int) -> Bool
    ) throws -> [Int?] {
        if let size, size < 1 {
            throw CheckpointError.configuration(
                file: file, key: "sliding_window", found: "\(size)", expected: "at least 1")
        }
        guard let types = root["layer_types"], !types.isNull else {
            return (0..<layerCount).map { rule($0) ? size : nil }
        }
        let names = types.array.map { $0.map(\.string) } ?? []
        guard names.count == layerCount else {
            throw CheckpointError.configuration(
                file: file, key: "layer_types", found: "\(names.count) entries",
                expected: "\(layerCount)")
        }
        return try names.map { name in
            switch name {
            case "full_attention": return nil
            case "sliding_attention": return size
            default:
                throw CheckpointError.configuration(
                    file: file, key: "layer_types", found: name ?? "no text",
                    expected: "full_attention or sliding_attention")
            }
        }
    }
}
