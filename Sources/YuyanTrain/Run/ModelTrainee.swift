import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// A model that is trained by itself, or through an adapter.
final class ModelTrainee: Trainee {
    let model: TrainableModel
    private let recipe: Recipe
    private let device: Device

    init(_ model: TrainableModel, recipe: Recipe, device: Device) {
        self.model = model
        self.recipe = recipe
        self.device = device
    }

    var parameters: [Parameter] { model.parameters }

    var served: LowRankAdapter? { model.adapter }

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) throws {
        try model.addGradients(
            of: TrainingTokens(batch, after: tokensBefore), normalizer: normalizer,
            statistics: &statistics, seed: UInt64(recipe.run.seed), on: device)
    }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) {
        model.addLoss(of: TrainingTokens(batch, after: 0), statistics: &statistics, on: device)
    }

    func diagnose(_ batch: TrainingBatch, tokensBefore: UInt64) -> NumericalFault? {
        model.fault(
            in: TrainingTokens(batch, after: tokensBefore), seed: UInt64(recipe.run.seed),
            on: device)
    }

    func refresh() { model.parametersChanged(on: device) }

    // MARK: - Files

    /// In float32, so that nothing is lost on the way back.
    func save(to folder: String) throws {
        let tensors = parameters.map {
            TensorSource(name: savedName($0), shape: $0.shape, values: $0.rowMajor())
        }
        try SafetensorsWriter().write(tensors, to: folder + "/" + fileName)
    }

    func restore(from folder: String) throws {
        let file = try SafetensorsFile(path: folder + "/" + fileName)
        for parameter in parameters {
            let name = savedName(parameter)
            let entry = try file.tensor(name)
            guard entry.elementType == .f32, entry.shape == parameter.shape else {
                throw FormatError.badValue(
                    file: file.file.path, key: name,
                    found: "\(entry.elementType.name) \(entry.shape)",
                    expected: "F32 \(parameter.shape); was the checkpoint edited?")
            }
            parameter.load(rowMajor: try Tensor(entry).values)
        }
        refresh()
    }

    private var fileName: String {
        model.lowRank == nil ? "model.safetensors" : "adapter_model.safetensors"
    }

    /// In an adapter's file weights that are trained whole have PEFT's prefix too.
    private func savedName(_ parameter: Parameter) -> String {
        model.lowRank == nil || parameter.name.hasPrefix("base_model.model.")
            ? parameter.name : "base_model.model." + parameter.name
    }
}

extension TrainingTokens {
    init(_ batch: TrainingBatch, after tokens: UInt64) {
        self.init(
            tokens: batch.tokens, weights: batch.weights, lengths: batch.lengths,
            firstToken: tokens)
    }
}
