import YuyanFormats
import YuyanTensor

/// A low-rank adapter whose matrices are trained.
///
/// `adapter` is what segments of a batch carry, in training and in serving alike.
public final class TrainedAdapter {
    /// One updated projection.
    package struct Module {
        /// Path as in `Module.path`.
        package let path: String
        package let rank: Int
        /// What the configuration, patterns included, gives this module.
        package let alpha: Double
        /// `alpha / r`, or what the configuration makes of it.
        package let scale: Float
        /// `A`, `[r, in]`.
        package let down: Parameter
        /// `B`, `[out, r]`.
        package let up: Parameter
        /// `m`, `[out]`.
        package let magnitude: Parameter?
        fileprivate let number: Int
        fileprivate let weight: PackedMatrix?
        fileprivate let matrices: (down: PackedMatrix, up: PackedMatrix)
    }

    /// What was asked for.
    public let configuration: LowRankConfiguration
    /// In the order of the model.
    package let modules: [Module]
    /// The updates with the parameters' present values; another object after `refresh`.
    public private(set) var adapter: LowRankAdapter
    private let name: String
    private let slots: Int

    /// Starts an adapter that changes nothing: `B` is zero.
    ///
    /// - Parameters:
    ///   - name: What requests call it, if it is served.
    ///   - model: Whose projections it updates.
    ///   - prefix: Of the parameters' names, to tell several adapters of a run apart.
    /// - Throws: `AdapterError` if the configuration names no module, or asks for the impossible.
    public init(
        name: String, _ configuration: LowRankConfiguration, for model: Decoder,
        prefix: String = "", on device: Device
    ) throws {
        let settings = try AdapterConfiguration(configuration)
        let modules = try model.projections.compactMap { projection -> Module? in
            guard let module = projection.module, try settings.names(module.path) else {
                return nil
            }
            let (rank, alpha) = try settings.rankAndAlpha(of: module.path)
            return try Module(
                projection, module, prefix: prefix, rank: rank, alpha: alpha,
                scale: settings.rankAndScale(of: module.path).scale, configuration, on: device)
        }
        try settings.checkAllNamed(in: model.projections.compactMap { $0.module?.path })
        self.configuration = configuration
        self.modules = modules
        self.name = name
        slots = model.projections.count
        adapter = Self.adapter(name: name, modules, configuration, slots: slots, on: device)
    }

    /// All matrices and magnitudes, named as PEFT's files name them.
    package var parameters: [Parameter] {
        modules.flatMap { [$0.down, $0.up] + ($0.magnitude.map { [$0] } ?? []) }
    }

    /// Takes note that the parameters' values have changed.
    ///
    /// Until then DoRA's lengths are those of before, and served prefixes count as valid.
    package func refresh(on device: Device) {
        adapter = Self.adapter(name: name, modules, configuration, slots: slots, on: device)
    }

    private static func adapter(
        name: String, _ modules: [Module], _ configuration: LowRankConfiguration, slots: Int,
        on device: Device
    ) -> LowRankAdapter {
        var updates = [LowRankAdapter.Update?](repeating: nil, count: slots)
        for module in modules {
            updates[module.number] = LowRankAdapter.Update(
                down: module.matrices.down, up: module.matrices.up, scale: module.scale,
                gain: module.gain(on: device), dropout: configuration.dropout,
                stream: UInt64(module.number))
        }
        let bytes = modules.reduce(0) { sum, module in
            sum + [module.down, module.up].reduce(0) { $0 + 4 * $1.storageCount }
                + 4 * (module.magnitude?.count ?? 0)
        }
        return LowRankAdapter(
            name: name, version: LowRankAdapter.freshVersion(), byteCount: bytes,
            parts: LowRankAdapter.Parts(updates: updates))
    }
}

extension TrainedAdapter.Module {
    fileprivate init(
        _ projection: any Projection, _ module: Module, prefix: String, rank: Int, alpha: Double,
        scale: Float, _ configuration: LowRankConfiguration, on device: Device
    ) throws {
        let prefix = prefix + "base_model.model." + module.path
        let downName = prefix + ".lora_A.weight"
        let random = CounterRandom(seed: configuration.seed)
        let (stream, columns) = (randomStream(of: downName), projection.inputWidth)
        let bound = 1 / Float(columns).squareRoot()
        let deviation = 1 / Float(rank)
        let initialization = configuration.initialization
        let matrices = (
            down: PackedMatrix(
                rows: rank, columns: columns, parameter: downName, on: device
            ) { row, values in
                for column in 0..<columns {
                    let position = UInt64(row * columns + column)
                    values[column] =
                        switch initialization {
                        case .kaiming:
                            (2 * random.uniform(stream: stream, position: position) - 1) * bound
                        case .gaussian:
                            random.normal(stream: stream, position: position) * deviation
                        }
                }
            },
            up: PackedMatrix(
                rows: projection.outputWidth, columns: rank, parameter: prefix + ".lora_B.weight",
                on: device
            ) { _, values in
                for column in 0..<rank { values[column] = 0 }
            }
        )
        guard let down = matrices.down.parameter, let up = matrices.up.parameter else {
            preconditionFailure("a trained matrix without a parameter")
        }
        var magnitude: Tensor?
        if configuration.hasMagnitudes {
            guard let weight = projection.packedWeight else {
                throw AdapterError.unsupported(
                    file: "the recipe", key: "use_dora", found: "true",
                    expected: "false: the lengths of this model's weights cannot be computed")
            }
            magnitude = Tensor(
                parameter: prefix + ".lora_magnitude_vector",
                weight.rowLengths(
                    adding: matrices.down.rowMajorTensor, matrices.up.rowMajorTensor,
                    scale: scale, on: device))
        }
        self.init(
            path: module.path, rank: rank, alpha: alpha, scale: scale, down: down, up: up,
            magnitude: magnitude?.parameter, number: module.number,
            weight: projection.packedWeight, matrices: matrices)
    }

    /// `m / ‖W + s B A‖` with the present values.
    fileprivate func gain(on device: Device) -> ColumnGain? {
        guard let magnitude, let weight else { return nil }
        let lengths = weight.rowLengths(
            adding: matrices.down.rowMajorTensor, matrices.up.rowMajorTensor, scale: scale,
            on: device)
        let shape = [lengths.count]
        return ColumnGain(
            factors: Tensor(zip(magnitude.values, lengths).map { $0 / $1 }, shape: shape),
            trained: (magnitude, Tensor(lengths.map { 1 / $0 }, shape: shape)))
    }
}

extension PackedMatrix {
    /// The values `[out, in]`, widened.
    fileprivate var rowMajorTensor: Tensor {
        Tensor((0..<rows).flatMap { row($0) }, shape: [rows, columns])
    }
}
