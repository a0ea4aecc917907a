import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// A model that is trained by itself, or through an adapter.
final class ModelTrainee: Trainee {
    let model: TrainableModel
    private let recipe: Recipe
    private let device: Device
    /// How the whole model is saved; nil if only what is trained is.
    private let saved: SavedModel?
    /// The head of a reward model, which is trained and saved with it.
    var score: Parameter?

    init(_ model: TrainableModel, recipe: Recipe, device: Device, saved: SavedModel? = nil) {
        self.saved = saved
        self.model = model
        self.recipe = recipe
        self.device = device
    }

    var parameters: [Parameter] { model.parameters + (score.map { [$0] } ?? []) }

    /// What transformers' sequence classification calls the head.
    static let scoreName = "score.weight"

    var served: LowRankAdapter? { model.adapter }

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) throws {
        try model.addGradients(
            of: TrainingTokens(batch, after: tokensBefore), normalizer: normalizer,
            statistics: &statistics, seed: UInt64(recipe.run.seed), on: device)
    }

    var evaluationNames: [String] { ["mean_token_accuracy", "entropy"] }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) {
        model.addLoss(of: TrainingTokens(batch, after: 0), statistics: &statistics, on: device)
    }

    func diagnose(_ batch: TrainingBatch, tokensBefore: UInt64) -> NumericalFault? {
        model.fault(
            in: TrainingTokens(batch, after: tokensBefore), seed: UInt64(recipe.run.seed),
            on: device)
    }

    func damagedWeight(near place: String) -> DamagedWeight? {
        model.damagedWeight(near: place, on: device)
    }

    func refresh() { model.parametersChanged(on: device) }

    // MARK: - Files

    /// In float32, so that nothing is lost on the way back.
    func save(to folder: String) throws { try export(to: folder, as: .f32) }

    /// An adapter as PEFT reads it, or a whole model as transformers does.
    func export(to folder: String, as type: ElementType) throws {
        if let lowRank = model.lowRank {
            try contents(of: lowRank).writePEFT(to: folder, as: type)
            try MergedAdapters(recipe)?.write(to: folder)
        } else if let saved {
            try saved.writeHuggingFace(to: folder, as: type, scoredBy: scoreWeight)
        } else {
            let tensors = parameters.map {
                TensorSource(name: $0.name, shape: $0.shape, values: $0.rowMajor())
            }
            try SafetensorsWriter().write(tensors, to: folder + "/model.safetensors")
        }
    }

    private func contents(of lowRank: TrainedAdapter) -> AdapterContents {
        let method = recipe.method
        var contents = AdapterContents(
            updates: lowRank.modules.map { module in
                AdapterContents.Update(
                    path: module.path, rank: module.rank, alpha: module.alpha,
                    down: module.downRows, up: module.up.rowMajor(),
                    magnitude: module.magnitude?.rowMajor(), isEmbedding: module.isEmbedding)
            })
        let adapted = Set(lowRank.parameters.map(\.name))
        let whole = Set(model.parameters.map(\.name).filter { !adapted.contains($0) })
        if !whole.isEmpty {
            contents.saved = model.decoder.weights(on: device).filter { whole.contains($0.name) }
            // A tied head was trained as the embedding; without a weight of its own PEFT would leave
            // it the base's.
            if model.trainsTiedHead,
                let table = contents.saved.first(where: { $0.name == TrainableModel.tableName })
            {
                contents.saved.append(
                    NamedWeight(name: "lm_head.weight", shape: table.shape, rows: table.rows))
            }
        }
        if let scoreWeight {
            contents.saved.append(scoreWeight)
            contents.scoresSequences = true
        }
        contents.usesRootScale = method.usesRSLoRA
        contents.dropout = method.loraDropout
        contents.baseModel = recipe.model.path
        if method.loraTarget != ["all"] { contents.targetModules = method.loraTarget }
        return contents
    }

    private var scoreWeight: NamedWeight? {
        score.map { score in
            let values = score.rowMajor()
            return NamedWeight(name: score.name, shape: score.shape) { _ in values }
        }
    }

    func restore(from folder: String) throws {
        try load(parameters, from: folder)
        refresh()
    }

    /// Goes on from an adapter of the very form that is trained; a head that it lacks begins anew.
    ///
    /// - Throws: `AdapterError` with the first difference.
    func start(from folder: String) throws {
        let heads = try model.checkAdapter(folder, optional: score.map { [$0.name] } ?? [])
        try load(
            model.parameters + [score].compactMap { $0 }.filter { heads.contains($0.name) },
            from: folder)
        refresh()
    }

    /// Reads some of the trained numbers.
    func load(_ parameters: [Parameter], from folder: String) throws {
        if model.lowRank == nil {
            let directory = try CheckpointDirectory(path: folder)
            for parameter in parameters {
                try parameter.load(directory.tensor(parameter.name), from: folder)
            }
        } else {
            let path = folder + "/adapter_model.safetensors"
            let file = try SafetensorsFile(path: path)
            let transposed = model.lowRank?.modules.first { $0.isEmbedding }?.down.name
            for parameter in parameters {
                // Weights that are trained whole have PEFT's prefix too.
                let prefix = "base_model.model."
                let name =
                    parameter.name.hasPrefix(prefix) ? parameter.name : prefix + parameter.name
                try parameter.load(
                    file.tensor(name), from: path, transposed: parameter.name == transposed)
            }
        }
    }
}

extension TrainingTokens {
    init(_ batch: TrainingBatch, after tokens: UInt64) {
        self.init(
            tokens: batch.tokens, weights: batch.weights, lengths: batch.lengths,
            firstToken: tokens)
    }
}

extension TrainableModel {
    /// Checks that a PEFT folder has the very form that is trained.
    ///
    /// - Parameter optional: Names of weights that it may hold or lack.
    /// - Returns: Those of them that it holds.
    /// - Throws: `AdapterError` with the first difference.
    func checkAdapter(_ directory: String, optional: [String]) throws -> [String] {
        guard let lowRank else { return [] }
        let adapted = Set(lowRank.parameters.map(\.name))
        let whole = parameters.map(\.name).filter { !adapted.contains($0) }
        return try lowRank.check(
            directory: directory, whole: whole + (trainsTiedHead ? ["lm_head.weight"] : []),
            optional: optional, of: decoder)
    }

    static let tableName = "model.embed_tokens.weight"

    /// Whether the head changes because it is the embedding.
    var trainsTiedHead: Bool {
        decoder.shape.tiedEmbeddings && parameters.contains { $0.name == Self.tableName }
    }
}

extension Parameter {
    /// Takes the values of a file's tensor.
    ///
    /// - Parameter transposed: Whether the file has a matrix's columns as rows.
    /// - Throws: `FormatError` if it has another shape.
    func load(_ entry: TensorEntry, from path: String, transposed: Bool = false) throws {
        let expected = transposed ? shape.reversed() : shape
        guard entry.shape == expected else {
            throw FormatError.badValue(
                file: path, key: entry.name, found: "\(entry.shape)",
                expected: "\(expected); does the recipe match the file?")
        }
        let values = try Tensor(entry).values
        guard transposed else { return load(rowMajor: values) }
        let (rows, columns) = (shape[0], shape[1])
        load(rowMajor: values.indices.map { values[$0 % columns * rows + $0 / columns] })
    }
}
