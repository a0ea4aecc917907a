import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// A run of stage sample: answers to every prompt of the data, scored, and the best of them as data.
///
/// ```
/// let run = try SamplingRun(source, modelPath: path) { event in … }
/// let result = try run.sample()
/// ```
///
/// A batch's answers are a function of recipe, data and the batch's number, and a journal holds what is
/// done. So a run that was killed and goes on ends in the same bytes.
public final class SamplingRun {
    /// What is run.
    public let recipe: Recipe
    /// What the run will do, for people to read before it starts.
    public let plan: SamplingPlan

    private let folder: RunFolder
    private let lock: RunLock?
    private let device: Device
    private let model: PreparedModel
    private let data: PreparedData
    private let scorer: RolloutScorer
    private let longestPrompt: Int
    private let start: SamplingStart
    private let observe: (RunEvent) -> Void
    private let stopSignal: () -> Int32?

    /// Reads model and data and looks at every prompt; answers nothing yet.
    ///
    /// - Parameters:
    ///   - modelPath: Where the recipe's model is.
    ///   - fetchedFolder: Where `scripts/fetch-data` puts data sets that recipes then call by name.
    ///   - otherModelPath: Where another model is that a recipe names, such as a judge.
    ///   - isDry: Only looks: takes no folder, writes nothing.
    ///   - stopSignal: The signal that asked to stop, if one did; asked between batches.
    /// - Throws: What is wrong with recipe, model, data or folder.
    public init(
        _ source: RecipeSource, modelPath: String, fetchedFolder: String? = nil,
        otherModelPath: @escaping @Sendable (String) throws -> String = { $0 },
        isDry: Bool = false,
        stopSignal: @escaping () -> Int32? = { nil }, observe: @escaping (RunEvent) -> Void
    ) throws {
        recipe = source.recipe
        precondition(!recipe.method.stage.trains, "stage \(recipe.method.stage) is a TrainingRun's")
        self.observe = observe
        self.stopSignal = stopSignal
        for note in source.notes { observe(.note(note)) }
        folder = RunFolder(recipe.run.outputFolder)
        if isDry { try folder.checkWritable() }
        lock = isDry ? nil : try folder.claim()
        start = try SamplingStart.find(recipe, folder: folder, isDry: isDry)
        device = Device(recipe)
        model = try PreparedModel(recipe, path: modelPath, device: device)
        for note in model.notes { observe(.note(note)) }
        scorer = try RolloutScorer(
            recipe, model: model.model, tokenizer: model.tokenizer, place: "recipe",
            host: RewardHost(
                device: device, seed: UInt64(recipe.run.seed), modelPath: otherModelPath),
            device: device)
        data = try PreparedData(
            recipe, tokenizer: model.tokenizer, template: model.template,
            vocabularySize: model.decoder.shape.vocabularySize, device: device,
            fetchedFolder: fetchedFolder)
        // The recipe's checks leave no data that were not counted.
        guard let survey = data.survey else { preconditionFailure("streamed data") }
        try scorer.check(columns: survey.tally.columns)
        if let fingerprint = start.fingerprint, fingerprint != data.fingerprint {
            throw RunError.changedData(
                checkpoint: folder.path, found: data.fingerprint, expected: fingerprint)
        }
        longestPrompt = try Self.checkedPrompts(recipe, model: model, data: data)
        plan = try SamplingPlan(
            recipe, data: data, survey: survey,
            memory: MemoryPrediction(
                answering: model.model, recipe: recipe, longestPrompt: longestPrompt,
                rewardModels: scorer.modelBytes, base: ProcessMemory.resident))
        guard isDry else { return }
        switch start {
        case .anew: break
        case .finished:
            observe(
                .note("\(folder.path): this run is already finished; nothing would be done"))
        case .behind(let state):
            observe(
                .note(
                    "the run would go on behind batch \(state.batches) of \(plan.batches): "
                        + folder.path))
        }
    }

    /// Looks at every prompt before the first is answered.
    ///
    /// - Returns: Tokens of the longest.
    /// - Throws: `.row` for one that leaves no room for an answer, or whose answers would not be rows of
    ///   the first one's shape, in one file with them.
    private static func checkedPrompts(
        _ recipe: Recipe, model: PreparedModel, data: PreparedData
    ) throws -> Int {
        let room = AnswerRoom(recipe, contextLength: model.decoder.shape.contextLength)
        let loader = try data.data.loader(.training, epochs: 1)
        var longest = 1
        var isConversation: Bool?
        while let loaded = try loader.next() {
            for sample in loaded.batch.samples {
                guard case .prompt(let row) = sample.companion else { continue }
                try room.check(sample)
                longest = max(longest, sample.tokens.count)
                let first = isConversation ?? row.prompt.isConversation
                isConversation = first
                guard row.prompt.isConversation == first else {
                    throw DataError.row(
                        RowProblem(
                            source: sample.source, kind: .malformed,
                            reason: "the prompt is a \(first ? "text" : "conversation"), the first "
                                + "one is a \(first ? "conversation" : "text"); their answers are "
                                + "rows of two shapes: answer them in runs of their own"))
                }
            }
        }
        return longest
    }

    // MARK: - Answering

    /// Answers to the end, or until somebody asks to stop, and writes the result.
    ///
    /// - Throws: `RunError`, `RewardError`, `FormatError` if a file cannot be written, `DataError`.
    public func sample() throws -> SamplingResult {
        var state = SamplingJournal.State(fingerprint: data.fingerprint)
        switch start {
        case .finished(let summary):
            // The last thing that a run removes.
            try folder.removeItem(SamplingJournal.name)
            return SamplingResult(
                outcome: .finished(summary), folder: folder.path, measuredPeak: nil, isEarlier: true
            )
        case .behind(let found):
            state = found
            observe(.resumed(step: state.batches, checkpoint: folder.path))
        case .anew(let isClean): if !isClean { try folder.clear() }
        }
        try writeAtomically(folder.place("recipe.yaml")) { try $0.write(recipe.yaml) }
        let journal = try SamplingJournal(path: folder.place(SamplingJournal.name), from: state)
        let log = try MetricsLog(
            path: folder.place("metrics.jsonl"), after: state.batches)
        if let signal = try answer(from: &state, journal, log) {
            return SamplingResult(
                outcome: .interrupted(signal: signal, batches: state.batches), folder: folder.path,
                measuredPeak: ProcessMemory.peak, isEarlier: false)
        }
        let summary = try finish()
        return SamplingResult(
            outcome: .finished(summary), folder: folder.path, measuredPeak: ProcessMemory.peak,
            isEarlier: false)
    }

    /// Answers the prompts that are left.
    ///
    /// - Returns: The signal that asked to stop, if one did.
    private func answer(
        from state: inout SamplingJournal.State, _ journal: SamplingJournal, _ log: MetricsLog
    ) throws -> Int32? {
        guard state.batches < plan.batches else { return nil }
        let loader = try data.data.loader(.training, from: state.cursor, epochs: 1)
        let writer = try rolloutWriter()
        let first = state.promptCount
        var samples = 0
        var clock = StepClock()
        clock.restart()
        while state.batches < plan.batches {
            if let signal = stopSignal() { return signal }
            guard let loaded = try loader.next() else {
                throw RunError.noMoreData(step: state.batches + 1)
            }
            let before = state.tokenCount
            let (batch, groups) = try answered(loaded, behind: state, with: writer)
            state.batches = batch.number
            state.cursor = batch.cursor
            state.promptCount = batch.promptCount
            state.tokenCount = batch.tokenCount
            clock.add(tokens: state.tokenCount - before)
            let kept = batch.prompts.map(\.samples.count)
            samples += kept.reduce(0, +)
            let entry = MetricsEntry(
                step: batch.number, metrics: metrics(batch, groups, kept: kept),
                measurements: clock.measurements())
            if let fault = scorer.takeFault() {
                observe(.note("batch \(batch.number): \(fault)"))
            }
            // The log first: lines of a batch that the journal does not know are cut off again.
            try log.append(entry)
            try log.synchronise()
            try journal.append(batch)
            observe(.logged(entry))
            let earned = Moments(groups.flatMap(\.totals).filter(\.isFinite))
            observe(
                .batch(
                    BatchReport(
                        prompts: state.promptCount, promptsBefore: first, promptCount: plan.prompts,
                        reward: recipe.hasRewards && earned.count > 0 ? earned.mean : nil,
                        samples: samples, tokensPerSecond: clock.recentRate,
                        residentBytes: ProcessMemory.resident)))
        }
        return nil
    }

    private func rolloutWriter() throws -> RolloutWriter {
        let size = model.decoder.shape.vocabularySize
        return try RolloutWriter(
            model.model, recipe: recipe,
            endOfSequence: model.tokenizer.endOfGeneration.filter { Int($0) < size }.sorted(),
            longestPrompt: longestPrompt, device: device)
    }

    /// Writes and scores the answers to a batch of prompts.
    private func answered(
        _ loaded: LoadedBatch, behind state: SamplingJournal.State, with writer: RolloutWriter
    ) throws -> (batch: SampledBatch, groups: [JudgedGroup]) {
        let prompts = loaded.batch.samples.filter(\.isPrompt)
        var batch = SampledBatch()
        batch.number = state.batches + 1
        batch.cursor = loaded.cursor
        let rollouts = try writer.groups(prompts, draw: UInt64(batch.number), version: 0)
        let groups = try scorer.judged(rollouts, prompts)
        let rule = AnswerSelection.Rule(recipe)
        for (index, group) in groups.enumerated() {
            guard case .prompt(let row) = prompts[index].companion else { continue }
            batch.prompts.append(
                sampled(
                    group, row, rule,
                    isExample: state.promptCount + index < SampledExample.limit))
        }
        let answers = groups.flatMap(\.rollout.answers)
        batch.promptCount = state.promptCount + prompts.count
        batch.tokenCount =
            state.tokenCount + groups.reduce(0) { $0 + $1.rollout.group.tokenCount }
        batch.answerCount = answers.count
        batch.answerTokens = answers.reduce(0) { $0 + $1.tokens.count }
        batch.cutCount = answers.count { !$0.hasEnded }
        return (batch, groups)
    }

    /// What stays of the answers to one prompt.
    private func sampled(
        _ group: JudgedGroup, _ row: PromptColumns, _ rule: AnswerSelection.Rule, isExample: Bool
    ) -> SampledPrompt {
        let candidates = group.rollout.answers.enumerated().map { index, answer in
            AnswerSelection.Candidate(
                text: scorer.text(answer.tokens),
                reward: rule.isScored ? group.totals[index] : nil,
                isEligible: answer.hasEnded || !group.masksTruncated)
        }
        let selection = AnswerSelection(candidates, rule)
        var result = SampledPrompt()
        result.samples = selection.kept.map {
            row.learnable(candidates[$0].text, reward: candidates[$0].reward)
        }
        if let pair = selection.pair, let better = candidates[pair.chosen].reward,
            let worse = candidates[pair.rejected].reward
        {
            result.pair = row.preference(
                chosen: (candidates[pair.chosen].text, better),
                rejected: (candidates[pair.rejected].text, worse))
        }
        result.rewards = rule.isScored ? group.totals : []
        result.duplicates = selection.duplicates
        if isExample { result.example = SampledExample(prompt: row.text, candidates) }
        return result
    }

    private func metrics(
        _ batch: SampledBatch, _ groups: [JudgedGroup], kept: [Int]
    ) -> [(key: String, value: JSONOutput)] {
        // Advantages are not wanted, but their moments are what the other stages log.
        scorer.summarize(
            groups,
            recipe.hasRewards ? GroupAdvantage.drGRPO.evaluated(groups.map(\.totals)) : nil)
        let answers = Double(max(1, batch.answerCount))
        let prompts = Double(max(1, batch.prompts.count))
        return [
            ("num_prompts", .integer(batch.promptCount)),
            ("num_tokens", .integer(batch.tokenCount)),
        ] + scorer.metrics.map { ($0.name, .double($0.value)) } + [
            ("samples/kept_ratio", .double(Double(kept.reduce(0, +)) / answers)),
            ("samples/prompt_ratio", .double(Double(kept.count { $0 > 0 }) / prompts)),
            (
                "samples/duplicate_ratio",
                .double(Double(batch.prompts.reduce(0) { $0 + $1.duplicates }) / answers)
            ),
        ]
    }

    // MARK: - Files

    /// Makes the run's files from the journal, the summary as the last.
    private func finish() throws -> SamplingSummary {
        let path = folder.place(SamplingJournal.name)
        let summary = try SamplingSummary(
            journal: path, recipe: recipe, fingerprint: data.fingerprint)
        guard summary.batches == plan.batches else {
            throw FormatError.badValue(
                file: path, key: "batch", found: "\(summary.batches) batches",
                expected: "\(plan.batches); was the file changed?")
        }
        var examples: [SampledExample] = []
        try writeAtomically(folder.place("samples.jsonl")) { sink in
            try SamplingJournal.forEachPrompt(path) { prompt in
                for row in try prompt.array("samples") {
                    try sink.write(JSONOutput(copying: row).description + "\n")
                }
                if examples.count < recipe.run.reportSamples, let example = prompt["example"] {
                    examples.append(try SampledExample(example))
                }
            }
        }
        if recipe.sampling.writesPairs {
            try writeAtomically(folder.place("pairs.jsonl")) { sink in
                try SamplingJournal.forEachPrompt(path) { prompt in
                    guard let row = prompt["pair"] else { return }
                    try sink.write(JSONOutput(copying: row).description + "\n")
                }
            }
        }
        let page = SamplingPage(
            title: recipe.run.runName ?? folder.path,
            outcome: "\(summary.answers.grouped) answers to \(summary.prompts.grouped) prompts.",
            plan: plan, summary: summary,
            lines: try ReportPage.lines(of: folder.place("metrics.jsonl")), examples: examples,
            recipe: recipe.yaml)
        try writeAtomically(folder.place("report.html")) { try $0.write(page.html) }
        try summary.write(to: folder.place(SamplingSummary.name))
        try folder.removeItem(SamplingJournal.name)
        return summary
    }

    // MARK: - Trying

    /// Answers the first batch, scores nothing, and says how long the run would take.
    ///
    /// - Throws: `DataError`.
    public func timed() throws -> SamplingTime {
        guard let first = try data.data.loader(.training, epochs: 1).next() else {
            throw RunError.noMoreData(step: 1)
        }
        let prompts = first.batch.samples.filter(\.isPrompt)
        let writer = try rolloutWriter()
        let clock = ContinuousClock()
        let start = clock.now
        let rollouts = try writer.groups(prompts, draw: 1, version: 0)
        let seconds = max((clock.now - start) / .seconds(1), 1e-9)
        let tokens = rollouts.reduce(0) { $0 + $1.group.tokenCount }
        return SamplingTime(
            batchSeconds: seconds, tokensPerSecond: Double(tokens) / seconds,
            seconds: seconds * Double(plan.prompts) / Double(max(1, prompts.count)))
    }
}

/// How long a run would take at the speed of its first batch, rewards aside.
public struct SamplingTime: Sendable {
    /// Of the first batch.
    public let batchSeconds: Double
    /// Of prompts and answers.
    public let tokensPerSecond: Double
    /// Of all batches.
    public let seconds: Double
}

/// What a sampling run came to.
public struct SamplingResult: Sendable {
    /// How it ended.
    public let outcome: Outcome
    /// Where everything is.
    public let folder: String
    /// The most that the process held; nil where the system does not tell.
    public let measuredPeak: Int?
    /// Whether the run had ended before, so that nothing was done.
    public let isEarlier: Bool

    /// How a run ended.
    public enum Outcome: Sendable {
        /// All prompts are answered.
        case finished(SamplingSummary)
        /// A signal asked to stop; so many batches are on disk.
        case interrupted(signal: Int32, batches: Int)
    }
}
