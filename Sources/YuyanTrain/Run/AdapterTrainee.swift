import YuyanFormats
import YuyanNN
import YuyanTensor

/// A low-rank adapter over a frozen model.
final class AdapterTrainee: Trainee {
    private let pass: DecoderPass
    private let adapter: TrainedAdapter
    /// Weights that are trained whole beside the adapter.
    private let whole: [Parameter]
    private let recipe: Recipe

    /// - Parameter whole: Parameters of the model itself.
    init(
        _ pass: DecoderPass, adapter: TrainedAdapter, whole: [Parameter], recipe: Recipe
    ) {
        self.pass = pass
        self.adapter = adapter
        self.whole = whole
        self.recipe = recipe
        parameters = adapter.parameters + whole
    }

    let parameters: [Parameter]

    var served: LowRankAdapter? { adapter.adapter }

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) {
        pass.train(
            batch, adapter: adapter.adapter, normalizer: normalizer, tokensBefore: tokensBefore,
            statistics: &statistics)
    }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) {
        pass.evaluate(batch, adapter: adapter.adapter, statistics: &statistics)
    }

    func diagnose(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64
    ) -> NumericalFault? {
        let tripwire = Tripwire()
        var statistics = LossStatistics()
        pass.train(
            batch, adapter: adapter.adapter, normalizer: normalizer, tokensBefore: tokensBefore,
            tripwire: tripwire, statistics: &statistics)
        return tripwire.fault
    }

    func refresh() { adapter.refresh(on: pass.device) }

    func save(to folder: String) throws {
        let tensors = parameters.map {
            TensorSource(name: $0.savedName, shape: $0.shape, values: $0.rowMajor())
        }
        try SafetensorsWriter().write(tensors, to: folder + "/adapter_model.safetensors")
    }

    private func alpha(of module: TrainedAdapter.Module) -> Double {
        let entry = recipe.method.alphaPattern.entries.first {
            module.path == $0.name || module.path.hasSuffix("." + $0.name)
        }
        return entry?.value ?? recipe.method.alpha
    }

    func restore(from folder: String) throws {
        let file = try SafetensorsFile(path: folder + "/adapter_model.safetensors")
        for parameter in parameters {
            try parameter.load(file, name: parameter.savedName)
        }
        refresh()
    }
}

extension Parameter {
    /// The name in an adapter's file: weights that are trained whole have PEFT's prefix.
    fileprivate var savedName: String {
        name.hasPrefix("base_model.model.") ? name : "base_model.model." + name
    }

    /// Takes the values of a tensor of a file.
    ///
    /// - Throws: `FormatError.missingTensor`, or `.badValue` if it has another type or shape.
    func load(_ file: SafetensorsFile, name: String) throws {
        let entry = try file.tensor(name)
        guard entry.elementType == .f32, entry.shape == shape else {
            throw FormatError.badValue(
                file: file.file.path, key: name, found: "\(entry.elementType.name) \(entry.shape)",
                expected: "F32 \(shape); was the checkpoint edited?")
        }
        load(rowMajor: try Tensor(entry).values)
    }
}
