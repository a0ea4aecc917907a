import YuyanText

/// What a recipe says about its data; comments give the names of its keys.
package struct DataOptions: Sendable, Hashable {
    /// What rows are for.
    package enum Stage: String, Sendable, Hashable, CaseIterable {
        /// Every token of every text is learnt; long texts are cut into pieces, none is lost.
        case pretraining = "pt"
        /// Conversations; the model's own turns are learnt.
        case supervised = "sft"
        /// A better and a worse answer to each prompt.
        case preference
        /// Answers with a verdict.
        case unpaired
        /// Answers in steps, each with a verdict.
        case stepwise
        /// Prompts that the model answers itself.
        case prompts
    }

    /// Which tokens a loss is taken over.
    package enum Supervision: String, Sendable, Hashable, CaseIterable {
        /// Each turn of the model with the token that ends it.
        case answers
        /// The last turn of the model only: `mask_history`.
        case lastAnswer = "last_answer"
        /// All tokens: `train_on_prompt`.
        case all
    }

    /// What becomes of a sample that is longer than `cutoffLength`.
    package enum OverlongPolicy: String, Sendable, Hashable, CaseIterable {
        /// The run stops and names the row.
        case stop
        /// The row is left out, and counted.
        case skip
        /// Prompts and answers are shortened as LLaMA-Factory does it, and counted.
        case truncate
    }

    /// What becomes of a row that cannot be used.
    package enum BadRowPolicy: String, Sendable, Hashable, CaseIterable {
        /// The run stops and names the row and the reason.
        case stop
        /// The row is left out; rows and reasons are counted, the first are listed.
        case skip
    }

    /// How several data sets become one.
    package enum MixStrategy: String, Sendable, Hashable, CaseIterable {
        /// One after the other, then shuffled: every row once an epoch.
        case concat
        /// By `probabilities`, until the first data set is used up.
        case interleaveUnder = "interleave_under"
        /// By `probabilities`, until each data set was used up once.
        case interleaveOver = "interleave_over"
    }

    /// How much of the training data is kept for validation.
    package enum ValidationSize: Sendable, Hashable {
        case none
        /// So many rows: a `val_size` of 1 or more.
        case rows(Int)
        /// A share of the rows: a `val_size` below 1.
        case share(Double)
    }

    /// Files, folders or names in `dataset_info.json`, each maybe with `#N` behind it for N random
    /// rows: `dataset`.
    package var datasets: [String] = []
    /// Where `dataset_info.json` and its files are: `dataset_dir`.
    package var folder = "data"
    /// Where `scripts/fetch-data` puts what it brings, for names that are not found otherwise.
    package var fetchedFolder: String?
    /// As `datasets`, for validation: `eval_dataset`.
    package var evaluationDatasets: [String] = []
    /// `val_size`.
    package var validation = ValidationSize.none
    /// `stage`.
    package var stage = Stage.supervised
    /// Most tokens of a sample and, packed, of a row: `cutoff_len`.
    package var cutoffLength = 2048
    /// `on_overlong`.
    package var overlong = OverlongPolicy.truncate
    /// Rows taken of each data set, from its start: `max_samples`.
    package var maxSamples: Int?
    /// `mix_strategy`.
    package var mixing = MixStrategy.concat
    /// Shares of the data sets, in their order: `interleave_probs`.
    package var probabilities: [Double] = []
    /// Factors of the loss, one for each data set: `dataset_weights`.
    package var lossWeights: [Double] = []
    /// Whether short samples share a row: `packing`.
    package var isPacked = false
    /// Rows that are packed together; more fill better and cost memory.
    package var packingWindow = 1024
    /// Samples, or packed rows, of a batch: `per_device_train_batch_size`.
    package var batchSize = 1
    /// The same for validation: `per_device_eval_batch_size`.
    package var evaluationBatchSize = 1
    /// `data_seed`, or `seed`.
    package var seed: UInt64 = 42
    /// Whether each epoch has another order: not `disable_shuffling`.
    package var isShuffled = true
    /// `train_on_prompt`, `mask_history`.
    package var supervision = Supervision.answers
    /// `on_bad_row`.
    package var badRows = BadRowPolicy.stop
    /// Functions that the model may call when it answers prompts: `tools`.
    package var tools: [Tool] = []
    /// Names for the chat template, such as `enable_thinking`.
    package var variables: [String: TemplateValue] = [:]
    /// The day that templates with dates write: fixed, so that a run can be repeated. The default is
    /// the one that Llama 3's own template falls back to.
    package var date = TemplateDate(year: 2024, month: 7, day: 26)
    /// Passages of plain text files come up to so many bytes.
    package var passageBytes = 4096
    /// Batches that wait for the trainer.
    package var readAhead = 8

    package init() {}
}
