extension Recipe {
    /// What the model is trained on.
    public struct DataSettings: Sendable, Hashable {
        /// Files, folders or names in `dataset_info.json`.
        public var sets: [String] = []
        /// Data that is only evaluated on.
        public var evaluationSets: [String] = []
        /// Folder that relative names are looked up in.
        public var folder = "data"
        /// Chat template: nil for the model's own, else a Jinja file.
        public var template: String?
        /// Text of the system turn where a conversation has none.
        public var defaultSystem: String?
        /// What the template's `enable_thinking` is set to; nil leaves it out.
        public var enableThinking: Bool?
        /// Most tokens of a sample; longer ones are cut.
        public var cutoffLength = 2048
        /// Most samples of each data set.
        public var maximumSamples: Int?
        /// Share (below 1) or number of samples kept for validation.
        public var validationSize = 0.0
        /// Whether each data set is evaluated by itself too.
        public var evaluatesEachSet = false
        /// Whether samples share rows of `cutoffLength` tokens, without seeing each other.
        public var packing: Bool?
        public var neatPacking = false
        /// Whether the loss is taken over prompts too.
        public var trainsOnPrompt = false
        /// Whether the loss is taken over the last answer only.
        public var masksHistory = false
        public var mixStrategy = MixStrategy.concat
        /// Share of each data set; as many as sets.
        public var mixWeights: [Double] = []
        /// Whether files are read as the run goes, instead of once before it.
        public var streaming = false
        /// Samples that a streaming shuffle looks ahead.
        public var bufferSize = 16384
        /// Threads that turn text into tokens; nil for all.
        public var workers: Int?
        public var disablesShuffling = false
        /// Whether an epoch's last, smaller micro-batch is left out.
        public var dropsLast = false
        /// What a row that cannot be used means.
        public var badSample = BadSample.stop

        public init() {}
    }

    public enum MixStrategy: String, CaseIterable, Sendable {
        case concat
        case interleaveUnder = "interleave_under"
        case interleaveOver = "interleave_over"
        case interleaveOnce = "interleave_once"
    }

    public enum BadSample: String, CaseIterable, Sendable { case stop, skip }

    static let dataKeys: [RecipeKey] = [
        RecipeKey(
            "dataset", \.data.sets,
            "JSONL, JSON, CSV or text files, plain or gzip, or names in dataset_info.json; required."),
        RecipeKey("eval_dataset", \.data.evaluationSets, "Data that is only evaluated on."),
        RecipeKey(
            "dataset_dir", \.data.folder, "Folder that names which are no paths are looked up in."),
        RecipeKey(
            "template", \.data.template,
            "A Jinja file; the model's own chat template by default. LLaMA-Factory's names mean that "
                + "too."),
        RecipeKey(
            "default_system", \.data.defaultSystem,
            "System turn of conversations without one; nothing: the template's."),
        RecipeKey(
            "enable_thinking", \.data.enableThinking, "The template's variable of that name."),
        RecipeKey("cutoff_len", \.data.cutoffLength, "Most tokens of a sample; the rest is cut."),
        RecipeKey("max_samples", \.data.maximumSamples, "Most samples of each data set."),
        RecipeKey(
            "val_size", \.data.validationSize,
            "Share (below 1) or number of samples that are evaluated on and not trained on."),
        RecipeKey(
            "eval_on_each_dataset", \.data.evaluatesEachSet, "Evaluate each data set by itself too."),
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
            "streaming", \.data.streaming, "Read files as the run goes; needs max_steps."),
        RecipeKey(
            "buffer_size", \.data.bufferSize, "Samples that a streaming shuffle looks ahead."),
        RecipeKey(
            "preprocessing_num_workers", \.data.workers, .free,
            "Threads that turn text into tokens; all by default."),
        RecipeKey("disable_shuffling", \.data.disablesShuffling, "Keep the order of the files."),
        RecipeKey(
            "dataloader_drop_last", \.data.dropsLast,
            "Leave out an epoch's last micro-batch if it is smaller than the others."),
        RecipeKey(
            "bad_samples", \.data.badSample,
            "A row that cannot be used: stop the run, or skip and count it."),
    ]
}

extension Recipe.MixStrategy: RecipeChoice {}
extension Recipe.BadSample: RecipeChoice {}
