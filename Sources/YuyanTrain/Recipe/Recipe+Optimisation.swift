extension Recipe {
    /// How the trained numbers change.
    public struct Optimisation: Sendable, Hashable {
        /// The highest of the schedule.
        public var learningRate = 5e-5
        /// Of matrices; norms and biases do not decay.
        public var weightDecay = 0.0
        /// Memory of the mean gradient.
        public var beta1 = 0.9
        /// Memory of the mean squared gradient.
        public var beta2 = 0.999
        /// Added to the root that Adam divides by.
        public var epsilon = 1e-8
        /// Gradients longer than this are shortened to it; 0 leaves them alone.
        public var maximumGradientNorm = 1.0
        /// Name in the table of optimisers.
        public var optimizer = "adamw_torch"
        /// The optimiser's own settings, such as `momentum=0.9`.
        public var optimizerArguments: String?
        /// Name in the table of schedules.
        public var schedule = "linear"
        /// The schedule's own settings.
        public var scheduleOptions = RecipeOptions()
        /// Steps, or a share of all steps if below 1.
        public var warmupSteps = 0.0
        /// Share of all steps; counts if `warmupSteps` is 0.
        public var warmupRatio = 0.0
        /// Weights rounded to bfloat16, masters kept.
        public var usesBF16 = false
        /// Gradients in float16 with dynamic loss scaling.
        public var usesFP16 = false
        /// Weights in bfloat16 without masters, rounded at random.
        public var pureBF16 = false
        /// Samples (packed: rows) to a micro-batch.
        public var batchSize = 8
        /// Micro-batches to a step.
        public var accumulationSteps = 1
        /// Passes over the data.
        public var epochs = 3.0
        /// Steps in all; overrides `epochs` if positive.
        public var maximumSteps = -1

        /// The defaults of transformers' Trainer.
        public init() {}
    }

    static let optimisationKeys: [RecipeKey] = [
        RecipeKey("learning_rate", \.optimisation.learningRate, "Highest learning rate."),
        RecipeKey(
            "weight_decay", \.optimisation.weightDecay,
            "Share of the learning rate that weights shrink by; norms and biases are spared."),
        RecipeKey("adam_beta1", \.optimisation.beta1, "Memory of the mean gradient."),
        RecipeKey("adam_beta2", \.optimisation.beta2, "Memory of the mean squared gradient."),
        RecipeKey("adam_epsilon", \.optimisation.epsilon, "Added to the root in Adam's division."),
        RecipeKey(
            "max_grad_norm", \.optimisation.maximumGradientNorm,
            "Longer gradients are shortened to this; 0: never."),
        RecipeKey(
            "optim", \.optimisation.optimizer,
            "adamw_torch, adamw_8bit, paged_adamw_32bit, paged_adamw_8bit, lion_32bit, sgd …"),
        RecipeKey(
            "optim_args", \.optimisation.optimizerArguments,
            "Of sgd: momentum=0.9,dampening=0,nesterov=true."),
        RecipeKey(
            "lr_scheduler_type", \.optimisation.schedule,
            "constant, linear, cosine, warmup_stable_decay …"),
        RecipeKey(
            "lr_scheduler_kwargs", \.optimisation.scheduleOptions,
            "The schedule's own settings, such as {num_cycles: 0.5}."),
        RecipeKey(
            "warmup_steps", \.optimisation.warmupSteps,
            "Steps over which the rate rises from 0; below 1: a share of all steps."),
        RecipeKey(
            "warmup_ratio", \.optimisation.warmupRatio,
            "The same as a share of all steps; counts if warmup_steps is 0."),
        RecipeKey(
            "bf16", \.optimisation.usesBF16,
            "Trained weights in bfloat16 with float32 masters; arithmetic stays float32."),
        RecipeKey(
            "fp16", \.optimisation.usesFP16,
            "Gradients in float16 with dynamic loss scaling; weights and arithmetic stay float32."),
        RecipeKey(
            "pure_bf16", \.optimisation.pureBF16,
            "Trained weights in bfloat16 without masters, rounded stochastically."),
        RecipeKey(
            "per_device_train_batch_size", \.optimisation.batchSize,
            "Samples to a micro-batch; with packing, rows."),
        RecipeKey(
            "gradient_accumulation_steps", \.optimisation.accumulationSteps,
            "Micro-batches to a step. The loss is the mean over the step's tokens, however cut."),
        RecipeKey("num_train_epochs", \.optimisation.epochs, .free, "Passes over the data."),
        RecipeKey(
            "max_steps", \.optimisation.maximumSteps, .free,
            "Steps in all; overrides num_train_epochs if positive."),
    ]
}
