/// What is known of a run's data and model when rules look at its recipe; nil where it is not.
struct LintFacts: Sendable, Hashable {
    /// Of the whole run.
    var steps: Int?
    /// Passes over the data.
    var epochs: Double?
    /// Samples of the training data.
    var samples: Int?
    /// Tokens of the longest sample.
    var longest: Int?
    /// Tokens that the model was made for.
    var contextLength: Int?
    /// Answers that are called good, and bad.
    var desirable: Int?
    var undesirable: Int?
    /// Share of the answers in the data that are longer than `max_completion_length`.
    var longReferenceShare: Double?
}

/// A recipe as rules see it.
struct LintSubject: Sendable {
    let recipe: Recipe
    let facts: LintFacts

    var stage: Recipe.Stage { recipe.method.stage }
    var method: Recipe.Method { recipe.method }
    var alignment: Recipe.Alignment { recipe.alignment }
    var optimisation: Recipe.Optimisation { recipe.optimisation }
    var rate: Double { recipe.optimisation.learningRate }

    var isLowRank: Bool { method.type == .lora }
    var isFull: Bool { method.type == .full }
    var isPair: Bool { [.dpo, .orpo, .simpo, .cpo].contains(stage) }
    var writesAnswers: Bool { stage.writesAnswers }

    /// Whether the optimiser is one of Adam's kind, whose rates are the ones that people tell.
    var isAdam: Bool { optimisation.optimizer != "sgd" && !optimisation.optimizer.contains("lion") }

    /// Samples, or prompts, of a step.
    var samplesPerStep: Int { optimisation.batchSize * optimisation.accumulationSteps }

    /// Whether samples share rows.
    var isPacked: Bool { recipe.data.neatPacking || recipe.data.packing ?? (stage == .pt) }

    // MARK: - Rewards

    /// Whether a model that was itself learnt gives rewards.
    var hasLearntReward: Bool {
        writesAnswers
            && (!alignment.rewardModel.isEmpty
                || !Set([JudgeReward.kind, ProcessReward.kind])
                    .isDisjoint(with: alignment.rewards.kinds))
    }

    /// Whether nothing but one function with two values gives rewards.
    var hasOneBinaryReward: Bool {
        let kinds = alignment.rewards.kinds
        guard alignment.rewardModel.isEmpty, kinds.count == 1 else { return false }
        if kinds[0] == FormatReward.kind {
            return alignment.rewards.setting("partial", of: kinds[0]) != "true"
        }
        return [
            ArithmeticReward.kind, ChoiceReward.kind, RegexReward.kind, JSONSchemaReward.kind,
        ].contains(kinds[0])
    }

    /// Whether long answers, or repetitive ones, cost something or end the run.
    var isGuarded: Bool {
        let kinds = alignment.rewards.kinds
        let guards: [GuardName] = [.length, .repetition]
        return kinds.contains(LengthReward.kind) || kinds.contains(RepetitionReward.kind)
            || alignment.stoppingGuards.contains(where: guards.contains)
    }

    /// Whether answers that were cut lose reward for it.
    var punishesCut: Bool {
        alignment.rewards.setting("mode", of: LengthReward.kind) == "overlong"
    }
}
