import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// A model made ready for a recipe's method: to be trained, or to answer only.
struct PreparedModel {
    let checkpoint: Checkpoint
    let model: TrainableModel
    let tokenizer: Tokenizer
    let template: ChatTemplate?
    /// Lines worth reading: settings that mean something else here.
    let notes: [String]

    var decoder: Decoder { model.decoder }

    /// Numbers of the model, adapters excluded.
    let parameterCount: Int

    /// - Parameter path: The model's file or folder.
    init(_ recipe: Recipe, path: String, device: Device) throws {
        checkpoint = try Checkpoint(path: path, needsWeights: !recipe.model.fromScratch)
        guard !SequenceClassifier.holds(checkpoint) else {
            throw RecipeError.badValue(
                place: "recipe", key: "model_name_or_path", found: "'\(recipe.model.path)'",
                expected: "a model that writes texts; this one scores them: name it with "
                    + "reward_model")
        }
        tokenizer = try Tokenizer(checkpoint: checkpoint)
        template = try Self.template(recipe, tokenizer: tokenizer, path: path)
        notes =
            try Self.notes(recipe, hasTemplate: template != nil) + MergedAdapters.notes(recipe)
        if !recipe.model.mergedAdapters.isEmpty { try checkpoint.checkFloats() }
        model =
            recipe.model.fromScratch
            ? try TrainableModel(
                random: try Families.shape(of: checkpoint).1, seed: UInt64(recipe.run.seed),
                standardDeviation: try checkpoint.initializerRange, on: device)
            : try TrainableModel(
                checkpoint, method: TrainingMethod(recipe), frozen: FrozenWeights(recipe.model),
                merging: recipe.model.mergedAdapters, on: device)
        parameterCount = model.decoder.weights(on: device)
            .reduce(0) { $0 + $1.shape.reduce(1, *) }
        guard !recipe.method.stage.trains, let path = recipe.model.startAdapter else { return }
        try model.load(adapter: path, on: device)
    }

    /// What the recipe's method trains, at its beginning or at the adapter that it goes on from.
    ///
    /// - Parameters:
    ///   - host: What reward functions with models of their own compute with.
    ///   - makeReader: How calls of tools are found in what the model writes.
    /// - Precondition: The stage trains something.
    func trainee(
        _ recipe: Recipe, host: RewardHost, device: Device,
        makeReader: @escaping TurnReaderMaker = ServedTurnReader.init
    ) throws -> any Trainee {
        let base = ModelTrainee(
            model, recipe: recipe, device: device,
            saved: SavedModel(decoder: model.decoder, source: checkpoint, device: device))
        let trainee: any Trainee =
            switch recipe.method.stage {
            case .pt, .sft: base
            case .rm, .prm:
                RewardTrainee(
                    base, recipe: recipe, padding: tokenizer.fillsWith, device: device)
            case .dpo, .orpo, .simpo, .cpo:
                try PreferenceTrainee(
                    base, recipe: recipe, checkpoint: checkpoint, device: device)
            case .kto:
                try UnpairedTrainee(
                    base, recipe: recipe, checkpoint: checkpoint, device: device)
            case .grpo, .rloo, .reinforce, .ppo:
                try PolicyTrainee(
                    base, recipe: recipe, tokenizer: tokenizer, template: template, place: "recipe",
                    host: host, device: device, makeReader: makeReader)
            case .sample: preconditionFailure("stage sample trains nothing")
            }
        if let start = recipe.model.startAdapter { try base.start(from: start) }
        return trainee
    }

    /// What rewards and tools are lent.
    ///
    /// - Parameters:
    ///   - stop: Ends what takes long.
    ///   - isDry: Whether programs and judges are only looked at.
    func host(
        _ recipe: Recipe, device: Device,
        modelPath: @escaping @Sendable (String) throws -> String, stop: StopRequest,
        isDry: Bool = false
    ) -> RewardHost {
        var host = RewardHost(
            device: device, seed: UInt64(recipe.run.seed), modelPath: modelPath, stop: stop,
            isDry: isDry)
        if recipe.keepsBase {
            host.own = .frozen(
                FrozenModel(
                    decoder: decoder, tokenizer: tokenizer, template: template,
                    name: recipe.model.path))
        }
        return host
    }

    /// The model's own chat template, or a Jinja file.
    private static func template(
        _ recipe: Recipe, tokenizer: Tokenizer, path: String
    ) throws -> ChatTemplate? {
        if let name = recipe.data.template, isTemplateFile(name) {
            return try ChatTemplate(source: MappedFile(path: name).text, name: name)
        }
        return try tokenizer.chatTemplate.map { try ChatTemplate(source: $0, name: path) }
    }

    /// Whether the recipe names a file, and not one of LLaMA-Factory's templates.
    static func isTemplateFile(_ template: String) -> Bool {
        template.hasSuffix(".jinja") || template.contains("/")
    }

    /// LLaMA-Factory's recipes name a template of its own; a misspelt path looks the same.
    private static func notes(_ recipe: Recipe, hasTemplate: Bool) -> [String] {
        guard let name = recipe.data.template, !isTemplateFile(name) else { return [] }
        let own =
            hasTemplate
            ? "the model's own chat template is used" : "the model has no chat template of its own"
        return [
            "'template' is '\(name)', which is not the path of a file: \(own); a path ends in .jinja "
                + "or has a slash"
        ]
    }
}

extension Device {
    /// The device that a recipe's run computes on.
    convenience init(_ recipe: Recipe) {
        self.init(
            threads: recipe.model.threads ?? ThreadPool.processorCount,
            precision: recipe.model.precision)
    }
}

extension Checkpoint {
    /// Refuses weights that an update cannot be added to without rounding them anew.
    ///
    /// - Throws: `RecipeError.conflict` naming the first.
    fileprivate func checkFloats() throws(RecipeError) {
        let quantised = tensors.first {
            $0.elementType.isBlockQuantised || [.u8, .i8].contains($0.elementType)
        }
        guard let quantised else { return }
        throw .conflict(
            file: "recipe",
            what: "adapters cannot be merged into \(path): '\(quantised.name)' is quantised "
                + "(\(quantised.elementType.name)); widen and merge first with `yuyan adapter merge "
                + "ADAPTER merged --model MODEL`, use its output as the model, and leave that adapter out"
        )
    }

    /// Standard deviation of fresh weights: `initializer_range`, or transformers' 0.02.
    fileprivate var initializerRange: Float {
        get throws {
            guard case .huggingFace(_, let configuration) = source,
                let value = try configuration.root.optionalDouble("initializer_range")
            else { return 0.02 }
            guard value > 0, value <= 1 else {
                throw FormatError.badValue(
                    file: configuration.name, key: "initializer_range", found: "\(value)",
                    expected: "a number above 0, at most 1")
            }
            return Float(value)
        }
    }
}

extension TrainingMethod {
    /// What a recipe trains.
    init(_ recipe: Recipe) {
        let method = recipe.method
        guard method.stage.trains else {
            self = .nothing
            return
        }
        switch method.type {
        case .full, .oft: self = .full
        case .freeze:
            self = .freeze(
                FreezeRule(
                    layers: method.freezeTrainableLayers,
                    modules: method.freezeTrainableModules == ["all"]
                        ? nil : method.freezeTrainableModules,
                    others: method.freezeExtraModules))
        case .lora:
            self = .lowRank(LowRankConfiguration(recipe), whole: method.additionalTarget)
        }
    }
}

extension FrozenWeights {
    /// How a recipe keeps what does not change.
    init(_ model: Recipe.Model) {
        self =
            model.quantizationBits == nil
            ? .stored
            : .fourBit(
                model.quantizationType == .nf4 ? .nf4 : .fp4,
                doubleQuantized: model.doubleQuantization)
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
