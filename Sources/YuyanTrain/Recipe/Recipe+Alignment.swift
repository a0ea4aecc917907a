import YuyanFormats

extension Recipe {
    /// How answers are judged, written and learnt from, in the stages behind fine-tuning.
    public struct Alignment: Sendable, Hashable {
        /// Which loss pairs of answers get.
        public var preferenceLoss = PreferenceMethod.sigmoid
        /// How strongly the reference holds the model, or the scale of the loss's margin.
        public var preferenceBeta = 0.1
        /// Weight of the chosen answer's own likelihood.
        public var preferenceLikelihood = 0.0
        /// Share of pairs that are taken to be the wrong way round.
        public var labelSmoothing = 0.0
        /// By how much SimPO wants the chosen answer to be better.
        public var simPOGamma = 0.5
        /// Weight of the chosen answer's likelihood in CPO.
        public var contrastiveLikelihood = 1.0
        /// Weight of good answers in KTO.
        public var desirableWeight = 1.0
        /// Weight of bad answers in KTO.
        public var undesirableWeight = 1.0
        /// How strongly a reward model's scores are drawn to a mean of 0.
        public var centering = 0.0
        /// What scores a completion: see docs/alignment.md.
        public var rewards = RecipeRewards()
        /// One factor for each reward.
        public var rewardWeights: [Double] = []
        /// What becomes of a reward that is no number.
        public var rewardFaults = RewardFaultPolicy.stop
        /// Answers to each prompt.
        public var generations = 8
        /// Most tokens of an answer.
        public var completionLength = 256
        /// Of the distribution that answers are drawn from.
        public var temperature = 1.0
        /// Mass of the most likely tokens that may be drawn.
        public var topP = 1.0
        /// Number of the most likely tokens that may be drawn; 0: all.
        public var topK = 0
        /// Least probability of a token in relation to the best one.
        public var minP = 0.0
        /// Weight of the divergence from the reference.
        public var beta = 0.0
        /// How the divergence is measured; nil: see `Recipe.divergence`.
        public var divergence: DivergenceName?
        /// Whether the divergence lowers the reward instead of raising the loss; nil: as the method's
        /// paper has it.
        public var divergenceInReward: Bool?
        /// How far below 1 a ratio counts.
        public var epsilon = 0.2
        /// How far above 1 a ratio counts; nil: as far as below.
        public var epsilonHigh: Double?
        /// Largest ratio at a negative advantage.
        public var delta: Double?
        /// What token losses are divided by, and the shape of the loss.
        public var lossType = PolicyLossName.dapo
        /// What rewards are divided by.
        public var rewardScale = RewardScale.group
        /// What a ratio is taken of.
        public var ratioLevel = RatioLevel.token
        /// Steps on one set of answers.
        public var iterations = 1
        /// Whether answers that were cut are left out of the loss.
        public var masksTruncated = false
        /// Weight of the entropy, which is raised.
        public var entropyCoefficient = 0.0
        /// How often groups whose answers all earn the same are replaced by those of other prompts.
        public var resamples = 0
        /// Folder of the reference's log-probabilities; empty for `reference` in the output.
        public var referenceCache = ""
        /// What the model may call while it answers: see docs/alignment.md.
        public var tools = RecipeTools()
        /// Most times that an answer stops for its calls.
        public var toolRounds = 4
        /// Most tokens that come to an answer each time.
        public var toolTokens = 256
        /// What becomes of a tool that fails.
        public var toolFaults = ToolFaultPolicy.tell
        /// Folder of a reward model, an adapter or whole; empty for none.
        public var rewardModel = ""
        /// PPO's penalty for leaving the reference.
        public var klCoefficient = 0.05
        /// The divergence that the penalty is steered to; nil: the penalty stays.
        public var klTarget: Double?
        /// Answers over which that steering takes effect.
        public var klHorizon = 10_000.0
        /// Worth of a reward one token later.
        public var gamma = 1.0
        /// 0: trust the critic; 1: trust what was earned.
        public var lambda = 0.95
        /// How far the critic's word may move in a step.
        public var valueClip = 0.2
        /// Weight of the critic's loss.
        public var valueCoefficient = 0.1
        /// Taken from the score of an answer that was cut.
        public var missingEndPenalty = 0.0
        /// Whether rewards are brought to a variance of 1.
        public var whitensRewards = false
        /// Steps on one set of answers, in PPO.
        public var ppoEpochs = 4
        /// Guards whose alarm ends the run.
        public var stoppingGuards: [GuardName] = []

        /// TRL's and LLaMA-Factory's defaults.
        public init() {}
    }

    /// Estimates of a divergence, and the divergence itself.
    public enum DivergenceName: String, CaseIterable, Sendable { case k1, k2, k3, exact }

    /// Policy losses, as TRL's GRPOTrainer names them.
    public enum PolicyLossName: String, CaseIterable, Sendable {
        case grpo, bnpo, dapo, cispo
        case drGRPO = "dr_grpo"
    }

    /// What rewards are divided by to become advantages.
    public enum RewardScale: String, CaseIterable, Sendable { case group, batch, none }

    /// What an importance ratio is taken of.
    public enum RatioLevel: String, CaseIterable, Sendable { case token, sequence }

    static let alignmentKeys: [RecipeKey] = [
        RecipeKey(
            "pref_loss", \.alignment.preferenceLoss,
            "dpo: the loss of a pair; stages orpo, simpo and cpo are dpo with that loss. cpo: its "
                + "form: sigmoid, hinge, ipo or simpo."),
        RecipeKey("pref_beta", \.alignment.preferenceBeta, "Beta of that loss, and of KTO."),
        RecipeKey(
            "reference_cache", \.alignment.referenceCache, .free,
            "Folder for the log-probabilities of the model as it was, which runs on the same data may "
                + "share; by default reference in output_dir; none: not kept."),
        RecipeKey(
            "pref_ftx", \.alignment.preferenceLikelihood,
            "Weight of the chosen answer's own likelihood beside it."),
        RecipeKey(
            "dpo_label_smoothing", \.alignment.labelSmoothing,
            "Share of pairs taken to be the wrong way round: cDPO, and robust DPO."),
        RecipeKey("simpo_gamma", \.alignment.simPOGamma, "SimPO's margin."),
        RecipeKey(
            "cpo_alpha", \.alignment.contrastiveLikelihood, "Weight of CPO's likelihood term."),
        RecipeKey("kto_chosen_weight", \.alignment.desirableWeight, "kto: weight of good answers."),
        RecipeKey(
            "kto_rejected_weight", \.alignment.undesirableWeight, "kto: weight of bad answers."),
        RecipeKey(
            "center_rewards_coefficient", \.alignment.centering,
            "rm: how strongly scores are drawn to a mean of 0."),
        RecipeKey(
            "reward_funcs", \.alignment.rewards,
            "grpo, sample: what scores an answer, such as [arithmetic, {name: length, target: 64}]."
        ),
        RecipeKey(
            "reward_weights", \.alignment.rewardWeights, "A factor for each of them; 1 each."),
        RecipeKey(
            "reward_faults", \.alignment.rewardFaults,
            "A reward that fails or is no number: stop the run, skip it, or count zero."),
        RecipeKey("num_generations", \.alignment.generations, "Answers to each prompt: the group."),
        RecipeKey(
            "max_completion_length", \.alignment.completionLength,
            "Most tokens that the model writes in an answer; those of tools come on top."),
        RecipeKey(
            "temperature", \.alignment.temperature, "Of the distribution answers are drawn from."),
        RecipeKey("top_p", \.alignment.topP, "Draw from the likeliest tokens of this mass."),
        RecipeKey("top_k", \.alignment.topK, "Draw from so many likeliest tokens; 0: from all."),
        RecipeKey(
            "min_p", \.alignment.minP, "Draw tokens at least this likely in relation to the best."),
        RecipeKey("beta", \.alignment.beta, "Weight of the divergence from the reference."),
        RecipeKey(
            "kl_estimator", \.alignment.divergence,
            "k1, k2, k3: estimates of the divergence; exact: over the whole vocabulary. Nothing: k1 in "
                + "rewards, k3 in the loss."),
        RecipeKey(
            "kl_in_reward", \.alignment.divergenceInReward,
            "The divergence lowers the reward instead of raising the loss. Nothing: so in rloo and "
                + "reinforce++, as in their papers, unless it is exact."),
        RecipeKey("epsilon", \.alignment.epsilon, "How far below 1 a ratio counts."),
        RecipeKey(
            "epsilon_high", \.alignment.epsilonHigh,
            "How far above 1 a ratio counts (DAPO's clip-higher); of cispo the largest ratio, 5."),
        RecipeKey("delta", \.alignment.delta, "Largest ratio at a negative advantage."),
        RecipeKey(
            "loss_type", \.alignment.lossType,
            "What token losses are divided by, as in TRL; cispo: its own loss, over all tokens."),
        RecipeKey("scale_rewards", \.alignment.rewardScale, "What rewards are divided by."),
        RecipeKey(
            "importance_sampling_level", \.alignment.ratioLevel,
            "token, or sequence for GSPO."),
        RecipeKey("num_iterations", \.alignment.iterations, "Steps on one set of answers."),
        RecipeKey(
            "mask_truncated_completions", \.alignment.masksTruncated,
            "Leave answers that were cut out of the loss, or of what stage sample keeps."),
        RecipeKey(
            "entropy_coef", \.alignment.entropyCoefficient,
            "Weight of the entropy, which is raised."),
        RecipeKey(
            "dynamic_sampling", \.alignment.resamples,
            "How often groups that all earn the same give way to groups of the next prompts (DAPO); "
                + "those left in the end are dropped."),
        RecipeKey(
            "tools", \.alignment.tools,
            "What the model may call: [calculator, {name: search, program: ./search.py}]."),
        RecipeKey(
            "max_tool_calling_iterations", \.alignment.toolRounds,
            "Most times that an answer stops for its calls."),
        RecipeKey(
            "max_tool_tokens", \.alignment.toolTokens,
            "Most tokens that come to an answer each time, the template's among them; longer "
                + "results are cut."),
        RecipeKey(
            "tool_faults", \.alignment.toolFaults,
            "A tool that hangs, crashes or babbles: tell the model, or stop the run."),
        RecipeKey(
            "reward_model", \.alignment.rewardModel,
            "A reward model as one more reward: the folder of an adapter of stage rm over the same base, "
                + "or of a whole model (…ForSequenceClassification)."),
        RecipeKey(
            "kl_coef", \.alignment.klCoefficient, "ppo: penalty for leaving the reference."),
        RecipeKey(
            "ppo_target", \.alignment.klTarget,
            "ppo: the divergence of an answer that kl_coef is steered to; nothing: kl_coef stays."),
        RecipeKey(
            "kl_horizon", \.alignment.klHorizon,
            "ppo: answers over which ppo_target changes kl_coef; fewer: faster."),
        RecipeKey("gamma", \.alignment.gamma, "ppo: worth of a reward one token later."),
        RecipeKey("lam", \.alignment.lambda, "ppo: lambda of generalised advantages."),
        RecipeKey(
            "cliprange_value", \.alignment.valueClip, "ppo: how far a value may move in a step."),
        RecipeKey("vf_coef", \.alignment.valueCoefficient, "ppo: weight of the critic's loss."),
        RecipeKey(
            "missing_eos_penalty", \.alignment.missingEndPenalty,
            "ppo: taken from the score of an answer that was cut."),
        RecipeKey(
            "ppo_whiten_rewards", \.alignment.whitensRewards,
            "ppo: bring rewards to a variance of 1."),
        RecipeKey("ppo_epochs", \.alignment.ppoEpochs, "ppo: steps on one set of answers."),
        RecipeKey(
            "stop_on_alarm", \.alignment.stoppingGuards, .free,
            "Guards whose alarm, if it lasts for ten steps, ends the run."),
    ]
}

extension Recipe.Alignment {
    /// Most tokens of an answer, those of tools included.
    var answerLength: Int { completionLength + (tools.isEmpty ? 0 : toolRounds * toolTokens) }
}

extension Recipe {
    /// Steps that are taken on one set of micro-batches.
    var repetitions: Int {
        if method.stage == .ppo { return alignment.ppoEpochs }
        return method.stage.writesAnswers ? alignment.iterations : 1
    }

    /// Tokens of a pass, if a model would take so many: a group shares one computation of its prompt.
    func tokensPerPass(_ usual: Int, longestPrompt: Int) -> Int {
        guard method.stage.writesAnswers else { return usual }
        let group = longestPrompt + alignment.generations * alignment.answerLength
        return max(usual, min(group, 1024))
    }

    /// Whether the divergence lowers rewards: by itself where the method's paper has it so.
    var lowersRewards: Bool {
        alignment.divergenceInReward
            ?? ([.rloo, .reinforce].contains(method.stage) && alignment.divergence != .exact)
    }

    /// How the divergence is measured: by itself without bias in rewards, as GRPO has it in a loss.
    var divergence: DivergenceName { alignment.divergence ?? (lowersRewards ? .k1 : .k3) }

    /// How often groups that teach nothing are replaced; 0 where answers are not compared in groups.
    var resamples: Int {
        let compares = method.stage.writesAnswers && method.stage.trains && method.stage != .ppo
        return compares && alignment.generations > 1 ? alignment.resamples : 0
    }

    /// Whether answers are compared with the model as it was.
    var needsReference: Bool {
        method.stage == .ppo ? alignment.klCoefficient > 0 : alignment.beta > 0
    }

    /// Refuses settings of judged answers that cannot be.
    func checkAlignment(_ file: String) throws(RecipeError) {
        let (stage, a) = (method.stage, alignment)
        guard stage != .pt, stage != .sft else { return }
        func need(
            _ isRight: Bool, _ key: String, _ found: String, _ expected: String
        ) throws(RecipeError) {
            guard isRight else {
                throw .badValue(place: file, key: key, found: found, expected: expected)
            }
        }
        let number = NumberCheck(file: file)
        if data.packing == true || data.neatPacking {
            throw .conflict(
                file: file, what: "answers that are judged are not packed; remove packing")
        }
        if data.trainsOnPrompt {
            throw .conflict(
                file: file, what: "stage \(stage.rawValue) judges answers; remove train_on_prompt")
        }
        if model.fromScratch {
            throw .conflict(
                file: file,
                what: "stage \(stage.rawValue) needs a trained model to begin from; "
                    + "remove train_from_scratch")
        }
        try number("pref_beta", a.preferenceBeta, a.preferenceBeta > 0, "above 0")
        try number("pref_ftx", a.preferenceLikelihood, a.preferenceLikelihood >= 0, "at least 0")
        if stage == .cpo {
            let form = CPOLoss.Form(rawValue: a.preferenceLoss.rawValue)
            try need(
                form != nil || a.preferenceLoss == .cpo, "pref_loss", a.preferenceLoss.rawValue,
                "a form of CPO: sigmoid, hinge, ipo or simpo")
        }
        let limit = a.preferenceLoss == .robust ? 0.5 : 1
        try number(
            "dpo_label_smoothing", a.labelSmoothing, (0..<limit).contains(a.labelSmoothing),
            "from 0 to below \(limit)")
        try number(
            "cpo_alpha", a.contrastiveLikelihood, a.contrastiveLikelihood >= 0, "at least 0")
        try number("kto_chosen_weight", a.desirableWeight, a.desirableWeight > 0, "above 0")
        try number("kto_rejected_weight", a.undesirableWeight, a.undesirableWeight > 0, "above 0")
        try number("center_rewards_coefficient", a.centering, a.centering >= 0, "at least 0")
        try number("simpo_gamma", a.simPOGamma, a.simPOGamma >= 0, "at least 0")
        if stage == .kto {
            try need(
                optimisation.batchSize > 1, "per_device_train_batch_size",
                "\(optimisation.batchSize)",
                "2 or more: kto measures the divergence on other prompts of the micro-batch")
        }
        guard stage.writesAnswers else { return }
        try checkDraws(file)
        guard stage.trains else {
            try checkSampling(file)
            return
        }
        try checkRollouts(file)
        let prompts = optimisation.batchSize * optimisation.accumulationSteps
        switch stage {
        case .ppo: break
        case .reinforce:
            try need(
                a.generations * prompts > 1, "num_generations",
                "\(a.generations), with one prompt a step",
                "2 or more, or more prompts a step (per_device_train_batch_size times "
                    + "gradient_accumulation_steps): an answer is compared with all of its step")
        default:
            try need(
                a.generations > 1, "num_generations", "\(a.generations)",
                "2 or more: an answer is compared with the others of its group")
        }
        try need(
            !a.rewards.nodes.isEmpty || !a.rewardModel.isEmpty, "reward_funcs", "empty",
            "at least one, such as [arithmetic], or a reward_model")
        if a.stoppingGuards.contains(.divergence) {
            try need(
                needsReference, "stop_on_alarm", "kl",
                "a reference to measure it from: beta above 0, or kl_coef in ppo")
        }
        if a.divergence == .exact, needsReference, stage != .ppo {
            try need(
                a.temperature == 1 && a.topP == 1 && a.topK == 0 && a.minP == 0, "kl_estimator",
                "exact, of another distribution than answers are drawn from",
                "temperature: 1 without top_p, top_k or min_p; or k1, k2, k3")
        }
        if stage == .ppo {
            try need(
                a.ratioLevel == .token, "importance_sampling_level", a.ratioLevel.rawValue,
                "token: the critic's advantages differ from token to token")
            try need(
                method.type == .lora, "finetuning_type", method.type.rawValue,
                "lora: the four roles of ppo share one base")
            try number("kl_coef", a.klCoefficient, a.klCoefficient >= 0, "at least 0")
            try number(
                "missing_eos_penalty", a.missingEndPenalty, a.missingEndPenalty >= 0, "at least 0")
            if let target = a.klTarget { try number("ppo_target", target, target > 0, "above 0") }
            try number("kl_horizon", a.klHorizon, a.klHorizon > 0, "above 0")
            try number("gamma", a.gamma, (0...1).contains(a.gamma), "0 to 1")
            try number("lam", a.lambda, (0...1).contains(a.lambda), "0 to 1")
            try number("cliprange_value", a.valueClip, a.valueClip > 0, "above 0")
            try number("vf_coef", a.valueCoefficient, a.valueCoefficient > 0, "above 0")
            try number(
                "ppo_epochs", Double(a.ppoEpochs), (1...1000).contains(a.ppoEpochs), "1 to 1000")
        }
    }

    /// Refuses ways to draw answers that cannot be.
    private func checkDraws(_ file: String) throws(RecipeError) {
        let a = alignment
        let number = NumberCheck(file: file)
        try number(
            "num_generations", Double(a.generations), (1...4096).contains(a.generations),
            "1 to 4096")
        try number(
            "max_completion_length", Double(a.completionLength),
            (1...(1 << 20)).contains(a.completionLength), "1 to \(1 << 20)")
        // A single answer may be the likeliest one; several of those would be one and the same.
        let isLikeliest = method.stage == .sample && a.temperature == 0 && a.generations == 1
        try number(
            "max_tool_calling_iterations", Double(a.toolRounds), (1...1000).contains(a.toolRounds),
            "1 to 1000")
        try number(
            "max_tool_tokens", Double(a.toolTokens), (8...(1 << 20)).contains(a.toolTokens),
            "8 to \(1 << 20)")
        try number(
            "temperature", a.temperature,
            a.temperature >= 0.01 && a.temperature <= 100 || isLikeliest,
            "0.01 to 100: answers are drawn, not chosen")
        try number("top_p", a.topP, a.topP > 0 && a.topP <= 1, "above 0, at most 1")
        try number("top_k", Double(a.topK), a.topK >= 0 && a.topK != 1, "0, or 2 and more")
        try number("min_p", a.minP, (0...1).contains(a.minP), "0 to 1")
    }

    private func checkRollouts(_ file: String) throws(RecipeError) {
        let a = alignment
        let number = NumberCheck(file: file)
        try number("beta", a.beta, a.beta >= 0, "at least 0")
        try number("epsilon", a.epsilon, a.epsilon > 0, "above 0")
        if let high = a.epsilonHigh { try number("epsilon_high", high, high > 0, "above 0") }
        if let delta = a.delta {
            try number("delta", delta, delta > 1 + a.epsilon, "above 1 + epsilon")
        }
        try number(
            "num_iterations", Double(a.iterations), (1...1000).contains(a.iterations), "1 to 1000")
        try number(
            "entropy_coef", a.entropyCoefficient, a.entropyCoefficient >= 0, "at least 0")
        try number(
            "dynamic_sampling", Double(a.resamples), (0...100).contains(a.resamples), "0 to 100")
        if method.loraDropout > 0 {
            throw .conflict(
                file: file,
                what:
                    "with lora_dropout the trainer is not the network that wrote the answers, and "
                    + "ratios do not begin at 1; set it to 0")
        }
        if a.divergence == .exact, a.divergenceInReward == true {
            throw .conflict(
                file: file, what: "kl_in_reward needs one number a token: k1, k2 or k3, not exact")
        }
        if needsReference, method.type != .lora || !method.additionalTarget.isEmpty {
            throw .conflict(
                file: file,
                what:
                    "beta (kl_coef in ppo) compares with the model as it was, which only an adapter leaves in memory; "
                    + "use finetuning_type: lora without additional_target, or beta: 0")
        }
        if optimisation.usesFP16 {
            throw .conflict(
                file: file, what: "fp16's loss scale is made for supervised losses; remove fp16")
        }
    }
}

extension PreferenceMethod: RecipeChoice {}
extension Recipe.DivergenceName: RecipeChoice {}
extension Recipe.PolicyLossName: RecipeChoice {}
extension Recipe.RewardScale: RecipeChoice {
    static var expectation: String {
        "one of group, batch, none; true means group, false means none"
    }

    /// A word, or what TRL wrote before it had words.
    init?(_ node: YAMLNode) {
        if let text = String(node), let value = Self(rawValue: text) {
            self = value
        } else if let isScaled = Bool(node) {
            self = isScaled ? .group : .none
        } else {
            return nil
        }
    }
}
extension Recipe.RatioLevel: RecipeChoice {}
extension GuardName: RecipeChoice {}

/// Refuses numbers that a key cannot have.
private struct NumberCheck {
    let file: String

    func callAsFunction(
        _ key: String, _ value: Double, _ isRight: Bool, _ expected: String
    ) throws(RecipeError) {
        guard isRight else {
            throw .badValue(place: file, key: key, found: value.shortText, expected: expected)
        }
    }
}
