import YuyanFormats
import YuyanTensor

/// Another source's weights, those that are trained as parameters in float32.
///
/// What is frozen stays in its stored format, unless it is asked for in float32.
package final class TrainingWeights: WeightSource {
    private let base: any WeightSource
    private let widensFrozen: Bool
    private let isTrained: (String) -> Bool
    /// In the order of the model: embedding, layers, last norm, head.
    package private(set) var parameters: [Parameter] = []
    /// All names that were asked for.
    package private(set) var names: [String] = []

    /// - Parameters:
    ///   - widensFrozen: Whether frozen matrices are widened to float32 too.
    ///   - isTrained: Whether the weight of this name, with its `.weight` or `.bias`, is trained.
    package init(
        _ base: any WeightSource, widensFrozen: Bool, isTrained: @escaping (String) -> Bool
    ) {
        self.base = base
        self.widensFrozen = widensFrozen
        self.isTrained = isTrained
    }

    package func matrix(
        _ name: String, rows: Int, columns: Int, rowOrder: [Int]?, on device: Device
    ) throws -> PackedMatrix {
        names.append(name)
        let isTrained = isTrained(name)
        guard isTrained || widensFrozen else {
            return try base.matrix(
                name, rows: rows, columns: columns, rowOrder: rowOrder, on: device)
        }
        // The stored matrix lives until it is widened; its memory must not outlive it in an arena.
        let stored = try base.matrix(
            name, rows: rows, columns: columns, rowOrder: rowOrder, on: device.withOwnPieces)
        guard isTrained || stored.elementType != .f32 else { return stored }
        let matrix = PackedMatrix(
            widening: stored, parameter: isTrained ? name : nil, on: device)
        if let parameter = matrix.parameter { parameters.append(parameter) }
        return matrix
    }

    package func vector(_ name: String, count: Int, rowOrder: [Int]?) throws -> Tensor {
        names.append(name)
        let stored = try base.vector(name, count: count, rowOrder: rowOrder)
        guard isTrained(name) else { return stored }
        let vector = Tensor(parameter: name, stored.values)
        if let parameter = vector.parameter { parameters.append(parameter) }
        return vector
    }
}

/// Random weights to train from: normal matrices, norms of one, biases of zero.
///
/// As transformers initialises a decoder (`initializer_range`). A number is a function of the seed,
/// the weight's name and its place, whatever else the model holds.
package struct RandomWeights: WeightSource {
    private let random: CounterRandom
    private let standardDeviation: Float

    package init(seed: UInt64, standardDeviation: Float = 0.02) {
        random = CounterRandom(seed: seed)
        self.standardDeviation = standardDeviation
    }

    package func matrix(
        _ name: String, rows: Int, columns: Int, rowOrder: [Int]?, on device: Device
    ) throws -> PackedMatrix {
        let stream = randomStream(of: name)
        let (random, deviation) = (random, standardDeviation)
        return PackedMatrix(
            rows: rows, columns: columns, parameter: nil, on: device
        ) { row, values in
            for column in 0..<columns {
                let position = UInt64((rowOrder?[row] ?? row) * columns + column)
                values[column] = random.normal(stream: stream, position: position) * deviation
            }
        }
    }

    package func vector(_ name: String, count: Int, rowOrder: [Int]?) throws -> Tensor {
        let value: Float = name.hasSuffix(".bias") ? 0 : 1
        return Tensor(Array(repeating: value, count: count), shape: [count])
    }
}

/// The random stream of a weight: the 64-bit FNV-1a hash of its name.
func randomStream(of name: String) -> UInt64 {
    name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
