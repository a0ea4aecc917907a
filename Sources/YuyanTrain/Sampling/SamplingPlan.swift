import YuyanFormats

/// What a sampling run will do, for people to read before it starts.
public struct SamplingPlan: Sendable {
    /// Facts in pairs: model, data, draws, what is kept.
    public let facts: [(name: String, value: String)]
    /// Predicted, by part.
    public let memory: MemoryPrediction
    /// Lines about data files: shapes that were found, rows that are left out.
    public let dataNotes: [String]
    /// The first prompt, decoded, for a terminal and for a file.
    public let preview: (coloured: String, plain: String)
    /// Prompts of the whole run.
    public let prompts: Int
    /// Batches of the whole run.
    public let batches: Int
    /// Answers to each prompt.
    public let generations: Int
    /// Names of rewards and tools that a dry run looks at and does not start.
    public let notAsked: [String]

    init(
        _ recipe: Recipe, data: PreparedData, survey: DataSurvey, memory: MemoryPrediction,
        notAsked: [String]
    ) throws {
        self.memory = memory
        self.notAsked = notAsked
        prompts = survey.tally.samples
        batches = survey.batchCount(epoch: 0)
        generations = recipe.alignment.generations
        dataNotes = data.data.reports.map { "\($0)" } + data.notes
        let sample = try data.data.preview()
        preview = (sample.text(isColoured: true), sample.text(isColoured: false))
        let tally = survey.tally
        var facts: [(name: String, value: String)] = [("model · 模型", recipe.model.path)]
        if let adapters = recipe.model.adapterFact { facts.append(adapters) }
        facts.append(
            (
                "data · 数据",
                "\(prompts.grouped) prompts, \(tally.tokens.grouped) tokens, longest "
                    + tally.longest.grouped
            ))
        if tally.skippedCount > 0 {
            facts.append(("left out · 舍弃", "\(tally.skippedCount.grouped) rows skipped"))
        }
        facts += [
            (
                "answers · 回答",
                "\(generations.grouped) to a prompt, at most "
                    + "\(recipe.alignment.completionLength.grouped) tokens"
            ),
            (
                "batches · 批次",
                "\(batches.grouped) of up to \(recipe.optimisation.batchSize.grouped) prompts"
            ), ("drawn · 抽样", Self.draws(recipe)), ("rewards · 奖励", Self.rewards(recipe)),
            ("tools · 工具", Self.tools(recipe)),
            ("kept · 保留", Self.kept(recipe)), ("seed · 随机种子", "\(recipe.run.seed)"),
        ]
        self.facts = facts
    }

    private static func draws(_ recipe: Recipe) -> String {
        let alignment = recipe.alignment
        guard alignment.temperature > 0 else { return "the likeliest token" }
        var text = "temperature \(alignment.temperature.shortText)"
        if alignment.topP < 1 { text += ", top_p \(alignment.topP.shortText)" }
        if alignment.topK > 0 { text += ", top_k \(alignment.topK)" }
        if alignment.minP > 0 { text += ", min_p \(alignment.minP.shortText)" }
        return text
    }

    private static func rewards(_ recipe: Recipe) -> String {
        var names = recipe.alignment.rewards.nodes.map(\.inline)
        if !recipe.alignment.rewardModel.isEmpty { names.append(recipe.alignment.rewardModel) }
        return names.isEmpty ? "none: answers are kept as they come" : names.joined(separator: ", ")
    }

    private static func tools(_ recipe: Recipe) -> String {
        let alignment = recipe.alignment
        guard !alignment.tools.isEmpty else { return "none" }
        return alignment.tools.nodes.map(\.inline).joined(separator: ", ")
            + ", up to \(alignment.toolRounds) times an answer"
    }

    private static func kept(_ recipe: Recipe) -> String {
        let sampling = recipe.sampling
        var text = "up to \(sampling.keep) of a prompt"
        if let threshold = sampling.threshold {
            text += ", with a reward of \(threshold.shortText) or more"
        }
        if recipe.alignment.masksTruncated { text += ", none that was cut" }
        guard sampling.writesPairs else { return text }
        return text + "; pairs"
            + (sampling.margin > 0 ? " that differ by \(sampling.margin.shortText) or more" : "")
    }
}
