extension Recipe {
    /// Which numbers change.
    public struct Method: Sendable, Hashable {
        /// What the loss is taken over.
        public var stage = Stage.sft
        /// Which weights change.
        public var type = FinetuningType.lora
        /// Rank r of an adapter's matrices.
        public var loraRank = 8
        /// Nil for twice the rank.
        public var loraAlpha: Double?
        /// Share of A's inputs that is set to zero.
        public var loraDropout = 0.0
        /// Module names, or `all` for every linear layer but the head.
        public var loraTarget = ["all"]
        /// Modules that are trained whole and saved with the adapter.
        public var additionalTarget: [String] = []
        /// Ranks that differ, by the end of a module's path.
        public var rankPattern = RecipeNumbers()
        /// Alphas that differ, likewise.
        public var alphaPattern = RecipeNumbers()
        /// Whether the factor is alpha over the root of r.
        public var usesRSLoRA = false
        /// Whether magnitudes are trained beside directions.
        public var usesDoRA = false
        /// Learning rate of B as a multiple of A's.
        public var loraPlusRatio: Double?
        /// Learning rate of B of an embedding's update, if there is a ratio.
        public var loraPlusEmbeddingRate = 1e-6
        /// How A begins.
        public var loraInitialization = LoRAInitialization.kaiming
        /// Layers counted from the last (positive) or the first (negative).
        public var freezeTrainableLayers = 2
        /// Parts of those layers, or `all`.
        public var freezeTrainableModules = ["all"]
        /// Parts outside the layers, such as `embed_tokens` or `norm`.
        public var freezeExtraModules: [String] = []

        /// The defaults: LoRA on all linear layers.
        public init() {}

        /// The alpha of LoRA: given, or LLaMA-Factory's twice the rank.
        public var alpha: Double { loraAlpha ?? 2 * Double(loraRank) }
    }

    /// Kinds of training.
    public enum Stage: String, CaseIterable, Sendable {
        /// Next-token loss over plain text.
        case pt
        /// Loss over the answers of conversations.
        case sft
        /// A reward model from pairs, or from steps.
        case rm, prm
        /// Pairs of answers; the last three are dpo with their own loss.
        case dpo, orpo, simpo, cpo
        /// Good and bad answers.
        case kto
        /// Reinforcement by rewards: groups, leave-one-out, batch-wide baselines, a critic.
        case grpo, rloo
        case reinforce = "reinforce++"
        case ppo
        /// Answers by rewards, written down to be learnt from by another run; nothing is trained.
        case sample

        /// Whether the model writes answers itself.
        var writesAnswers: Bool { [.grpo, .rloo, .reinforce, .ppo, .sample].contains(self) }
        /// Whether any number changes: `TrainingRun` runs such a stage, `SamplingRun` the other.
        public var trains: Bool { self != .sample }
    }

    /// Ways to choose what changes.
    public enum FinetuningType: String, CaseIterable, Sendable { case full, freeze, lora, oft }

    /// How A begins; B is zero, so a fresh adapter changes nothing.
    public enum LoRAInitialization: String, CaseIterable, Sendable { case kaiming, gaussian }

    static let methodKeys: [RecipeKey] = [
        RecipeKey(
            "stage", \.method.stage,
            "pt: plain text; sft: conversations; rm, prm: reward models; dpo, orpo, simpo, cpo: pairs; "
                + "kto: verdicts; grpo, rloo, reinforce++, ppo: rewards; sample: write the best answers "
                + "down, train nothing."),
        RecipeKey(
            "finetuning_type", \.method.type,
            "full: every weight; freeze: some layers; lora: an adapter."),
        RecipeKey("lora_rank", \.method.loraRank, "Rank r of the update B A."),
        RecipeKey(
            "lora_alpha", \.method.loraAlpha,
            "The update counts alpha / r; by default twice the rank."),
        RecipeKey("lora_dropout", \.method.loraDropout, "Share of A's inputs set to zero."),
        RecipeKey(
            "lora_target", \.method.loraTarget,
            "Modules by name, such as q_proj,v_proj,embed_tokens; all: every linear layer but the head."
        ),
        RecipeKey(
            "additional_target", \.method.additionalTarget,
            "Modules trained whole and saved with the adapter, such as embed_tokens."),
        RecipeKey(
            "rank_pattern", \.method.rankPattern, "Ranks of modules by name, where they differ."),
        RecipeKey(
            "alpha_pattern", \.method.alphaPattern, "Alphas of modules by name, where they differ."),
        RecipeKey("use_rslora", \.method.usesRSLoRA, "Scale by alpha / sqrt(r) (rsLoRA)."),
        RecipeKey("use_dora", \.method.usesDoRA, "Train magnitudes beside directions (DoRA)."),
        RecipeKey(
            "loraplus_lr_ratio", \.method.loraPlusRatio,
            "Learning rate of B as a multiple of A's (LoRA+)."),
        RecipeKey(
            "loraplus_lr_embedding", \.method.loraPlusEmbeddingRate,
            "With LoRA+: learning rate of B where lora_target names embed_tokens."),
        RecipeKey(
            "lora_init", \.method.loraInitialization,
            "How A begins: kaiming (PEFT's default) or gaussian. B is zero."),
        RecipeKey(
            "freeze_trainable_layers", \.method.freezeTrainableLayers,
            "freeze: train the last n layers; -n: the first n."),
        RecipeKey(
            "freeze_trainable_modules", \.method.freezeTrainableModules,
            "freeze: parts of those layers, such as self_attn or mlp; all of them by default."),
        RecipeKey(
            "freeze_extra_modules", \.method.freezeExtraModules,
            "freeze: parts outside the layers, such as embed_tokens, norm, lm_head."),
    ]
}

extension Recipe.Stage: RecipeChoice {}

extension Recipe.FinetuningType: RecipeChoice {
    static var expectation: String { "full, freeze or lora (DoRA is lora with use_dora: true)" }
}

extension Recipe.LoRAInitialization: RecipeChoice {}
