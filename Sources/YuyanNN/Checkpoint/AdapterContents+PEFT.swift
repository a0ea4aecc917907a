import YuyanFormats

extension AdapterContents {
    /// Writes a directory that PEFT, vLLM and Yuyan load: weights first, then the configuration.
    ///
    /// - Parameters:
    ///   - directory: Is created if it does not exist; other files in it stay.
    ///   - type: f32, f16 or bf16, of all tensors.
    /// - Throws: `FormatError`, with the system's reason if a file cannot be written.
    public func writePEFT(to directory: String, as type: ElementType = .f32) throws {
        precondition(!updates.isEmpty || !saved.isEmpty, "an adapter of nothing")
        let hasMagnitudes = updates.contains { $0.magnitude != nil }
        precondition(
            !hasMagnitudes || updates.allSatisfy { $0.magnitude != nil },
            "magnitudes of some updates only")
        try createFolder(directory)
        func place(_ name: String) -> String {
            directory.hasSuffix("/") ? directory + name : directory + "/" + name
        }
        try SafetensorsWriter().write(
            updates.flatMap { $0.tensors(as: type) } + saved.map { $0.adapterSource(as: type) },
            to: place("adapter_model.safetensors"))
        try writeAtomically(place("adapter_config.json")) {
            try $0.write(configuration.indented + "\n")
        }
    }

    /// `adapter_config.json`, with every key that PEFT writes for LoRA.
    var configuration: JSONOutput {
        let rank = Self.commonest(updates.map(\.rank)) ?? 8
        let alpha = Self.commonest(updates.map(\.alpha)) ?? 8
        func number(_ value: Double) -> JSONOutput {
            Int(exactly: value).map { .integer($0) } ?? .double(value)
        }
        let alphas = updates.filter { $0.alpha != alpha }.map {
            (key: $0.path, value: number($0.alpha))
        }
        let ranks = updates.filter { $0.rank != rank }
            .map { (key: $0.path, value: JSONOutput.integer($0.rank)) }
        let savedModules = saved.map { JSONOutput.string($0.modulePath) }
        let base: JSONOutput = baseModel.map { .string($0) } ?? .null
        let entries: KeyValuePairs<String, JSONOutput> = [
            "alpha_pattern": .object(alphas),
            "auto_mapping": .null,
            "base_model_name_or_path": base,
            "bias": .string("none"),
            "exclude_modules": .null,
            "fan_in_fan_out": .bool(false),
            "inference_mode": .bool(true),
            "init_lora_weights": .bool(true),
            "layer_replication": .null,
            "layers_pattern": .null,
            "layers_to_transform": .null,
            "loftq_config": .object([]),
            "lora_alpha": number(alpha),
            "lora_bias": .bool(false),
            "lora_dropout": .double(dropout),
            "megatron_config": .null,
            "megatron_core": .string("megatron.core"),
            "modules_to_save": savedModules.isEmpty ? .null : .array(savedModules),
            "peft_type": .string("LORA"),
            "r": .integer(rank),
            "rank_pattern": .object(ranks),
            "revision": .null,
            "target_modules": .array(targets.map { .string($0) }),
            "target_parameters": .null,
            "task_type": .string(scoresSequences ? "SEQ_CLS" : "CAUSAL_LM"),
            "trainable_token_indices": .null,
            "use_dora": .bool(updates.contains { $0.magnitude != nil }),
            "use_qalora": .bool(false),
            "use_rslora": .bool(usesRootScale),
        ]
        return .object(entries.map { (key: $0.key, value: $0.value) })
    }

    /// Names of targets: the last parts of paths if those say which modules are meant.
    private var targets: [String] {
        if let targetModules { return targetModules }
        let paths = Set(updates.map(\.path))
        func end(_ path: String) -> String {
            path.split(separator: ".").last.map(String.init) ?? path
        }
        let ends = Set(paths.map(end))
        let meant = knownModules.filter { ends.contains(end($0)) }
        let isMeant =
            !knownModules.isEmpty && meant.allSatisfy(paths.contains)
        return (isMeant ? ends : paths).sorted()
    }

    private static func commonest<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
        Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
            .max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }
}

extension AdapterContents.Update {
    fileprivate func tensors(as type: ElementType) -> [TensorSource] {
        func source(
            _ kind: AdapterTensorKind, _ shape: [Int], _ values: [Float]
        ) -> TensorSource {
            TensorSource(
                name: AdapterTensorName(module: path, kind: kind).text, shape: shape,
                values: values, as: type)
        }
        var result = [
            source(isEmbedding ? .embeddingDown : .down, [rank, inputWidth], down),
            source(isEmbedding ? .embeddingUp : .up, [outputWidth, rank], up),
        ]
        if let magnitude { result.append(source(.magnitude, [outputWidth], magnitude)) }
        return result
    }
}

extension NamedWeight {
    fileprivate var modulePath: String {
        name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name
    }

    fileprivate func adapterSource(as type: ElementType) -> TensorSource {
        source(as: type, fileName: AdapterTensorName.prefix + name)
    }
}
