import YuyanFormats
import YuyanTensor

/// A low-rank adapter whose matrices are trained.
///
/// `adapter` is what segments of a batch carry, in training and in serving alike.
public final class TrainedAdapter {
    /// One updated projection, or the embedding.
    package struct Module {
        /// Path as in `Module.path`.
        package let path: String
        package let rank: Int
        /// What the configuration, patterns included, gives this module.
        package let alpha: Double
        /// `alpha / r`, or what the configuration makes of it.
        package let scale: Float
        /// Whether it is the embedding, whose rows are looked up.
        package let isEmbedding: Bool
        /// `A`, `[r, in]`; of the embedding transposed, `[V, r]`.
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
        let embedding = try Module(
            embeddingOf: model, settings, prefix: prefix, configuration, on: device)
        let projected = try model.projections.compactMap { projection -> Module? in
            guard let module = projection.module, try settings.names(module.path) else {
                return nil
            }
            let (rank, alpha) = try settings.rankAndAlpha(of: module.path)
            return try Module(
                projection, module, prefix: prefix, rank: rank, alpha: alpha,
                scale: settings.rankAndScale(of: module.path).scale, configuration, on: device)
        }
        try settings.checkAllNamed(
            in: model.projections.compactMap { $0.module?.path } + [Self.embeddingPath])
        let modules = (embedding.map { [$0] } ?? []) + projected
        self.configuration = configuration
        self.modules = modules
        self.name = name
        slots = model.projections.count
        adapter = Self.adapter(name: name, modules, configuration, slots: slots, on: device)
    }

    /// The path of the embedding in the Hugging Face layout.
    static let embeddingPath = "model.embed_tokens"

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
        var embedding: LowRankAdapter.Embedding?
        for module in modules {
            var update = LowRankAdapter.Update(
                down: module.matrices.down, up: module.matrices.up, scale: module.scale,
                gain: module.gain(on: device))
            guard !module.isEmbedding else {
                embedding = LowRankAdapter.Embedding(update: update)
                continue
            }
            update.dropout = configuration.dropout
            update.stream = UInt64(module.number)
            updates[module.number] = update
        }
        let bytes = modules.reduce(0) { sum, module in
            sum + [module.down, module.up].reduce(0) { $0 + 4 * $1.storageCount }
                + 4 * (module.magnitude?.count ?? 0)
        }
        return LowRankAdapter(
            name: name, version: LowRankAdapter.freshVersion(), byteCount: bytes,
            parts: LowRankAdapter.Parts(updates: updates, embedding: embedding))
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
            path: module.path, rank: rank, alpha: alpha, scale: scale, isEmbedding: false,
            down: down, up: up, magnitude: magnitude?.parameter, number: module.number,
            weight: projection.packedWeight, matrices: matrices)
    }

    /// The update of the embedding, if it is asked for: `A` begins at zero and `B` normal with
    /// deviation 1, as PEFT has it, so that here too nothing changes at first.
    fileprivate init?(
        embeddingOf model: Decoder, _ settings: AdapterConfiguration, prefix: String,
        _ configuration: LowRankConfiguration, on device: Device
    ) throws {
        let path = TrainedAdapter.embeddingPath
        guard try settings.namesEmbedding(path) else { return nil }
        guard !configuration.hasMagnitudes else {
            throw AdapterError.unsupported(
                file: "the recipe", key: "use_dora", found: "true",
                expected: "false where lora_target names embed_tokens")
        }
        let (rank, alpha) = try settings.rankAndAlpha(of: path)
        func name(_ kind: AdapterTensorKind) -> String {
            prefix + AdapterTensorName(module: path, kind: kind).text
        }
        let random = CounterRandom(seed: configuration.seed)
        let stream = randomStream(of: name(.embeddingUp))
        let matrices = (
            down: PackedMatrix(
                rows: model.embeddingTable.rows, columns: rank, parameter: name(.embeddingDown),
                on: device
            ) { _, values in
                for column in 0..<rank { values[column] = 0 }
            },
            up: PackedMatrix(
                rows: model.embeddingTable.columns, columns: rank, parameter: name(.embeddingUp),
                on: device
            ) { row, values in
                for column in 0..<rank {
                    values[column] = random.normal(
                        stream: stream, position: UInt64(row * rank + column))
                }
            }
        )
        guard let down = matrices.down.parameter, let up = matrices.up.parameter else {
            preconditionFailure("a trained matrix without a parameter")
        }
        self.init(
            path: path, rank: rank, alpha: alpha, scale: try settings.rankAndScale(of: path).scale,
            isEmbedding: true, down: down, up: up, magnitude: nil, number: -1, weight: nil,
            matrices: matrices)
    }

    /// `A` `[r, in]`, row after row, as files have it.
    package var downRows: [Float] {
        let stored = down.rowMajor()
        guard isEmbedding else { return stored }
        let count = stored.count / rank
        return (0..<stored.count).map { stored[$0 % count * rank + $0 / count] }
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
