import YuyanFormats

/// One run of a pipeline.
public struct PipelineStage: Sendable {
    /// Unique in its pipeline.
    public let name: String
    /// Its recipe, with the folders of earlier stages where it names them.
    public let source: RecipeSource
    /// Earlier stages that it takes from, by their places, in order.
    public let inputs: [Int]

    /// What it runs.
    public var recipe: Recipe { source.recipe }
    /// Where its result goes.
    public var folder: String { source.recipe.run.outputFolder }
}

extension Recipe {
    /// What is in the folder of a stage of this recipe once it is finished.
    enum StageResult {
        /// A PEFT folder that answers prompts.
        case adapter
        /// A PEFT folder with a head that scores.
        case judge
        /// A whole model's folder.
        case model
        /// Files of rows.
        case data

        var description: String {
            switch self {
            case .adapter: "an adapter"
            case .judge: "a reward model's adapter"
            case .model: "a whole model"
            case .data: "rows of data"
            }
        }
    }

    var stageResult: StageResult {
        guard method.stage.trains else { return .data }
        guard method.type == .lora else { return .model }
        return scoresAnswers ? .judge : .adapter
    }

    /// Whether what is trained scores answers instead of writing them.
    private var scoresAnswers: Bool { [.rm, .prm].contains(method.stage) }

    /// Builds the reward functions once, so that a mistake in them does not wait for its stage.
    ///
    /// - Parameter own: What `model: self` of a judge means; by default as in the stage's run.
    /// - Throws: `RecipeError` or `RewardError`.
    func checkRewards(place: String, own: RewardHost.OwnModel? = nil) throws {
        guard !alignment.rewards.nodes.isEmpty else { return }
        var host = RewardHost()
        host.own = own ?? (keepsBase ? .promised : .changing)
        _ = try RewardSet(
            alignment.rewards, weights: alignment.rewardWeights, policy: alignment.rewardFaults,
            place: place, host: host)
    }

    /// Refuses to take from an earlier stage what that does not leave.
    func check(
        _ use: StageReferences.Use, of name: String, leaving other: Recipe
    ) throws(PipelineError) {
        let leaves = other.stageResult
        func refuse(_ advice: String) -> PipelineError {
            .wrongResult(
                place: use.place, key: use.key, stage: name, leaves: leaves.description,
                advice: advice)
        }
        switch (use.key, leaves) {
        case ("adapter_name_or_path", .model):
            throw refuse("name it with model_name_or_path")
        case ("adapter_name_or_path", .judge) where stageResult != .judge:
            throw refuse("name it with reward_model")
        case ("model_name_or_path", .adapter), ("model_name_or_path", .judge):
            throw refuse(
                "name it with adapter_name_or_path, and with model_name_or_path the model under it")
        case ("model_name_or_path", .model) where other.scoresAnswers:
            throw refuse("name it with reward_model")
        case ("reward_model", .adapter),
            ("reward_model", .model) where !other.scoresAnswers:
            throw refuse("a reward_model is trained by stage rm")
        case ("dataset", .adapter), ("dataset", .model), ("dataset", .judge),
            ("eval_dataset", .adapter), ("eval_dataset", .model), ("eval_dataset", .judge):
            throw refuse("stage sample writes data")
        case ("adapter_name_or_path", .data), ("model_name_or_path", .data),
            ("reward_model", .data):
            throw refuse("name a stage that trains")
        default: break
        }
    }

    /// Keys that decide which numbers an adapter has, and over which model.
    private static let adapterKeys = [
        "model_name_or_path", "lora_rank", "lora_alpha", "lora_target", "additional_target",
        "rank_pattern", "alpha_pattern", "use_rslora", "use_dora",
    ]

    /// Refuses to go on from an adapter of another form, which the run itself would find out only then.
    func checkAdapter(
        _ use: StageReferences.Use, of name: String, formedBy other: Recipe
    ) throws(PipelineError) {
        guard use.key == "adapter_name_or_path", use.isFolder,
            [.adapter, .judge].contains(stageResult)
        else { return }
        let folder = other.run.outputFolder
        func isFolder(_ path: String) -> Bool { path == folder || path == folder + "/" }
        let before = Array(model.adapters.prefix { !isFolder($0) })
        guard before == other.model.mergedAdapters else {
            func list(_ adapters: [String]) -> String { adapters.joined(separator: ", ") }
            throw .otherAdapter(
                place: use.place, key: use.key, found: "'\(list(model.adapters))'", stage: name,
                expected: "'\(list(other.model.mergedAdapters + [folder]))'")
        }
        // What is merged may have any form.
        let isTrained = model.startAdapter.map(isFolder) == true
        let names = isTrained ? Self.adapterKeys : ["model_name_or_path"]
        for key in names.compactMap({ Self.keysByName[$0] }) {
            var (found, expected) = (key.node(self).inline, key.node(other).inline)
            if key.name == "lora_alpha" {
                // Nothing given means twice the rank.
                (found, expected) = (method.alpha.shortText, other.method.alpha.shortText)
            }
            guard found == expected else {
                throw .otherAdapter(
                    place: use.place, key: key.name, found: found, stage: name,
                    expected: expected)
            }
        }
    }
}
