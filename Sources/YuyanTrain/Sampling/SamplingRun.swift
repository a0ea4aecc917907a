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
    /// Answers the model's calls; nil if it has no tools.
    private let desk: ToolDesk?
    private let transcripts: TranscriptWriter?
    private let stop: StopRequest
    private let longestPrompt: Int
    private let start: SamplingStart
    private let observe: (RunEvent) -> Void

    /// Reads model and data and looks at every prompt; answers nothing yet.
    ///
    /// - Parameters:
    ///   - modelPath: Where the recipe's model is.
    ///   - fetchedFolder: Where `scripts/fetch-data` puts data sets that recipes then call by name.
    ///   - otherModelPath: Where another model is that a recipe names, such as a judge.
    ///   - isDry: Only looks: takes no folder, writes nothing.
    ///   - stopSignal: The signal that asked to stop, if one did; asked all the time, on whatever
    ///     thread.
    /// - Throws: What is wrong with recipe, model, data or folder.
    public convenience init(
        _ source: RecipeSource, modelPath: String, fetchedFolder: String? = nil,
        otherModelPath: @escaping @Sendable (String) throws -> String = { $0 },
        isDry: Bool = false,
        stopSignal: @escaping @Sendable () -> Int32? = { nil },
        observe: @escaping (RunEvent) -> Void
    ) throws {
        try self.init(
            source, modelPath: modelPath, fetchedFolder: fetchedFolder,
            otherModelPath: otherModelPath, isDry: isDry, makeReader: ServedTurnReader.init,
            stopSignal: stopSignal, observe: observe)
    }

    /// - Parameter makeReader: How calls of tools are found in what the model writes.
    init(
        _ source: RecipeSource, modelPath: String, fetchedFolder: String? = nil,
        otherModelPath: @escaping @Sendable (String) throws -> String = { $0 },
        isDry: Bool = false, makeReader: @escaping TurnReaderMaker,
        stopSignal: @escaping @Sendable () -> Int32? = { nil },
        observe: @escaping (RunEvent) -> Void
    ) throws {
        recipe = source.recipe
        precondition(!recipe.method.stage.trains, "stage \(recipe.method.stage) is a TrainingRun's")
        self.observe = observe
        stop = StopRequest(stopSignal)
        for note in source.notes { observe(.note(note)) }
        folder = RunFolder(recipe.run.outputFolder)
        if isDry { try folder.checkWritable() }
        lock = isDry ? nil : try folder.claim()
        start = try SamplingStart.find(recipe, folder: folder, isDry: isDry)
        device = Device(recipe)
        model = try PreparedModel(recipe, path: modelPath, device: device)
        for note in model.notes { observe(.note(note)) }
        let host = model.host(
            recipe, device: device, modelPath: otherModelPath, stop: stop, isDry: isDry)
        scorer = try RolloutScorer(
            recipe, model: model.model, tokenizer: model.tokenizer, place: "recipe", host: host,
            device: device)
        let size = model.decoder.shape.vocabularySize
        if recipe.alignment.tools.isEmpty {
            (desk, transcripts) = (nil, nil)
        } else {
            desk = try ToolDesk(
                recipe, tokenizer: model.tokenizer, template: model.template, vocabularySize: size,
                place: "recipe", host: host, makeReader: makeReader)
            transcripts = TranscriptWriter(
                recipe, tokenizer: model.tokenizer, template: model.template, vocabularySize: size)
        }
        data = try PreparedData(
            recipe, tokenizer: model.tokenizer, template: model.template,
            vocabularySize: size, device: device,
            fetchedFolder: fetchedFolder)
        // The recipe's checks leave no data that were not counted.
        guard let survey = data.survey else { preconditionFailure("streamed data") }
        try scorer.check(columns: survey.tally.columns)
        if let fingerprint = start.fingerprint, fingerprint != data.fingerprint {
            throw RunError.changedData(
                checkpoint: folder.path, found: data.fingerprint, expected: fingerprint)
        }
        try data.template.check(start.template, of: folder.path)
        longestPrompt = try Self.checkedPrompts(recipe, model: model, data: data)
        try desk?.check(isChat: true)
        plan = try SamplingPlan(
            recipe, data: data, survey: survey,
            memory: MemoryPrediction(
                answering: model.model, recipe: recipe, longestPrompt: longestPrompt,
                judges: scorer.predictedBytes(), rewardModels: scorer.modelBytes,
                base: ProcessMemory.resident),
            notAsked: scorer.unasked + (desk?.unasked ?? []))
        guard isDry else { return }
        RunEvent.notAsked(plan.notAsked).map(observe)
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
                guard recipe.alignment.tools.isEmpty || row.prompt.isConversation else {
                    throw DataError.row(
                        RowProblem(
                            source: sample.source, kind: .malformed,
                            reason: "the prompt is a text, expected a conversation: rows of texts "
                                + "cannot say what of an answer tools have written"))
                }
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
        var state = SamplingJournal.State(
            fingerprint: data.fingerprint, template: data.template)
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
        let events = try EventLog.of(recipe, in: folder, after: state.batches)
        if let signal = try answer(from: &state, journal, log, events) {
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
        from state: inout SamplingJournal.State, _ journal: SamplingJournal, _ log: MetricsLog,
        _ events: EventLog?
    ) throws -> Int32? {
        guard state.batches < plan.batches else { return nil }
        let loader = try data.data.loader(.training, from: state.cursor, epochs: 1)
        let writer = try rolloutWriter()
        let first = state.promptCount
        var samples = 0
        var clock = StepClock()
        clock.restart()
        while state.batches < plan.batches {
            if let signal = stop.signal() { return signal }
            guard let loaded = try loader.next() else {
                throw RunError.noMoreData(step: state.batches + 1)
            }
            let before = state.tokenCount
            let batch: SampledBatch
            let groups: [JudgedGroup]
            do {
                (batch, groups) = try answered(loaded, behind: state, with: writer)
            } catch let interruption as Interruption {
                // The journal knows nothing of it, so it is answered anew.
                return interruption.signal
            }
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
            try events?.append(entry)
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
            longestPrompt: longestPrompt, desk: desk, stop: stop, device: device)
    }

    /// Writes and scores the answers to a batch of prompts.
    private func answered(
        _ loaded: LoadedBatch, behind state: SamplingJournal.State, with writer: RolloutWriter
    ) throws -> (batch: SampledBatch, groups: [JudgedGroup]) {
        let prompts = loaded.batch.samples.filter(\.isPrompt)
        var batch = SampledBatch()
        batch.number = state.batches + 1
        batch.cursor = loaded.cursor
        let rollouts = try writer.groups(
            prompts, draw: UInt64(batch.number), version: 0,
            fault: scorer.note(fault:))
        let groups = try scorer.judged(rollouts, prompts)
        let rule = AnswerSelection.Rule(recipe)
        for (index, group) in groups.enumerated() {
            guard case .prompt(let row) = prompts[index].companion else { continue }
            batch.prompts.append(
                sampled(
                    group, row, prompts[index].source, rule,
                    isExample: state.promptCount + index < SampledExample.limit))
        }
        let answers = groups.flatMap(\.rollout.answers)
        batch.promptCount = state.promptCount + prompts.count
        batch.tokenCount =
            state.tokenCount + groups.reduce(0) { $0 + $1.rollout.group.tokenCount }
        batch.answerCount = answers.count
        batch.answerTokens = answers.reduce(0) { $0 + $1.writtenCount }
        batch.cutCount = answers.count { !$0.hasEnded }
        return (batch, groups)
    }

    /// What stays of the answers to one prompt.
    private func sampled(
        _ group: JudgedGroup, _ row: PromptColumns, _ source: SampleSource,
        _ rule: AnswerSelection.Rule, isExample: Bool
    ) -> SampledPrompt {
        let written = group.rollout.answers
        let answers = written.map { answer -> SampledAnswer? in
            let text = scorer.text(answer.tokens)
            guard let transcripts else { return SampledAnswer(text) }
            return transcripts.turns(
                of: answer, behind: group.rollout.prompt, row, source
            ).map { SampledAnswer(text: text, turns: $0) }
        }
        let candidates = written.indices.map { index in
            AnswerSelection.Candidate(
                text: scorer.text(written[index].tokens),
                reward: rule.isScored ? group.totals[index] : nil,
                isEligible: answers[index] != nil
                    && (written[index].hasEnded || !group.masksTruncated))
        }
        let selection = AnswerSelection(candidates, rule)
        var result = SampledPrompt()
        result.samples = selection.kept.compactMap { place in
            answers[place].map { row.learnable($0, reward: candidates[place].reward) }
        }
        if let pair = selection.pair, let better = candidates[pair.chosen].reward,
            let worse = candidates[pair.rejected].reward, let chosen = answers[pair.chosen],
            let rejected = answers[pair.rejected]
        {
            result.pair = row.preference(chosen: (chosen, better), rejected: (rejected, worse))
        }
        if transcripts != nil { result.unrendered = answers.count { $0 == nil } }
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
        func share(_ count: (SampledPrompt) -> Int) -> JSONOutput {
            .double(Double(batch.prompts.reduce(0) { $0 + count($1) }) / answers)
        }
        var metrics: [(key: String, value: JSONOutput)] = [
            ("num_prompts", .integer(batch.promptCount)),
            ("num_tokens", .integer(batch.tokenCount)),
        ]
        metrics += scorer.metrics.map { ($0.name, .double($0.value)) }
        metrics += [
            ("samples/kept_ratio", .double(Double(kept.reduce(0, +)) / answers)),
            ("samples/prompt_ratio", .double(Double(kept.count { $0 > 0 }) / prompts)),
            ("samples/duplicate_ratio", share(\.duplicates)),
        ]
        if transcripts != nil {
            metrics.append(("samples/unrendered_ratio", share { $0.unrendered ?? 0 }))
        }
        return metrics
    }

    // MARK: - Files

    /// Makes the run's files from the journal, the summary as the last.
    private func finish() throws -> SamplingSummary {
        let path = folder.place(SamplingJournal.name)
        let summary = try SamplingSummary(
            journal: path, recipe: recipe, fingerprint: data.fingerprint,
            template: data.template)
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
