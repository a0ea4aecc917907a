import YuyanFormats
import YuyanNN
import YuyanTensor

/// A model of which all weights, or some by name, are trained themselves.
final class WeightTrainee: Trainee {
    private let pass: DecoderPass
    private let saved: SavedModel
    let parameters: [Parameter]

    init(_ pass: DecoderPass, parameters: [Parameter], saved: SavedModel) {
        self.pass = pass
        self.parameters = parameters
        self.saved = saved
    }

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) {
        pass.train(
            batch, adapter: nil, normalizer: normalizer, tokensBefore: tokensBefore,
            statistics: &statistics)
    }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) {
        pass.evaluate(batch, adapter: nil, statistics: &statistics)
    }

    func diagnose(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64
    ) -> NumericalFault? {
        let tripwire = Tripwire()
        var statistics = LossStatistics()
        pass.train(
            batch, adapter: nil, normalizer: normalizer, tokensBefore: tokensBefore,
            tripwire: tripwire, statistics: &statistics)
        return tripwire.fault
    }

    func refresh() {}

    /// In float32, so that nothing is lost on the way back.
    func save(to folder: String) throws { try saved.writeHuggingFace(to: folder, as: .f32) }

    func export(to folder: String, as type: ElementType) throws {
        try saved.writeHuggingFace(to: folder, as: type)
    }

    func restore(from folder: String) throws {
        let directory = try CheckpointDirectory(path: folder)
        for parameter in parameters {
            let entry = try directory.tensor(parameter.name)
            guard entry.elementType == .f32, entry.shape == parameter.shape else {
                throw FormatError.badValue(
                    file: folder, key: parameter.name,
                    found: "\(entry.elementType.name) \(entry.shape)",
                    expected: "F32 \(parameter.shape); was the checkpoint edited?")
            }
            parameter.load(rowMajor: try Tensor(entry).values)
        }
    }
}
