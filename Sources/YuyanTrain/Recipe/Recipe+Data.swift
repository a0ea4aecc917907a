extension Recipe {
    /// What the model is trained on.
    public struct DataSettings: Sendable, Hashable {
        /// Files, folders or names in `dataset_info.json`.
        public var sets: [String] = []
        /// Data that is only evaluated on.
        public var evaluationSets: [String] = []
        /// Folder of `dataset_info.json`.
        public var folder = "data"
        /// Chat template: nil for the model's own, else a Jinja file.
        public var template: String?
        /// What the template's `enable_thinking` is set to; nil leaves it out.
        public var enableThinking: Bool?
        /// Most tokens of a sample.
        public var cutoffLength = 2048
        /// What a longer sample means.
        public var overlong = Overlong.truncate
        /// Most samples of each data set.
        public var maximumSamples: Int?
        /// Share (below 1) or number of samples kept for validation.
        public var validationSize = 0.0
        /// Whether samples share rows of `cutoffLength` tokens, without seeing each other; nil for
        /// stage pt only.
        public var packing: Bool?
        /// Another name of packing.
        public var neatPacking = false
        /// Whether the loss is taken over prompts too.
        public var trainsOnPrompt = false
        /// Whether the loss is taken over the last answer only.
        public var masksHistory = false
        /// How several sets become one.
        public var mixStrategy = MixStrategy.concat
        /// Share of each data set; as many as sets.
        public var mixWeights: [Double] = []
        /// Factor of the loss of each data set; as many as sets.
        public var lossWeights: [Double] = []
        /// Whether rows are not counted before the run.
        public var streaming = false
        /// Whether the files' order is kept.
        public var disablesShuffling = false
        /// What a row that cannot be used means.
        public var badRows = BadRow.stop

        /// The defaults; no data.
        public init() {}
    }

    /// Ways to make one stream of several data sets.
    public enum MixStrategy: String, CaseIterable, Sendable {
        case concat
        case interleaveUnder = "interleave_under"
        case interleaveOver = "interleave_over"
    }

    /// What may become of a sample that is too long.
    public enum Overlong: String, CaseIterable, Sendable { case stop, skip, truncate }
    /// What may become of a row that cannot be used.
    public enum BadRow: String, CaseIterable, Sendable { case stop, skip }

    static let dataKeys: [RecipeKey] = [
        RecipeKey(
            "dataset", \.data.sets,
            "JSONL, JSON, CSV or text files, plain or gzip, or names in dataset_info.json or of "
                + "scripts/fetch-data, each maybe with #N for N random rows; required."),
        RecipeKey("eval_dataset", \.data.evaluationSets, "Data that is only evaluated on."),
        RecipeKey("dataset_dir", \.data.folder, "Folder of dataset_info.json and its files."),
        RecipeKey(
            "template", \.data.template,
            "A Jinja file; by default the model's own chat template, which LLaMA-Factory's names "
                + "mean too."),
        RecipeKey(
            "enable_thinking", \.data.enableThinking, "The template's variable of that name."),
        RecipeKey("cutoff_len", \.data.cutoffLength, "Most tokens of a sample or packed row."),
        RecipeKey(
            "on_overlong", \.data.overlong,
            "A longer sample: stop the run, skip it, or truncate prompt and answer."),
        RecipeKey("max_samples", \.data.maximumSamples, "Most samples of each data set."),
        RecipeKey(
            "val_size", \.data.validationSize,
            "Share (below 1) or number of samples that are evaluated on and not trained on."),
        RecipeKey(
            "packing", \.data.packing,
            "Put several samples into one row of cutoff_len tokens; none sees another. Nothing: in "
                + "stage pt only."),
        RecipeKey(
            "neat_packing", \.data.neatPacking, "The same as packing: rows never leak here."),
        RecipeKey("train_on_prompt", \.data.trainsOnPrompt, "Take the loss over prompts too."),
        RecipeKey(
            "mask_history", \.data.masksHistory, "Take the loss over the last answer only."),
        RecipeKey("mix_strategy", \.data.mixStrategy, "How several data sets are mixed."),
        RecipeKey(
            "interleave_probs", \.data.mixWeights, "Share of each data set when interleaving."),
        RecipeKey(
            "dataset_weights", \.data.lossWeights, "Factor of the loss of each data set."),
        RecipeKey(
            "streaming", \.data.streaming,
            "Do not count the rows before the run; needs max_steps."),
        RecipeKey("disable_shuffling", \.data.disablesShuffling, "Keep the order of the files."),
        RecipeKey(
            "on_bad_row", \.data.badRows,
            "A row that cannot be used: stop the run, or skip and count it."),
    ]
}

extension Recipe.MixStrategy: RecipeChoice {}
extension Recipe.Overlong: RecipeChoice {}
extension Recipe.BadRow: RecipeChoice {}
