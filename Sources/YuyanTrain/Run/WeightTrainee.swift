import YuyanFormats
import YuyanNN
import YuyanTensor

/// A model of which all weights, or some by name, are trained themselves.
final class WeightTrainee: Trainee {
    private let pass: DecoderPass
    let parameters: [Parameter]

    init(_ pass: DecoderPass, parameters: [Parameter]) {
        self.pass = pass
        self.parameters = parameters
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

    func save(to folder: String) throws {
        let tensors = parameters.map {
            TensorSource(name: $0.name, shape: $0.shape, values: $0.rowMajor())
        }
        try SafetensorsWriter().write(tensors, to: folder + "/model.safetensors")
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
