import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// A recipe's run, from its files to its result.
///
/// ```
/// let run = try TrainingRun(source, modelPath: path) { event in … }
/// let result = try run.train()
/// ```
public final class TrainingRun {
    /// What is run.
    public let recipe: Recipe
    /// What the run will do, for people to read before it starts.
    public let summary: RunSummary

    private let folder: RunFolder
    private let lock: RunLock?
    private let device: Device
    private let model: PreparedModel
    private let trainee: any Trainee
    private let data: PreparedData
    private let plan: StepPlan
    private let optimizer: Optimizer
    private let memory: MemoryPrediction
    private let resumption: Resumption
    private let observe: (RunEvent) -> Void
    private let stopSignal: @Sendable () -> Int32?

    /// Reads model and data and counts what is to be done; trains nothing yet.
    ///
    /// - Parameters:
    ///   - modelPath: Where the recipe's model is.
    ///   - fetchedFolder: Where `scripts/fetch-data` puts data sets that recipes then call by name.
    ///   - otherModelPath: Where another model is that the recipe names, such as a judge.
    ///   - isDry: Only looks: takes no folder, writes nothing.
    ///   - stopSignal: The signal that asked to stop, if one did; asked between micro-batches, and all the
    ///     time while answers are written or scored, on whatever thread.
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

    /// - Parameters:
    ///   - makeReader: How calls of tools are found in what the model writes.
    ///   - reachable: Bytes that the process could hold, asked once the model is loaded.
    init(
        _ source: RecipeSource, modelPath: String, fetchedFolder: String? = nil,
        otherModelPath: @escaping @Sendable (String) throws -> String = { $0 },
        isDry: Bool = false, makeReader: @escaping TurnReaderMaker,
        reachable: () -> Int? = { ProcessMemory.reachable },
        stopSignal: @escaping @Sendable () -> Int32? = { nil },
        observe: @escaping (RunEvent) -> Void
    ) throws {
        recipe = source.recipe
        self.observe = observe
        self.stopSignal = stopSignal
        for note in source.notes { observe(.note(note)) }
        folder = RunFolder(recipe.run.outputFolder)
        if isDry { try folder.checkWritable() }
        lock = isDry ? nil : try folder.claim()
        resumption = try Resumption.find(recipe, folder: folder, isDry: isDry)
        for note in resumption.notes + recipe.run.savingNotes { observe(.note(note)) }
        device = Device(recipe)
        model = try PreparedModel(recipe, path: modelPath, device: device)
        for note in model.notes { observe(.note(note)) }
        var quiet = recipe
        if isDry { quiet.alignment.referenceCache = "none" }
        trainee = try model.trainee(
            quiet,
            host: model.host(
                recipe, device: device, modelPath: otherModelPath, stop: StopRequest(stopSignal),
                isDry: isDry),
            device: device, makeReader: makeReader)
        data = try PreparedData(
            recipe, tokenizer: model.tokenizer, template: model.template,
            vocabularySize: model.decoder.shape.vocabularySize, device: device,
            fetchedFolder: fetchedFolder)
        if let columns = data.survey?.tally.columns { try trainee.check(columns: columns) }
        if recipe.evaluates(on: data.validation) {
            try BestMetric(recipe.run).check(among: trainee.loggedNames(on: data.validation))
        }
        plan = try data.plan(recipe)
        // Before the optimiser: masters are touched as it is made, and its state is counted by itself.
        let base = ProcessMemory.resident
        optimizer = try Optimizer(
            recipe, trainee.parameters,
            folder: isDry || !recipe.run.doesTrain ? nil : folder.path)
        let (checkpointing, memory) = Self.memory(
            recipe, model: model, trainee: trainee, data: data, optimizer: optimizer,
            judges: try trainee.predictedBytes(), base: base)
        model.model.checkpointsLayers = checkpointing
        self.memory = memory
        summary = try RunSummary(
            recipe, model: model, trainee: trainee, data: data, plan: plan, memory: memory,
            checkpointing: checkpointing, schedule: LearningRateSchedule(recipe, steps: plan.steps),
            warnings: RecipeLint.warnings(
                recipe, try data.facts(recipe, plan: plan, model: model)))
        for warning in summary.warnings { observe(.note("\(warning)")) }
        if let note = memory.shortage(of: reachable(), recipe, checkpointing: checkpointing) {
            observe(.note(note))
        }
        RunEvent.notAsked(summary.notAsked).map(observe)
        guard isDry, let checkpoint = resumption.checkpoint, let saved = resumption.state else {
            return
        }
        try check(checkpoint, saved)
        let isFinished = try earlierEnd(checkpoint, saved) != nil
        observe(
            .note(
                isFinished
                    ? "\(folder.path): this run is already finished; nothing would be done"
                    : "the run would go on after step \(saved.step): \(checkpoint.path)"))
    }

    /// Decides whether layers are computed again, and says what the run will hold then.
    private static func memory(
        _ recipe: Recipe, model: PreparedModel, trainee: any Trainee, data: PreparedData,
        optimizer: Optimizer, judges: Int, base: Int?
    ) -> (checkpointing: Bool, memory: MemoryPrediction) {
        func prediction(_ checkpointing: Bool) -> MemoryPrediction {
            MemoryPrediction(
                decoder: model.decoder, trainee: trainee, optimizer: optimizer,
                recipe: recipe,
                tokens: recipe.method.stage.writesAnswers
                    ? recipe.tokensPerPass(
                        model.model.tokensPerPass, longestPrompt: data.longest)
                    : min(data.mostTokens, max(model.model.tokensPerPass, data.longest)),
                longestPrompt: data.longest, samples: data.sampleBytes,
                checkpointing: checkpointing, judges: judges, base: base)
        }
        let asked =
            recipe.model.disablesGradientCheckpointing ? false : recipe.model.gradientCheckpointing
        if let asked { return (asked, prediction(asked)) }
        let plain = prediction(false)
        return MemoryPrediction.fits(plain.total) ? (false, plain) : (true, prediction(true))
    }

    // MARK: - Training

    /// Trains to the end, or until somebody asks to stop, and writes the result.
    ///
    /// - Throws: `RunError`, `FormatError` if a file cannot be written, `DataError`.
    public func train() throws -> RunResult {
        var state = TrainerState()
        if let checkpoint = resumption.checkpoint, let saved = resumption.state {
            try check(checkpoint, saved)
            if let outcome = try earlierEnd(checkpoint, saved) {
                let verdict = try page(outcome, samples: []).verdict
                return RunResult(
                    outcome: outcome, folder: folder.path, memory: memory, measuredPeak: nil,
                    samples: [], verdict: verdict, endedBefore: checkpoint.path)
            }
            guard try showData() else { return stopped(after: saved.step, checkpoint.path) }
            try trainee.restore(from: checkpoint.path)
            try optimizer.restore(
                from: SafetensorsFile(path: checkpoint.path + "/optimizer.safetensors"))
            state = saved
            observe(.resumed(step: saved.step, checkpoint: checkpoint.path))
        } else {
            guard try showData() else { return stopped(after: 0, nil) }
        }
        // Everything is known to be right by now.
        try resumption.clear(folder)
        let context = TrainerState.Context(
            plan: plan, recipe: recipe, dataFingerprint: data.fingerprint, template: data.template,
            microBatchSize: recipe.optimisation.batchSize)
        let files = try RunFiles(
            folder: folder, recipe: recipe, context: context, resumed: resumption.state)
        let answers: AnswersBefore?
        do {
            answers = try answersBefore(isResumed: resumption.state != nil)
        } catch is Interruption {
            return stopped(after: 0, nil)
        }
        // A run that only evaluates reads no training data.
        let batches: any BatchSource =
            recipe.run.doesTrain
            ? try data.source(recipe, from: state.cursor) : NoBatches()
        let loop = try TrainingLoop(
            TrainingLoop.Parts(
                recipe: recipe, plan: plan, trainee: trainee,
                data: batches,
                validation: data.validation, optimizer: optimizer,
                schedule: LearningRateSchedule(recipe, steps: plan.steps), device: device,
                files: files, state: state),
            stopSignal: stopSignal, observe: observe)
        let outcome = try loop.run()
        if case .interrupted = outcome { return result(outcome, answers: nil) }
        if case .evaluated = outcome { return try report(outcome, samples: []) }
        return try finish(outcome, loop.state, files, answers)
    }

    /// Lets the method look at all data while the model is as it came.
    ///
    /// - Returns: False if somebody asked to stop before it had seen all of it.
    private func showData() throws -> Bool {
        let epochs = recipe.run.doesTrain ? max(1, plan.epochs) : 0
        // Made once somebody wants to see rows: it reads ahead, and holds what it has read.
        var loader: DataLoader?
        var rest = data.validation.flatMap(\.batches).makeIterator()
        let count =
            data.data.rowCount(.training) * epochs
            + data.validation.reduce(0) { $1.batches.reduce($0) { $0 + $1.samples.count } }
        var done = 0
        try trainee.prepare {
            observe(.preparing(done: done, of: count))
            guard stopSignal() == nil else { return nil }
            if loader == nil, epochs > 0 {
                loader = try data.data.loader(.training, epochs: epochs)
            }
            let batch = try loader?.next()?.batch ?? rest.next()
            done += batch?.samples.count ?? 0
            return batch
        }
        return stopSignal() == nil
    }

    private func stopped(after step: Int, _ checkpoint: String?) -> RunResult {
        result(
            .interrupted(signal: stopSignal() ?? 0, step: step, checkpoint: checkpoint),
            answers: nil)
    }

    /// Refuses a checkpoint of other data or another template, or behind the recipe's end.
    private func check(_ checkpoint: RunFolder.Checkpoint, _ state: TrainerState) throws {
        if let fingerprint = resumption.fingerprint, fingerprint != data.fingerprint {
            throw RunError.changedData(
                checkpoint: checkpoint.path, found: data.fingerprint, expected: fingerprint)
        }
        try data.template.check(resumption.template, of: checkpoint.path)
        guard state.step <= plan.steps else {
            throw RunError.beyondEnd(
                checkpoint: checkpoint.path, step: state.step, steps: plan.steps)
        }
    }

    /// How the folder's run ended, if it did, and if this recipe asks for nothing else.
    private func earlierEnd(
        _ checkpoint: RunFolder.Checkpoint, _ state: TrainerState
    ) throws -> RunOutcome? {
        let names = try folder.names()
        let end = "trainer_state.json"
        guard checkpoint.path == folder.place(checkpoint.name),
            [end, "recipe.yaml", "report.html"].allSatisfy(names.contains)
        else { return nil }
        do {
            guard try TrainerState.read(folder.place(end)).state.step == state.step else {
                return nil
            }
        } catch {
            observe(.note("the run's end is done again: \(error)"))
            return nil
        }
        let before = try RecipeSource(saved: folder.place("recipe.yaml")).recipe
        guard
            recipe.differences(from: before).allSatisfy({ Recipe.idleKeys.contains($0.key.name) })
        else { return nil }
        if state.step == plan.steps { return .finished(step: state.step) }
        guard let patience = recipe.run.earlyStoppingSteps, let best = state.best,
            state.evaluationsSinceBest >= patience
        else { return nil }
        return .stoppedEarly(step: state.step, best: best.step)
    }

    private func finish(
        _ outcome: RunOutcome, _ state: TrainerState, _ files: RunFiles, _ answers: AnswersBefore?
    ) throws -> RunResult {
        if recipe.run.loadsBest, let best = state.best, best.isSaved, best.step != state.step {
            try trainee.restore(from: folder.place("checkpoint-\(best.step)"))
        }
        try trainee.export(to: folder.path, as: recipe.savedElementType)
        var samples: [ReportPage.Sample] = []
        if let answers {
            var after: [String] = []
            do {
                after = try answers.prompts.answers(
                    model.decoder, trainee: trainee, tokenizer: model.tokenizer, device: device)
            } catch let interruption as Interruption {
                observe(.note("the report has no answers: \(interruption)"))
            }
            for (index, prompt) in answers.prompts.prompts.enumerated()
            where index < answers.before.count && index < after.count {
                samples.append(
                    ReportPage.Sample(
                        prompt: model.tokenizer.decode(prompt.tokens),
                        before: answers.before[index], after: after[index],
                        reference: model.tokenizer.decode(prompt.reference)))
            }
        }
        let result = try report(outcome, samples: samples)
        try files.finish(state)
        return result
    }

    /// Writes the page for people.
    private func report(
        _ outcome: RunOutcome, samples: [ReportPage.Sample]
    ) throws -> RunResult {
        let page = try page(outcome, samples: samples)
        try writeAtomically(folder.place("report.html")) { try $0.write(page.html) }
        return result(outcome, answers: samples, verdict: page.verdict)
    }

    private func result(
        _ outcome: RunOutcome, answers: [ReportPage.Sample]?, verdict: FitVerdict = .unknown
    ) -> RunResult {
        RunResult(
            outcome: outcome, folder: folder.path, memory: memory,
            measuredPeak: ProcessMemory.peak, samples: answers ?? [], verdict: verdict,
            endedBefore: nil)
    }

    private func page(_ outcome: RunOutcome, samples: [ReportPage.Sample]) throws -> ReportPage {
        ReportPage(
            title: recipe.run.runName ?? folder.path, outcome: outcome.sentence,
            facts: summary.facts, lines: try ReportPage.lines(of: folder.place("metrics.jsonl")),
            memory: memory.parts.map { ($0.name, $0.bytes) }, measuredPeak: ProcessMemory.peak,
            samples: samples, sections: trainee.reportSections(), recipe: recipe.yaml)
    }

    // MARK: - Answers

    private typealias AnswersBefore = (prompts: AnswerSamples, before: [String])

    /// What the model says before it is trained; a run that goes on finds that in a file.
    private func answersBefore(isResumed: Bool) throws -> AnswersBefore? {
        guard recipe.run.doesTrain, recipe.run.reportSamples > 0, recipe.method.stage != .pt,
            recipe.method.stage != .rm, recipe.method.stage != .prm
        else { return nil }
        var batches = data.validation.flatMap(\.batches)
        if batches.isEmpty {
            let loader = try data.data.loader(.training, epochs: 1)
            var found = 0
            while found < recipe.run.reportSamples, let loaded = try loader.next() {
                batches.append(loaded.batch)
                found += loaded.batch.lengths.count
            }
        }
        let prompts = AnswerSamples(batches, count: recipe.run.reportSamples)
        guard !prompts.prompts.isEmpty else { return nil }
        let path = folder.place("samples.json")
        if isResumed { return AnswerSamples.load(path).map { (prompts, $0) } }
        let before = try prompts.answers(
            model.decoder, trainee: trainee, tokenizer: model.tokenizer, device: device,
            check: StopRequest(stopSignal).check)
        try AnswerSamples.save(before, to: path)
        return (prompts, before)
    }

    // MARK: - Trying

    /// Runs one micro-batch forward and backward and says how long the run would take.
    ///
    /// - Throws: `DataError`; `RunError` if the loss is not a number.
    public func timed() throws -> TimePrediction {
        guard recipe.run.doesTrain else { return try timedEvaluation() }
        let loader = try data.data.loader(.training)
        guard let first = try loader.next() else { throw RunError.noMoreData(step: 1) }
        let batch = first.batch
        var unseen: TrainingBatch? = batch
        try trainee.prepare {
            defer { unseen = nil }
            return unseen
        }
        var statistics = LossStatistics()
        let clock = ContinuousClock()
        var fastest = Duration.seconds(1_000_000)
        // The first pass also meets cold memory.
        for _ in 0..<2 {
            let start = clock.now
            let weight = try trainee.begin(step: 1, [batch])
            do {
                try trainee.accumulate(
                    batch, normalizer: max(1, weight), tokensBefore: 0, statistics: &statistics)
            } catch let fault as NumericalFault {
                throw RunError.notFinite(
                    step: 1, what: "the loss", fault: trainee.explanation(of: fault, step: 1))
            }
            fastest = min(fastest, clock.now - start)
        }
        let rate = Double(batch.tokenCount) / max(fastest / .seconds(1), 1e-9)
        let perEpoch = data.survey.map { Double($0.tally.tokens) }
        let perBatch = perEpoch.map { $0 / Double(max(1, plan.microBatchesOfFirstEpoch)) }
        let tokens =
            (perBatch ?? Double(batch.tokenCount))
            * Double(plan.steps * plan.accumulation)
        return TimePrediction(
            tokensPerSecond: rate, seconds: tokens / rate, loss: statistics.meanLoss)
    }

    /// The same of a run that only evaluates.
    private func timedEvaluation() throws -> TimePrediction {
        guard let batch = data.validation.first?.batches.first else {
            throw RunError.noMoreData(step: 0)
        }
        var unseen: TrainingBatch? = batch
        try trainee.prepare {
            defer { unseen = nil }
            return unseen
        }
        var statistics = LossStatistics()
        let clock = ContinuousClock()
        let start = clock.now
        try trainee.evaluate(batch, statistics: &statistics)
        let rate = Double(batch.tokenCount) / max((clock.now - start) / .seconds(1), 1e-9)
        return TimePrediction(
            tokensPerSecond: rate, seconds: Double(data.validationTokens) / rate,
            loss: statistics.meanLoss)
    }
}

/// The training data of a run that reads none.
private struct NoBatches: BatchSource {
    func next() throws -> LoadedBatch? { nil }
}

/// How long a run would take at the speed of its first micro-batch.
public struct TimePrediction: Sendable {
    /// Of the faster of two passes.
    public let tokensPerSecond: Double
    /// Of all steps, without evaluations.
    public let seconds: Double
    /// Of the first micro-batch, before any training.
    public let loss: Double
}

/// What a run came to.
public struct RunResult: Sendable {
    /// How it ended.
    public let outcome: RunOutcome
    /// Where everything is.
    public let folder: String
    /// As predicted before the first step.
    public let memory: MemoryPrediction
    /// The most that the process held; nil where the system does not tell.
    public let measuredPeak: Int?
    /// Answers before and after.
    public let samples: [ReportPage.Sample]
    /// What the losses say about over-fitting.
    public let verdict: FitVerdict
    /// The last checkpoint of a run that had ended before, so that no file was touched; else nil.
    public let endedBefore: String?
}

extension RunOutcome {
    /// One sentence for a report.
    var sentence: String {
        switch self {
        case .finished(let step): "Finished after \(step) steps."
        case .evaluated: "Evaluated as it is; nothing was trained."
        case .stoppedEarly(let step, let best):
            "Stopped early at step \(step): no evaluation was better than that of step \(best)."
        case .interrupted(_, let step, _): "Interrupted at step \(step)."
        }
    }
}

extension Recipe {
    /// The format of the result's weights.
    ///
    /// Without masters all weights of a full run are bfloat16 already, so nothing is lost by saving
    /// them so; beside frozen ones that are kept as they were, float32 is what loses nothing.
    var savedElementType: ElementType {
        switch model.savedType {
        case .auto: optimisation.pureBF16 && method.type == .full ? .bf16 : .f32
        case .float32: .f32
        case .float16: .f16
        case .bfloat16: .bf16
        }
    }
}
