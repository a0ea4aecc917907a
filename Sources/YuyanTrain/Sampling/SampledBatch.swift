import YuyanFormats

/// What stays of the answers to a batch of prompts: a line of the journal.
struct SampledBatch {
    /// Counted from 1.
    var number = 0
    /// The first prompt that is not answered.
    var cursor = DataCursor()
    /// Prompts of the run up to here.
    var promptCount = 0
    /// Tokens of the run's prompts and answers up to here.
    var tokenCount = 0
    /// Answers of this batch, their tokens, and how many of them were cut.
    var answerCount = 0
    var answerTokens = 0
    var cutCount = 0
    var prompts: [SampledPrompt] = []

    var json: JSONOutput {
        [
            "batch": .integer(number), "cursor": cursor.json, "num_prompts": .integer(promptCount),
            "num_tokens": .integer(tokenCount), "answers": .integer(answerCount),
            "answer_tokens": .integer(answerTokens), "cut": .integer(cutCount),
            "prompts": .array(prompts.map(\.json)),
        ]
    }
}

/// What stays of the answers to one prompt.
struct SampledPrompt {
    /// Rows of the answers that are kept, for `samples.jsonl`.
    var samples: [JSONOutput] = []
    /// A row of `pairs.jsonl`.
    var pair: JSONOutput?
    /// Of each answer, in order; NaN where nothing gave one. Empty if nothing scores answers.
    var rewards: [Double] = []
    /// Answers that were dropped because they say what a kept one says.
    var duplicates = 0
    /// Answers that no row of messages would render to; nil where the model has no tools.
    var unrendered: Int?
    /// For the report; only of the run's first prompts.
    var example: SampledExample?

    var json: JSONOutput {
        .fields([
            ("samples", .array(samples)), ("pair", pair),
            ("rewards", .array(rewards.map { .double($0) })),
            ("duplicates", .integer(duplicates)),
            ("unrendered", unrendered.map { .integer($0) }), ("example", example?.json),
        ])
    }
}

/// A prompt with its best and its worst answer, for people to read.
struct SampledExample: Sendable, Hashable {
    struct Answer: Sendable, Hashable {
        var text: String
        /// Nil if it has none.
        var reward: Double?

        var json: JSONOutput {
            .fields([("text", .string(text)), ("reward", reward.map { .double($0) })])
        }

        init(text: String, reward: Double?) {
            self.text = text
            self.reward = reward
        }

        init(_ json: JSONCursor) throws(FormatError) {
            self.init(text: try json.string("text"), reward: try json.optionalDouble("reward"))
        }
    }

    /// Most prompts that a report shows.
    static let limit = 64

    var prompt: String
    var best: Answer
    /// Nil if there is one answer only, or none is worse than another.
    var worst: Answer?

    var json: JSONOutput {
        .fields([
            ("prompt", .string(prompt)), ("best", best.json), ("worst", worst?.json),
        ])
    }

    init(prompt: String, best: Answer, worst: Answer?) {
        self.prompt = prompt
        self.best = best
        self.worst = worst
    }

    init(_ json: JSONCursor) throws(FormatError) {
        self.init(
            prompt: try json.string("prompt"), best: try Answer(json.object("best")),
            worst: nil)
        if let other = json["worst"] { worst = try Answer(other) }
    }

    /// The best and the worst of some answers, by their rewards.
    init?(prompt: String, _ candidates: [AnswerSelection.Candidate]) {
        var best: Answer?
        var worst: Answer?
        for candidate in candidates {
            let answer = Answer(
                text: candidate.text, reward: candidate.reward.flatMap { $0.isFinite ? $0 : nil })
            best = best ?? answer
            guard let reward = answer.reward else { continue }
            if best?.reward.map({ reward > $0 }) ?? true { best = answer }
            if worst?.reward.map({ reward < $0 }) ?? true { worst = answer }
        }
        guard let best else { return nil }
        self.init(
            prompt: prompt, best: best, worst: worst?.reward == best.reward ? nil : worst)
    }
}
