import YuyanFormats
import YuyanTensor

extension TrainedAdapter {
    /// Checks that a folder holds an adapter of this very form, so that its numbers may be taken.
    ///
    /// Shapes alone do not tell: with another alpha, or with rsLoRA, the same numbers would count
    /// differently, and modules that only one side has would be lost or begin at zero.
    ///
    /// - Parameters:
    ///   - directory: What PEFT's `save_pretrained` wrote, or a checkpoint.
    ///   - whole: Names of the model's own weights that are trained beside the adapter.
    ///   - optional: Names of weights that the folder may hold or lack: the head of a reward model.
    ///   - model: Whose projections both update.
    /// - Returns: Those of `optional` that the folder holds.
    /// - Throws: `AdapterError` with the first difference; `FormatError` on unreadable files.
    package func check(
        directory: String, whole: [String], optional: [String] = [], of model: Decoder
    ) throws -> [String] {
        let files = try AdapterFiles(directory: directory)
        try check(try files.configuration(), of: model)
        let weights = try SafetensorsFile(file: files.weights)
        let found = Set(weights.tensors.map(\.name))
        let expected = Set(parameters.map(\.name) + whole.map { AdapterTensorName.prefix + $0 })
        if let name = expected.subtracting(found).min() {
            throw AdapterError.missingTensor(
                name: name, file: files.weights.path, reason: "the recipe trains it")
        }
        let brought = optional.filter { found.contains(AdapterTensorName.prefix + $0) }
        let known = expected.union(brought.map { AdapterTensorName.prefix + $0 })
        if let name = found.subtracting(known).min() {
            throw AdapterError.unusedTensor(
                name: name, file: files.weights.path,
                reason: "the recipe does not train it; compare stage, lora_target and "
                    + "additional_target")
        }
        return brought
    }

    private func check(_ saved: AdapterConfiguration, of model: Decoder) throws {
        func compare<Value: Equatable>(
            _ key: String, _ found: Value, _ expected: Value, of path: String? = nil, _ ours: String
        ) throws(AdapterError) {
            guard found != expected else { return }
            let place = path.map { " for '\($0)'" } ?? ""
            throw .configuration(
                file: saved.file, key: key, found: "\(found)\(place)",
                expected: "\(expected), as the recipe's \(ours)")
        }
        try compare("use_dora", saved.hasMagnitudes, configuration.hasMagnitudes, "use_dora")
        try compare("use_rslora", saved.dividesByRoot, configuration.dividesByRoot, "use_rslora")
        let trained = Dictionary(uniqueKeysWithValues: modules.map { ($0.path, $0) })
        let paths = [Self.embeddingPath] + model.projections.compactMap { $0.module?.path }
        for path in paths {
            let isSaved =
                try path == Self.embeddingPath ? saved.namesEmbedding(path) : saved.names(path)
            guard let module = trained[path] else {
                guard isSaved else { continue }
                throw AdapterError.configuration(
                    file: saved.file, key: "target_modules", found: "with '\(path)'",
                    expected: "without it, as the recipe's lora_target")
            }
            guard isSaved else {
                throw AdapterError.configuration(
                    file: saved.file, key: "target_modules", found: "without '\(path)'",
                    expected: "with it, as the recipe's lora_target")
            }
            let (rank, alpha) = try saved.rankAndAlpha(of: path)
            try compare("r", rank, module.rank, of: path, "lora_rank and rank_pattern")
            try compare("lora_alpha", alpha, module.alpha, of: path, "lora_alpha and alpha_pattern")
        }
    }
}
