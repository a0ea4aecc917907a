import YuyanFormats
import YuyanNN
import YuyanTensor

/// A decoder with the parameters that a run trains: the network that serves, not a copy of it.
///
/// One thread at a time uses it. A pass computes with the parameters' present values; after an
/// optimiser has changed them, call `parametersChanged`.
public final class TrainableModel {
    /// The model as it serves; LoRA's updates are in `adapter`.
    public let decoder: Decoder
    /// What is trained, in the order of the model, then of the adapter.
    package let parameters: [Parameter]
    /// The adapter that is trained, nil in the other methods.
    public let lowRank: TrainedAdapter?
    /// Whether layers are computed again in the backward instead of kept; changes no bit.
    public var checkpointsLayers = false
    /// Tokens that a pass takes, if its sequences are short enough; changes no bit.
    ///
    /// Activations grow with it, and nothing but speed is lost by a small one. It starts at 512, and at
    /// 256 over quantised weights, which are chosen to save memory: there activations are most of it.
    public var tokensPerPass = 512

    /// Opens a checkpoint for training.
    ///
    /// - Parameter adapters: Are added to the weights first, in order, and are not trained; `frozen` is
    ///   then `.stored`.
    /// - Throws: What loading throws; `AdapterError` and `TrainingError` if `method` names what the
    ///   model does not have.
    public convenience init(
        _ checkpoint: Checkpoint, method: TrainingMethod, frozen: FrozenWeights = .stored,
        merging adapters: [String] = [], adapterName: String = "default", on device: Device
    ) throws {
        guard adapters.isEmpty else {
            precondition(frozen == .stored, "adapters are merged into stored weights")
            let merged = try MergedWeights(checkpoint, merging: adapters, on: device)
            try self.init(
                shape: merged.shape, weights: merged, interleaved: false, method: method,
                frozen: frozen, adapterName: adapterName, name: checkpoint.path, on: device)
            return
        }
        let (family, shape) = try Families.shape(of: checkpoint)
        var weights: any WeightSource = checkpoint
        if case .fourBit(let type, let doubleQuantized) = frozen {
            weights = FourBitSource(checkpoint, as: type, doubleQuantized: doubleQuantized) {
                method.trains($0, layerCount: shape.layerCount)
            }
        }
        try self.init(
            shape: shape, weights: weights,
            interleaved: family.interleavesGGUFRows && checkpoint.isGGUF, method: method,
            frozen: frozen, adapterName: adapterName, name: checkpoint.path, on: device)
        if case .lowRank = method, frozen != .widened,
            frozen != .stored || checkpoint.tensors.contains(where: \.elementType.isBlockQuantised)
        {
            tokensPerPass = 256
        }
    }

    /// A model with random weights, to be trained from the beginning.
    public convenience init(
        random shape: ModelShape, seed: UInt64, standardDeviation: Float = 0.02,
        method: TrainingMethod = .full, on device: Device
    ) throws {
        try self.init(
            shape: shape,
            weights: RandomWeights(seed: seed, standardDeviation: standardDeviation),
            interleaved: false, method: method, frozen: .stored, adapterName: "default",
            name: shape.family, on: device)
    }

    /// Another adapter over the decoder of a model that is trained: a critic beside a policy.
    ///
    /// - Parameter prefix: Of its parameters' names.
    package init(
        sharing other: TrainableModel, _ configuration: LowRankConfiguration, name: String,
        prefix: String, on device: Device
    ) throws {
        decoder = other.decoder
        let adapter = try TrainedAdapter(
            name: name, configuration, for: decoder, prefix: prefix, on: device)
        lowRank = adapter
        parameters = adapter.parameters
        tokensPerPass = other.tokensPerPass
        checkpointsLayers = other.checkpointsLayers
    }

    private init(
        shape: ModelShape, weights: any WeightSource, interleaved: Bool, method: TrainingMethod,
        frozen: FrozenWeights, adapterName: String, name: String, on device: Device
    ) throws {
        Storage.keepPiecesOfTraining()
        let source = TrainingWeights(weights, widensFrozen: frozen == .widened) {
            method.trains($0, layerCount: shape.layerCount)
        }
        decoder = try Decoder(
            shape: shape, weights: source, interleaved: interleaved, on: device)
        if case .lowRank(let configuration, let whole) = method {
            let lowRank = try TrainedAdapter(
                name: adapterName, configuration, for: decoder, on: device)
            self.lowRank = lowRank
            parameters = source.parameters + lowRank.parameters
            for module in whole
            where !source.names.contains(where: { method.trains($0, module) }) {
                throw TrainingError.nothingTrained(
                    model: name, wanted: "'\(module)' in modules_to_save", names: source.names)
            }
        } else {
            lowRank = nil
            parameters = source.parameters
        }
        if case .nothing = method { return }
        guard !parameters.isEmpty else {
            throw TrainingError.nothingTrained(
                model: name, wanted: "the freeze rule", names: source.names)
        }
    }

    /// The adapter with its present values, to be served beside `decoder`; nil without one.
    public var adapter: LowRankAdapter? { lowRank?.adapter ?? loaded }
    /// An adapter of a model that is not trained.
    private var loaded: LowRankAdapter?

    /// Lets a model that is not trained answer through an adapter.
    ///
    /// - Parameter path: A PEFT directory or a GGUF file.
    /// - Throws: `AdapterError` or `FormatError`, naming file and tensor or key.
    public func load(adapter path: String, on device: Device) throws {
        precondition(parameters.isEmpty, "an adapter beside \(parameters.count) parameters")
        loaded = try LowRankAdapter(name: "default", path: path, for: decoder, on: device)
    }

    /// Numbers that are trained, without padding.
    public var trainedCount: Int { parameters.reduce(0) { $0 + $1.count } }

    /// Forgets all gradients: the beginning of an optimiser step.
    public func zeroGradients() { for parameter in parameters { parameter.zeroGradient() } }

    /// Takes note that an optimiser has changed the parameters' values.
    public func parametersChanged(on device: Device) { lowRank?.refresh(on: device) }
}

extension TrainingMethod {
    /// Whether a weight of the model itself is a parameter.
    func trains(_ name: String, layerCount: Int) -> Bool {
        switch self {
        case .full: true
        case .freeze(let rule): rule.trains(name, layerCount: layerCount)
        case .lowRank(_, let whole): whole.contains { trains(name, $0) }
        case .nothing: false
        }
    }

    /// Whether a weight belongs to the module of this name.
    func trains(_ name: String, _ module: String) -> Bool {
        FreezeRule.names(name.split(separator: ".").map(String.init), module)
    }
}

extension Families {
    /// The shape of a model that has a configuration but no weights yet.
    public static func shape(configuration: JSONDocument) throws -> ModelShape {
        let type = try configuration.root.string("model_type")
        guard let family = all.first(where: { $0.modelTypes.contains(type) }) else {
            throw CheckpointError.unsupportedArchitecture(
                file: configuration.name, found: type, supported: all.flatMap(\.modelTypes))
        }
        var shape = try ModelShape(configuration: configuration, family: family.name)
        try family.adjust(&shape, configuration.root, configuration.name)
        return shape
    }
}
