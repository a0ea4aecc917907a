import YuyanFormats

extension Recipe {
    /// Which of the answers that stage sample writes are kept.
    public struct Sampling: Sendable, Hashable {
        /// Most answers kept of a prompt.
        public var keep = 1
        /// Least reward of an answer that is kept; nil keeps any.
        public var threshold: Double?
        /// Whether best and worst answers are written as pairs too.
        public var writesPairs = false
        /// Least difference of the rewards of a pair.
        public var margin = 0.0

        /// The defaults: the best answer of each prompt.
        public init() {}
    }

    static let samplingKeys: [RecipeKey] = [
        RecipeKey(
            "sample_keep", \.sampling.keep,
            "sample: most answers kept of a prompt, the best first, none twice."),
        RecipeKey(
            "sample_threshold", \.sampling.threshold,
            "sample: least reward of an answer that is kept; nothing: any."),
        RecipeKey(
            "sample_pairs", \.sampling.writesPairs,
            "sample: write a prompt's best and worst answer to pairs.jsonl, for dpo and rm."),
        RecipeKey(
            "sample_margin", \.sampling.margin,
            "sample: least difference of a pair's rewards; 0: any difference."),
    ]

    /// Whether anything scores answers.
    var hasRewards: Bool {
        !alignment.rewards.nodes.isEmpty || !alignment.rewardModel.isEmpty
    }

    /// Refuses settings of stage sample that cannot be.
    func checkSampling(_ file: String) throws(RecipeError) {
        func need(
            _ isRight: Bool, _ key: String, _ found: String, _ expected: String
        ) throws(RecipeError) {
            guard isRight else {
                throw .badValue(place: file, key: key, found: found, expected: expected)
            }
        }
        try need(
            (1...4096).contains(sampling.keep), "sample_keep", "\(sampling.keep)", "1 to 4096")
        try need(sampling.margin >= 0, "sample_margin", sampling.margin.shortText, "at least 0")
        let rewards = "reward_funcs, such as [arithmetic], or a reward_model beside it"
        if let threshold = sampling.threshold {
            try need(hasRewards, "sample_threshold", threshold.shortText, rewards)
        }
        if sampling.writesPairs {
            try need(hasRewards, "sample_pairs", "true", rewards)
            try need(
                alignment.generations > 1, "num_generations", "\(alignment.generations)",
                "2 or more with sample_pairs: an answer is compared with the others of its prompt")
        }
        if data.streaming {
            throw .conflict(
                file: file,
                what: "stage sample answers each row once and counts them first; remove streaming")
        }
        guard data.mixStrategy == .concat else {
            throw .badValue(
                place: file, key: "mix_strategy", found: data.mixStrategy.rawValue,
                expected: "concat: stage sample answers each row once")
        }
        if let place = run.resumeFrom, !["true", "false"].contains(place) {
            throw .badValue(
                place: file, key: "resume_from_checkpoint", found: "'\(place)'",
                expected: "true or false: stage sample has no checkpoints, it goes on in output_dir"
            )
        }
    }
}
