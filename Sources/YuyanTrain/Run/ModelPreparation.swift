import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// A model made ready to be trained by a recipe's method.
struct PreparedModel {
    let checkpoint: Checkpoint
    let decoder: Decoder
    let tokenizer: Tokenizer
    let template: ChatTemplate?
    let trainee: any Trainee
    /// Runs its passes; says whether layers are computed again.
    let pass: DecoderPass
    /// Numbers of the model, adapters excluded.
    let parameterCount: Int

    /// - Parameter path: The model's file or folder.
    init(_ recipe: Recipe, path: String, device: Device) throws {
        let checkpoint = try Checkpoint(path: path)
        self.checkpoint = checkpoint
        tokenizer = try Tokenizer(checkpoint: checkpoint)
        template = try Self.template(recipe, tokenizer: tokenizer, path: path)
        let (family, shape) = try Families.shape(of: checkpoint)
        let choice = TrainedNames(recipe, shape: shape)
        let weights = TrainingWeights(
            Self.source(recipe, checkpoint), widensFrozen: false, isTrained: choice.contains)
        let decoder = try Decoder(
            shape: shape, weights: weights,
            interleaved: family.interleavesGGUFRows && checkpoint.isGGUF
                && !recipe.model.fromScratch,
            on: device)
        self.decoder = decoder
        try choice.check(against: weights.names)
        parameterCount = decoder.multiplyAddsPerToken
        let pass = DecoderPass(
            decoder: decoder, device: device, seed: UInt64(recipe.run.seed))
        self.pass = pass
        guard recipe.method.type == .lora else {
            trainee = WeightTrainee(
                pass, parameters: weights.parameters)
            return
        }
        guard recipe.model.adapters.count <= 1, !recipe.model.createsNewAdapter else {
            throw RecipeError.conflict(
                file: "recipe", what: "adapters are not merged on the way in; merge them first "
                    + "with `yuyan adapter merge`, and train on its output")
        }
        let adapter = try TrainedAdapter(
            name: "trained", LowRankConfiguration(recipe), for: decoder, on: device)
        let own = AdapterTrainee(
            pass, adapter: adapter, whole: weights.parameters, recipe: recipe)
        if let start = recipe.model.adapters.first { try own.restore(from: start) }
        trainee = own
    }

    private static func source(_ recipe: Recipe, _ checkpoint: Checkpoint) -> any WeightSource {
        recipe.model.fromScratch ? RandomWeights(seed: UInt64(recipe.run.seed)) : checkpoint
    }

    /// The model's own chat template, or a Jinja file.
    private static func template(
        _ recipe: Recipe, tokenizer: Tokenizer, path: String
    ) throws -> ChatTemplate? {
        if let name = recipe.data.template, name.hasSuffix(".jinja") || name.contains("/") {
            let file = try MappedFile(path: name)
            let text = file.withBytes { all in
                all.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
            }
            return try ChatTemplate(source: text, name: name)
        }
        return try tokenizer.chatTemplate.map { try ChatTemplate(source: $0, name: path) }
    }
}

/// Which weights of the model itself are trained, by their names.
struct TrainedNames: Sendable {
    private let method: Recipe.Method
    private let layers: Range<Int>

    init(_ recipe: Recipe, shape: ModelShape) {
        method = recipe.method
        let count = min(abs(method.freezeTrainableLayers), shape.layerCount)
        layers =
            method.freezeTrainableLayers >= 0
            ? shape.layerCount - count..<shape.layerCount : 0..<count
    }

    func contains(_ name: String) -> Bool {
        switch method.type {
        case .full: return true
        case .lora: return Self.names(method.additionalTarget, name)
        case .oft: return false
        case .freeze:
            guard let layer = Self.layer(of: name) else {
                return Self.names(method.freezeExtraModules, name)
            }
            return layers.contains(layer)
                && (method.freezeTrainableModules == ["all"]
                    || Self.names(method.freezeTrainableModules, name))
        }
    }

    /// Refuses parts that no weight has in its name.
    func check(against names: [String]) throws(RecipeError) {
        let asked: [(key: String, parts: [String])] =
            switch method.type {
            case .lora: [("additional_target", method.additionalTarget)]
            case .freeze:
                [
                    ("freeze_trainable_modules", method.freezeTrainableModules),
                    ("freeze_extra_modules", method.freezeExtraModules),
                ]
            case .full, .oft: []
            }
        for (key, parts) in asked {
            for part in parts where part != "all" && !names.contains(where: { Self.names([part], $0) }) {
                let known = Set(names.flatMap { $0.split(separator: ".").map(String.init) })
                    .filter { Int($0) == nil && !["model", "layers", "weight", "bias"].contains($0) }
                throw .badValue(
                    place: "recipe", key: key, found: "'\(part)'",
                    expected: "parts of the model: \(known.sorted().joined(separator: ", "))")
            }
        }
        if method.type == .freeze, !names.contains(where: contains) {
            throw .badValue(
                place: "recipe", key: "freeze_trainable_layers",
                found: "\(method.freezeTrainableLayers)", expected: "layers to train")
        }
    }

    /// Whether one of the parts stands in the path of a weight, as a whole word or words.
    private static func names(_ parts: [String], _ name: String) -> Bool {
        parts.contains { (name + ".").contains("." + $0 + ".") || name.hasPrefix($0 + ".") }
    }

    private static func layer(of name: String) -> Int? {
        let parts = name.split(separator: ".")
        guard let place = parts.firstIndex(of: "layers"), place + 1 < parts.count else { return nil }
        return Int(parts[place + 1])
    }
}

extension LowRankConfiguration {
    /// What a recipe says of its adapter.
    init(_ recipe: Recipe) {
        self.init()
        let method = recipe.method
        rank = method.loraRank
        alpha = method.alpha
        targets = method.loraTarget == ["all"] ? .allLinear : .names(method.loraTarget)
        rankPattern = method.rankPattern.entries.map { ($0.name, Int($0.value)) }
        alphaPattern = method.alphaPattern.entries.map { ($0.name, $0.value) }
        dividesByRoot = method.usesRSLoRA
        hasMagnitudes = method.usesDoRA
        dropout = Float(method.loraDropout)
        initialization = method.loraInitialization == .kaiming ? .kaiming : .gaussian
        seed = UInt64(recipe.run.seed)
    }
}

extension Tokenizer {
    /// The tokenizer that lies in or beside a checkpoint.
    convenience init(checkpoint: Checkpoint) throws {
        switch checkpoint.source {
        case .gguf(let file): try self.init(gguf: file)
        case .huggingFace(let directory, _): try self.init(directory: directory.path)
        }
    }
}
