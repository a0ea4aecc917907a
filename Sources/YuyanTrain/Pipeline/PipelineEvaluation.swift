import YuyanFormats
import YuyanNN
import YuyanTensor

/// Prompts that a pipeline puts to the model of every stage, and rewards that score the answers.
///
/// The model writes its likeliest answer to each, as in the evaluations of stage grpo.
public struct PipelineEvaluation: Sendable {
    /// Everything but the model.
    private let template: Recipe

    /// Keys of recipes that an evaluation reads.
    private static let keys = [
        "dataset", "dataset_dir", "max_samples", "cutoff_len", "on_bad_row", "reward_funcs",
        "reward_weights", "reward_faults", "max_completion_length", "per_device_eval_batch_size",
        "template", "enable_thinking",
    ]

    /// - Throws: `PipelineError.unknownKey`, or `RecipeError` if a value cannot be.
    init(
        _ settings: [RecipeSetting], file: String, environment: (String) -> String?
    ) throws {
        for setting in settings where !Self.keys.contains(setting.key) {
            throw PipelineError.unknownKey(
                place: setting.place, key: "evaluate.\(setting.key)",
                nearest: nearestNames(to: setting.key, in: Self.keys))
        }
        func own(_ key: String, _ value: String) -> RecipeSetting {
            RecipeSetting(
                key: key, value: .scalar(value, isQuoted: false, line: 0), place: file)
        }
        let name = "\(file) (evaluate)"
        // Model and folder come with each stage.
        let source = try RecipeSource(
            settings + [
                own("stage", "grpo"), own("model_name_or_path", "model"), own("output_dir", "out"),
            ], name: name, environment: environment)
        var template = source.recipe
        template.optimisation.batchSize = template.run.evaluationBatchSize
        template.data.disablesShuffling = true
        try template.checkRewards(place: name, own: .changing)
        self.template = template
    }

    /// The evaluation of the model that a stage begins from, or, of its folder, that it ends with.
    func recipe(of stage: Recipe, result folder: String? = nil) -> Recipe {
        var recipe = template
        recipe.model = stage.model
        recipe.model.fromScratch = false
        if stage.method.type == .lora {
            recipe.method = stage.method
            if let folder {
                recipe.model.adapters = stage.model.mergedAdapters + [folder]
                recipe.model.createsNewAdapter = false
            }
        } else if let folder {
            recipe.model.path = folder
            recipe.model.adapters = []
            recipe.model.createsNewAdapter = false
        }
        recipe.method.stage = .grpo
        recipe.method.loraDropout = 0
        recipe.data.template = template.data.template ?? stage.data.template
        recipe.data.enableThinking = template.data.enableThinking ?? stage.data.enableThinking
        return recipe
    }

    /// Changes whenever the figures might, the model apart.
    func fingerprint(_ recipe: Recipe, fetchedFolder: String?) throws -> String {
        var asked = recipe
        // The model is known by its bytes, wherever it lies.
        asked.model.adapters = []
        return try asked.fixedHash + "-"
            + StageFiles.data(of: recipe, fetchedFolder: fetchedFolder)
    }

    /// Asks a model.
    ///
    /// - Parameters:
    ///   - recipe: One of `recipe(of:result:)`.
    ///   - stopSignal: The signal that asked to stop, if one did.
    ///   - progress: Hears how many prompts are answered, of how many.
    /// - Returns: The figures, under the names of a run's evaluations; nil if somebody asked to stop.
    /// - Throws: What is wrong with model or data.
    func figures(
        _ recipe: Recipe, modelPath: @escaping @Sendable (String) throws -> String,
        fetchedFolder: String?, stopSignal: @escaping @Sendable () -> Int32?,
        progress: (Int, Int) -> Void
    ) throws -> [(name: String, value: Double)]? {
        let device = Device(recipe)
        let model = try PreparedModel(recipe, path: modelPath(recipe.model.path), device: device)
        let trainee = try model.trainee(
            recipe,
            // A judge that changes with the stage would compare nothing, so there is no `self`.
            host: RewardHost(
                device: device, seed: UInt64(recipe.run.seed), modelPath: modelPath,
                stop: StopRequest(stopSignal)),
            device: device)
        let data = try PreparedData(
            recipe, tokenizer: model.tokenizer, template: model.template,
            vocabularySize: model.decoder.shape.vocabularySize, device: device,
            fetchedFolder: fetchedFolder)
        let loader = try data.data.loader(.training, epochs: 1)
        var batches: [TrainingBatch] = []
        while let loaded = try loader.next() { batches.append(loaded.batch) }
        var rest = batches.makeIterator()
        try trainee.prepare { rest.next() }
        let count = batches.reduce(0) { $0 + $1.samples.count }
        var done = 0
        var total = LossStatistics()
        for batch in batches {
            if stopSignal() != nil { return nil }
            do {
                try trainee.evaluate(batch, statistics: &total)
            } catch is Interruption {
                return nil
            }
            done += batch.samples.count
            progress(done, count)
        }
        trainee.concludeEvaluation(statistics: &total)
        return total.means.map { (name: $0.key, value: $0.value) }
    }
}
