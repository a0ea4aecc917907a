extension Recipe {
    /// How long a run goes on, what it keeps and what it reports.
    public struct Run: Sendable, Hashable {
        /// Where everything goes.
        public var outputFolder = ""
        /// Whether a finished or different run in the folder may be thrown away.
        public var overwrites = false
        /// Steps to a logged line.
        public var loggingSteps = 10
        /// Whether the first step is logged in any case.
        public var logsFirstStep = false
        /// Steps between checkpoints.
        public var saveSteps = 500
        /// When checkpoints are written.
        public var saveStrategy = Interval.steps
        /// Most checkpoints kept; nil keeps all.
        public var saveLimit: Int?
        /// Whether checkpoints leave the optimiser out.
        public var savesOnlyModel = false
        /// Steps between evaluations; nil for `loggingSteps`.
        public var evaluationSteps: Int?
        /// Nil for by steps if there is something to evaluate on.
        public var evaluationStrategy: Interval?
        /// Whether the untrained model is evaluated too.
        public var evaluatesOnStart = false
        /// Samples to an evaluation's micro-batch.
        public var evaluationBatchSize = 8
        /// Whether the best checkpoint is the result.
        public var loadsBest = false
        /// Nil for `eval_loss`.
        public var bestMetric: String?
        /// Nil to tell by the metric's name.
        public var greaterIsBetter: Bool?
        /// Evaluations without a better value before the run ends; nil never ends it.
        public var earlyStoppingSteps: Int?
        /// A checkpoint, `true`, `false`, or nil for the newest.
        public var resumeFrom: String?
        /// Of every random number.
        public var seed = 42
        /// Seed of the order of samples; nil for `seed`.
        public var dataSeed: Int?
        /// `tensorboard`, `all` or `none`.
        public var reportTo = ["tensorboard"]
        /// Title of the report.
        public var runName: String?
        /// Whether there is training at all.
        public var doesTrain = true
        /// Without effect: the report has all curves.
        public var plotsLoss = false
        /// Answers drawn before and after training for the report.
        public var reportSamples = 2
        /// Rules of `RecipeLint` that say nothing.
        public var ignoredRules: [String] = []

        /// The defaults; no folder.
        public init() {}

        /// What a user should know about checkpoints before the first is needed.
        var savingNotes: [String] {
            guard savesOnlyModel, doesTrain, saveStrategy != .no else { return [] }
            return [
                "save_only_model: checkpoints have no optimiser, so after kill -9 or a crash the run "
                    + "cannot go on; Ctrl-C and SIGTERM save one that it can go on from"
            ]
        }
    }

    /// When something happens that happens again and again.
    public enum Interval: String, CaseIterable, Sendable { case no, steps, epoch }

    static let runKeys: [RecipeKey] = [
        RecipeKey("output_dir", \.run.outputFolder, .free, "Folder for everything; required."),
        RecipeKey(
            "overwrite_output_dir", \.run.overwrites, .free,
            "Throw away a finished run, or one of another recipe, in output_dir. An unfinished run of "
                + "this recipe goes on all the same."),
        RecipeKey("logging_steps", \.run.loggingSteps, "Steps to a line of metrics.jsonl."),
        RecipeKey("logging_first_step", \.run.logsFirstStep, "Log the first step too."),
        RecipeKey("save_steps", \.run.saveSteps, .free, "Steps between checkpoints."),
        RecipeKey("save_strategy", \.run.saveStrategy, .free, "When checkpoints are written."),
        RecipeKey(
            "save_total_limit", \.run.saveLimit, .free,
            "Most checkpoints kept, the best one and the newest always among them; all by default."),
        RecipeKey(
            "save_only_model", \.run.savesOnlyModel, .free,
            "Leave the optimiser out of checkpoints: smaller, but after kill -9 there is nothing to go "
                + "on from. Ctrl-C saves it all the same."),
        RecipeKey(
            "eval_steps", \.run.evaluationSteps,
            "Steps between evaluations; logging_steps by default."),
        RecipeKey(
            "eval_strategy", \.run.evaluationStrategy,
            "When the validation set is evaluated; by default steps if there is one."),
        RecipeKey("eval_on_start", \.run.evaluatesOnStart, "Evaluate before the first step too."),
        RecipeKey(
            "per_device_eval_batch_size", \.run.evaluationBatchSize,
            "Samples to an evaluation's micro-batch; changes no bit of the result."),
        RecipeKey(
            "load_best_model_at_end", \.run.loadsBest,
            "Save the best checkpoint's weights as the result, not the last."),
        RecipeKey(
            "metric_for_best_model", \.run.bestMetric, "What best means; eval_loss by default."),
        RecipeKey(
            "greater_is_better", \.run.greaterIsBetter,
            "Its direction; by default true unless the name ends in loss."),
        RecipeKey(
            "early_stopping_steps", \.run.earlyStoppingSteps,
            "End after this many evaluations without a better value."),
        RecipeKey(
            "resume_from_checkpoint", \.run.resumeFrom, .free,
            "A checkpoint to go on from; true or nothing: the newest in output_dir, if any; false: "
                + "begin anew."),
        RecipeKey("seed", \.run.seed, "Of every random number of the run."),
        RecipeKey("data_seed", \.run.dataSeed, "Of the order of samples; seed by default."),
        RecipeKey(
            "report_to", \.run.reportTo, .free,
            "tensorboard or none; metrics.jsonl is always written."),
        RecipeKey("run_name", \.run.runName, .free, "Title of the report."),
        RecipeKey(
            "do_train", \.run.doesTrain, .free,
            "false: evaluate on eval_dataset or val_size, and train and save nothing."),
        RecipeKey(
            "plot_loss", \.run.plotsLoss, .free, "The curves are in report.html in any case."),
        RecipeKey(
            "report_samples", \.run.reportSamples, .free,
            "Prompts answered before and after training, for report.html."),
        RecipeKey(
            "lint_ignore", \.run.ignoredRules, .free,
            "Warnings that are not given, by their names in docs/lint.md."),
    ]
}

extension Recipe.Interval: RecipeChoice {}
