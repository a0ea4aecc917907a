import YuyanFormats
import YuyanNN
import YuyanTensor

/// The steps of a run: gradients, clipping, update, log, evaluation, checkpoint, in this order.
///
/// What a step computes is a function of recipe, data and step number, and a checkpoint holds all that
/// later steps read. So a run that was killed and goes on ends in the same bytes.
package final class TrainingLoop {
    let recipe: Recipe
    let plan: StepPlan
    let trainee: any Trainee
    let data: any BatchSource
    let validation: [ValidationSet]
    let optimizer: Optimizer
    let schedule: LearningRateSchedule
    let device: Device
    let files: RunFiles
    private(set) var state: TrainerState
    let observe: (RunEvent) -> Void
    /// Whether somebody asked to stop; looked at between micro-batches, and while answers are written.
    let stopSignal: () -> Int32?

    private let best: BestMetric
    private var scaler: LossScaler?
    private var clock = StepClock()
    /// The trainee's episodes when the clock began.
    private var episodesBefore = 0

    /// The parts of a run, which its maker has already brought to the state that it begins from.
    package struct Parts {
        package var recipe: Recipe
        package var plan: StepPlan
        package var trainee: any Trainee
        package var data: any BatchSource
        package var validation: [ValidationSet]
        package var optimizer: Optimizer
        package var schedule: LearningRateSchedule
        package var device: Device
        package var files: RunFiles
        package var state: TrainerState

        package init(
            recipe: Recipe, plan: StepPlan, trainee: any Trainee, data: any BatchSource,
            validation: [ValidationSet], optimizer: Optimizer, schedule: LearningRateSchedule,
            device: Device, files: RunFiles, state: TrainerState
        ) {
            self.recipe = recipe
            self.plan = plan
            self.trainee = trainee
            self.data = data
            self.validation = validation
            self.optimizer = optimizer
            self.schedule = schedule
            self.device = device
            self.files = files
            self.state = state
        }
    }

    package init(
        _ parts: Parts, stopSignal: @escaping () -> Int32? = { nil },
        observe: @escaping (RunEvent) -> Void = { _ in }
    ) throws {
        recipe = parts.recipe
        plan = parts.plan
        trainee = parts.trainee
        data = parts.data
        validation = parts.validation
        optimizer = parts.optimizer
        schedule = parts.schedule
        device = parts.device
        files = parts.files
        state = parts.state
        self.stopSignal = stopSignal
        self.observe = observe
        best = BestMetric(parts.recipe.run)
        if recipe.optimisation.usesFP16 {
            scaler = try LossScaler(
                scale: state.lossScale, growthTracker: state.lossScaleGrowth,
                skippedSteps: state.skippedSteps)
        }
    }

    /// Runs to the end, or until somebody asks to stop.
    ///
    /// - Throws: `RunError`, `FormatError` if a file cannot be written, or what reading data throws.
    package func run() throws -> RunOutcome {
        clock.restart()
        guard recipe.run.doesTrain else {
            state.owesEvaluation = true
            return try evaluateAndKeep() ?? .evaluated
        }
        episodesBefore = trainee.episodes ?? 0
        if state.owesEvaluation || (state.step == 0 && recipe.run.evaluatesOnStart) {
            if let outcome = try evaluateAndKeep() { return outcome }
        }
        while state.step < plan.steps {
            if let outcome = try stoppedEarly() { return outcome }
            guard try trainStep() else { return try interrupted() }
            try logIfDue()
            if let alarm {
                if resumableStep != state.step { try save(isResumable: true) }
                throw RunError.alarm(alarm)
            }
            state.owesEvaluation = evaluationIsDue
            if let outcome = try evaluateAndKeep() { return outcome }
            report()
        }
        return .finished(step: state.step)
    }

    private func stoppedEarly() throws -> RunOutcome? {
        guard let patience = recipe.run.earlyStoppingSteps, let best = state.best,
            state.evaluationsSinceBest >= patience
        else { return nil }
        if recipe.run.saveStrategy != .no, !isSaved { try save() }
        return .stoppedEarly(step: state.step, best: best.step)
    }

    // MARK: - One step

    /// Returns whether a step was taken; not if a signal came before its update.
    private func trainStep() throws -> Bool {
        let step = state.step + 1
        let isAnew = state.repetition == 0 || held.isEmpty
        let loaded = try isAnew ? nextBatches() : held
        if isAnew {
            further = []
            // A run that goes on between two steps on one set is behind what it drew for the set.
            _ = try moreSamples(state.furtherHeld)
        }
        guard let last = loaded.last else { throw RunError.noMoreData(step: step) }
        let batches = loaded.map(\.batch)
        let weight: Double
        do {
            weight = try trainee.begin(step: step, batches) { try moreSamples($0) }
        } catch is Interruption {
            // Answers that are half written are written anew.
            return false
        }
        guard weight > 0 else { throw RunError.noSupervisedTokens(step: step) }
        let normalizer = weight / Double(scaler?.scale ?? 1)
        var tokens = UInt64(state.tokens)
        var total = LossStatistics()
        for parameter in trainee.parameters { parameter.zeroGradient() }
        for batch in batches {
            // Nothing is changed before the update, so the state of the step before can be kept.
            if stopSignal() != nil { return false }
            do {
                try trainee.accumulate(
                    batch, normalizer: normalizer, tokensBefore: tokens, statistics: &total)
            } catch let fault as NumericalFault {
                throw RunError.notFinite(
                    step: step, what: "the loss", fault: trainee.explanation(of: fault, step: step))
            }
            guard total.lossSum.isFinite else {
                let fault = trainee.diagnose(batch, tokensBefore: tokens)
                throw RunError.notFinite(
                    step: step, what: "the loss",
                    fault: trainee.explanation(of: fault, step: step))
            }
            tokens += UInt64(trainee.tokenCount(of: batch))
        }
        let notes = try trainee.end(step: step, statistics: &total)
        for line in notes.lines { observe(.note(line)) }
        alarm = notes.alarm
        try update(step: step, total, batches)
        clock.add(tokens: Int(tokens) - state.tokens)
        state.step = step
        state.tokens = Int(tokens)
        state.repetition = (state.repetition + 1) % plan.repetitions
        held = state.repetition == 0 ? [] : loaded
        endsEpoch = false
        // What more steps are taken on is not done yet.
        state.furtherHeld =
            state.repetition == 0 ? 0 : further.reduce(0) { $0 + $1.unitCount }
        guard state.repetition == 0 else { return true }
        move(behind: last, microBatches: loaded.count)
        return true
    }

    /// Moves the state behind a step's micro-batches and behind what was drawn beside them.
    private func move(behind last: LoadedBatch, microBatches: Int) {
        var (end, done, beside) = (last, state.microBatchesDone + microBatches, state.furtherDone)
        for batch in further {
            if batch.epoch != end.epoch { (done, beside) = (0, 0) }
            beside += batch.unitCount
            end = batch
        }
        let share = Double(beside) / Double(recipe.optimisation.batchSize)
        state.epoch =
            end.endsEpoch && beside > 0
            ? Double(end.epoch + 1) : plan.fraction(epoch: end.epoch, done: Double(done) + share)
        state.cursor = end.cursor
        (state.microBatchesDone, state.furtherDone) = end.endsEpoch ? (0, 0) : (done, beside)
        endsEpoch = last.endsEpoch || further.contains(where: \.endsEpoch)
    }

    /// Why a guard wants the run to end.
    private var alarm: String?
    /// Micro-batches that more steps are taken on.
    private var held: [LoadedBatch] = []
    /// Samples that were drawn beside `held`, or beside the step's micro-batches.
    private var further: [LoadedBatch] = []

    /// Whether the last step was its epoch's last.
    private var endsEpoch = false

    /// The micro-batches of a step: fewer at the end of an epoch, for no step has samples of two.
    private func nextBatches() throws -> [LoadedBatch] {
        var loaded: [LoadedBatch] = []
        while loaded.count < plan.accumulation, let batch = try data.next() {
            loaded.append(batch)
            if batch.endsEpoch { break }
        }
        return loaded
    }

    /// Takes samples from behind the step's; they may be of the next epoch.
    private func moreSamples(_ count: Int) throws -> [TrainingSample] {
        guard count > 0 else { return [] }
        let more = try data.further(count)
        further += more
        return more.flatMap(\.batch.samples)
    }

    private func update(
        step: Int, _ total: LossStatistics, _ batches: [TrainingBatch]
    ) throws {
        let loss = total.meanLoss
        if scaler != nil {
            for parameter in trainee.parameters {
                if let gradient = parameter.gradient { roundedToHalf(gradient) }
            }
        }
        let norm = gradientNorm(trainee.parameters, on: device)
        // As transformers' Trainer: steps that float16 made skip do not move the schedule.
        let rate = schedule.rate(step: step - 1 - state.skippedSteps)
        guard norm.isFinite || scaler != nil else {
            throw notFinite(step: step, norm: norm, batches)
        }
        let inverse = Double(scaler?.inverse ?? 1)
        var takesStep = true
        if scaler != nil {
            takesStep = scaler?.update(overflowed: !norm.isFinite) ?? true
            if let scaler {
                (state.lossScale, state.lossScaleGrowth) = (scaler.scale, scaler.growthTracker)
                state.skippedSteps = scaler.skippedSteps
            }
            state.skippedInARow = takesStep ? 0 : state.skippedInARow + 1
            guard state.skippedInARow < 100 else {
                throw RunError.overflows(step: step, skipped: state.skippedInARow)
            }
        }
        if takesStep {
            optimizer.step(
                learningRate: rate,
                gradientScale: norm.gradientScale(
                    scale: inverse, limit: recipe.optimisation.maximumGradientNorm),
                on: device)
            trainee.refresh()
        }
        state.window.losses += loss
        state.window.steps += 1
        state.window.tokens.add(total)
        lastNorm = norm.length(scale: inverse)
        lastRate = rate
        lastLoss = loss
    }

    private var lastNorm = 0.0
    private var lastRate = 0.0
    private var lastLoss = 0.0

    private func notFinite(
        step: Int, norm: GradientNorm, _ batches: [TrainingBatch]
    ) -> RunError {
        var tokens = UInt64(state.tokens)
        var fault = "no single operation gave it; the sum over the step did"
        for batch in batches {
            if let found = trainee.diagnose(batch, tokensBefore: tokens) {
                fault = trainee.explanation(of: found, step: step)
                break
            }
            tokens += UInt64(batch.tokenCount)
        }
        return .notFinite(
            step: step, what: "the gradient of '\(norm.firstNotFinite ?? "?")'", fault: fault)
    }

    // MARK: - Log

    private func logIfDue() throws {
        let step = state.step
        let isDue =
            step.isMultiple(of: recipe.run.loggingSteps)
            || (step == 1 && recipe.run.logsFirstStep) || step == plan.steps
        guard isDue else { return }
        let window = state.window
        var metrics: [(key: String, value: JSONOutput)] = [
            ("epoch", .double(state.epoch)), ("loss", .double(window.meanLoss)),
            ("grad_norm", .double(lastNorm)), ("learning_rate", .double(lastRate)),
            ("num_tokens", .integer(state.tokens)),
        ]
        for (key, value) in window.tokens.means { metrics.append((key, .double(value))) }
        if scaler != nil {
            // As a Double it is written as it will be when a run that goes on has read it again.
            metrics.append(("loss_scale", .double(Double(state.lossScale))))
            metrics.append(("skipped_steps", .integer(state.skippedSteps)))
        }
        if let episodes = trainee.episodes {
            // PPO's own names in TRL for what has another one above.
            metrics += [("lr", .double(lastRate)), ("episode", .integer(episodes))]
        }
        state.window = LogWindow()
        try write(
            MetricsEntry(
                step: step, metrics: metrics,
                measurements: clock.measurements(
                    episodes: trainee.episodes.map { $0 - episodesBefore })))
    }

    private func write(_ entry: MetricsEntry) throws {
        state.history.append(entry.deterministic)
        try files.log(entry)
        observe(.logged(entry))
    }

    // MARK: - Evaluation

    private var evaluationIsDue: Bool {
        guard !validation.isEmpty else { return false }
        let steps = recipe.run.evaluationSteps ?? recipe.run.loggingSteps
        return switch recipe.evaluationInterval {
        case .no: false
        case .steps: state.step.isMultiple(of: steps) || state.step == plan.steps
        case .epoch: endsEpoch || state.step == plan.steps
        }
    }

    /// Evaluates if that is owed, then saves if that is due.
    ///
    /// - Returns: How the run ended, if a signal came.
    private func evaluateAndKeep() throws -> RunOutcome? {
        var isNewBest = false
        if state.owesEvaluation || (state.step == 0 && recipe.run.evaluatesOnStart) {
            guard let results = try evaluated() else { return try interrupted() }
            state.owesEvaluation = false
            (savedStep, resumableStep) = (nil, nil)
            let metrics = results.flatMap(\.metrics)
            var logged: [(key: String, value: JSONOutput)] = [("epoch", .double(state.epoch))]
            for (key, value) in metrics { logged.append((key, .double(value))) }
            try write(MetricsEntry(step: state.step, metrics: logged))
            isNewBest = try noteBest(metrics)
        }
        let keepsBest = recipe.run.loadsBest || recipe.run.earlyStoppingSteps != nil
        if saveIsDue || (isNewBest && keepsBest && state.step > 0) { try save() }
        return stopSignal() == nil || state.step == plan.steps ? nil : try interrupted()
    }

    private func evaluated() throws -> [ValidationResult]? {
        clock.pause()
        defer { clock.resume() }
        let count = validation.reduce(0) { $0 + $1.batches.count }
        var done = 0
        var results: [ValidationResult] = []
        for set in validation {
            var total = LossStatistics()
            for batch in set.batches {
                if stopSignal() != nil { return nil }
                do {
                    try trainee.evaluate(batch, statistics: &total)
                } catch is Interruption {
                    return nil
                }
                done += 1
                observe(.evaluating(done: done, of: count))
            }
            trainee.concludeEvaluation(statistics: &total)
            results.append(ValidationResult(prefix: set.prefix, total: total))
        }
        return results
    }

    /// Returns whether this evaluation is the best so far.
    private func noteBest(_ metrics: [(key: String, value: Double)]) throws -> Bool {
        guard let value = metrics.first(where: { $0.key == best.name })?.value else {
            throw best.missing(among: metrics.map(\.key))
        }
        guard best.isBetter(value, than: state.best?.value) else {
            state.evaluationsSinceBest += 1
            return false
        }
        state.best = TrainerState.Best(value: value, step: state.step, isSaved: false)
        state.evaluationsSinceBest = 0
        return true
    }

    // MARK: - Checkpoints

    private var saveIsDue: Bool {
        guard state.step > 0 else { return false }
        return switch recipe.run.saveStrategy {
        case .no: false
        case .steps: state.step.isMultiple(of: recipe.run.saveSteps) || state.step == plan.steps
        case .epoch: endsEpoch || state.step == plan.steps
        }
    }

    /// Whether a checkpoint of this very state is on disk.
    private var isSaved: Bool { savedStep == state.step }
    private lazy var savedStep: Int? = files.resumedStep
    /// The step of the checkpoint of this very state that a run can go on from, if there is one.
    private lazy var resumableStep: Int? = files.resumedStep

    /// - Parameter isResumable: Whether the optimiser is saved in any case.
    private func save(isResumable: Bool = false) throws {
        clock.pause()
        defer { clock.resume() }
        if state.best?.step == state.step { state.best?.isSaved = true }
        let isWhole = isResumable || !recipe.run.savesOnlyModel
        let path = try files.save(state, trainee: trainee, optimizer: isWhole ? optimizer : nil)
        savedStep = state.step
        if isWhole { resumableStep = state.step }
        observe(.saved(step: state.step, path: path))
    }

    /// Saves what is done, unless that is on disk already, so that the same command goes on.
    private func interrupted() throws -> RunOutcome {
        if state.step > 0, resumableStep != state.step { try save(isResumable: true) }
        return .interrupted(
            signal: stopSignal() ?? 0, step: state.step,
            checkpoint: state.step > 0 ? files.folder.place("checkpoint-\(state.step)") : nil)
    }

    private func report() {
        observe(
            .step(
                StepReport(
                    step: state.step, steps: plan.steps, loss: lastLoss,
                    tokensPerSecond: clock.recentRate, residentBytes: ProcessMemory.resident)))
    }
}
