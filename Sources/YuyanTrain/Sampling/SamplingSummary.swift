import YuyanFormats

/// What a sampling run came to: `summary.json`, the last of its files.
///
/// Nothing in it depends on time or machine, so equal runs have equal files.
public struct SamplingSummary: Sendable {
    /// Prompts that were answered.
    public private(set) var prompts = 0
    /// Answers that were written.
    public private(set) var answers = 0
    /// Batches of prompts.
    public private(set) var batches = 0
    /// Rows of `samples.jsonl`.
    public private(set) var samples = 0
    /// Prompts with an answer that was kept.
    public private(set) var promptsWithSamples = 0
    /// Answers that were dropped because they say what a kept one says.
    public private(set) var duplicates = 0
    /// Answers that were dropped because no row of messages would render to them; nil without tools.
    public private(set) var unrendered: Int?
    /// Rows of `pairs.jsonl`; nil if none were asked for.
    public private(set) var pairs: Int?
    /// Mean over all answers that have a reward; nil if none has.
    public private(set) var meanReward: Double?
    /// The expected best reward of n answers, over prompts all of whose answers have one.
    public private(set) var bestOf: [(count: Int, reward: Double)] = []
    /// How many prompts these are.
    public private(set) var judgedPrompts = 0
    /// Mean tokens of an answer.
    public private(set) var meanLength = 0.0
    /// Share of the answers that were cut.
    public private(set) var clippedShare = 0.0
    /// Tokens of all prompts and answers.
    public private(set) var tokens = 0
    /// Of the data; another value means other data.
    let fingerprint: String
    /// What rendered them; nil in files that do not say.
    let template: TemplateDigest?

    /// Share of the prompts with an answer that was kept.
    public var keptShare: Double { Double(promptsWithSamples) / Double(max(1, prompts)) }

    static let name = "summary.json"

    // MARK: - From a journal

    /// Counts what a journal's batches hold.
    ///
    /// - Parameter generations: Answers to each prompt.
    /// - Throws: `FormatError` if a line is not what was written.
    init(
        journal: String, recipe: Recipe, fingerprint: String, template: TemplateDigest?
    ) throws {
        self.fingerprint = fingerprint
        self.template = template
        pairs = recipe.sampling.writesPairs ? 0 : nil
        unrendered = recipe.alignment.tools.isEmpty ? nil : 0
        var best = BestOfN(generations: recipe.alignment.generations)
        var (rewardSum, rewarded, answerTokens, cut) = (0.0, 0, 0, 0)
        try SamplingJournal.forEachBatch(journal) { batch in
            batches += 1
            answers += try batch.int("answers")
            answerTokens += try batch.int("answer_tokens")
            cut += try batch.int("cut")
            tokens = try batch.int("num_tokens")
            for prompt in try batch.array("prompts") {
                prompts += 1
                let kept = try prompt.array("samples").count
                samples += kept
                promptsWithSamples += kept > 0 ? 1 : 0
                duplicates += try prompt.int("duplicates")
                let lost = try prompt.optionalInt("unrendered") ?? 0
                unrendered = unrendered.map { $0 + lost }
                if prompt["pair"] != nil { pairs = pairs.map { $0 + 1 } }
                let rewards = try prompt.array("rewards").compactMap(\.double)
                rewardSum = rewards.reduce(rewardSum, +)
                rewarded += rewards.count
                if rewards.count == recipe.alignment.generations { best.add(rewards) }
            }
        }
        meanReward = rewarded == 0 ? nil : rewardSum / Double(rewarded)
        (bestOf, judgedPrompts) = (best.points, best.promptCount)
        meanLength = Double(answerTokens) / Double(max(1, answers))
        clippedShare = Double(cut) / Double(max(1, answers))
    }

    // MARK: - As a file

    /// The file's contents, and what scripts want of a run.
    public var json: JSONOutput { .object(fields) }

    /// The entries of `json`.
    public var fields: [(key: String, value: JSONOutput)] {
        [
            ("prompts", .integer(prompts)), ("answers", .integer(answers)),
            ("batches", .integer(batches)), ("samples", .integer(samples)),
            ("prompts_with_samples", .integer(promptsWithSamples)),
            ("kept_ratio", .double(keptShare)), ("duplicates", .integer(duplicates)),
            ("unrendered", .number(unrendered)), ("pairs", .number(pairs)),
            ("mean_reward", meanReward.map { .double($0) } ?? .null),
            (
                "best_of",
                .array(bestOf.map { ["n": .integer($0.count), "reward": .double($0.reward)] })
            ),
            ("judged_prompts", .integer(judgedPrompts)), ("mean_length", .double(meanLength)),
            ("clipped_ratio", .double(clippedShare)), ("num_tokens", .integer(tokens)),
        ]
    }

    func write(to path: String) throws {
        var own: [(key: String, value: JSONOutput)] = [
            ("version", 1), ("data_fingerprint", .string(fingerprint)),
        ]
        if let template { own.append(("template", template.json)) }
        let file = JSONOutput.object(fields + [("yuyan", .object(own))])
        try writeAtomically(path) { try $0.write(file.indented + "\n") }
    }

    /// Reads what `write` wrote.
    ///
    /// - Throws: `FormatError` naming file and key.
    init(path: String) throws {
        let root = try JSONDocument(path: path).root
        let own = try root.object("yuyan")
        fingerprint = try own.string("data_fingerprint")
        template = try TemplateDigest(in: own)
        prompts = try root.int("prompts")
        answers = try root.int("answers")
        batches = try root.int("batches")
        samples = try root.int("samples")
        promptsWithSamples = try root.int("prompts_with_samples")
        duplicates = try root.int("duplicates")
        unrendered = try root.optionalInt("unrendered")
        pairs = try root.optionalInt("pairs")
        meanReward = try root.optionalDouble("mean_reward")
        bestOf = try root.array("best_of").map { (try $0.int("n"), try $0.double("reward")) }
        judgedPrompts = try root.int("judged_prompts")
        meanLength = try root.double("mean_length")
        clippedShare = try root.double("clipped_ratio")
        tokens = try root.int("num_tokens")
    }
}
