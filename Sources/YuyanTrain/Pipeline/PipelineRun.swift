import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A pipeline's run: its stages one after another, each skipped if it is done, gone on with if it was
/// cut short, and done anew if what it was made from has changed.
///
/// ```
/// let run = try PipelineRun(source, modelPath: { $0 }) { event in … }
/// let result = try run.run()
/// ```
public final class PipelineRun {
    private let source: PipelineSource
    private let selection: PipelineSelection
    private let folder: RunFolder
    private let lock: RunLock?
    private let modelPath: @Sendable (String) throws -> String
    private let fetchedFolder: String?
    private let stopSignal: @Sendable () -> Int32?
    private let observe: (PipelineEvent) -> Void
    private var record: PipelineRecord
    /// Stages that this command found finished.
    private var found: Set<String> = []

    /// Reads what was done before and looks for everything that is needed from outside.
    ///
    /// - Parameters:
    ///   - modelPath: Where the model is that a recipe names.
    ///   - fetchedFolder: Where `scripts/fetch-data` puts data sets that recipes then call by name.
    ///   - isDry: Only looks: takes no folder, writes nothing.
    ///   - stopSignal: The signal that asked to stop, if one did.
    /// - Throws: `PipelineError`, `RunError.busy`, or what is wrong with models and data that are not
    ///   made by a stage.
    public init(
        _ source: PipelineSource, selection: PipelineSelection = .unfinished,
        modelPath: @escaping @Sendable (String) throws -> String, fetchedFolder: String? = nil,
        isDry: Bool = false, stopSignal: @escaping @Sendable () -> Int32? = { nil },
        observe: @escaping (PipelineEvent) -> Void
    ) throws {
        self.source = source
        self.selection = selection
        self.modelPath = modelPath
        self.fetchedFolder = fetchedFolder
        self.stopSignal = stopSignal
        self.observe = observe
        folder = RunFolder(source.outputFolder)
        let names = source.stages.map(\.name)
        if let name = selection.name, !names.contains(name) {
            throw PipelineError.unknownStage(
                place: source.name, name: name, nearest: nearestNames(to: name, in: names))
        }
        for note in source.notes { observe(.note(note)) }
        if isDry { try folder.checkWritable() }
        lock = isDry ? nil : try folder.claim()
        if !isDry { try folder.removeLeftovers() }
        record = try PipelineRecord(in: folder)
        // A stage that is gone leaves its folder, and nothing here.
        for entry in record.entries where !names.contains(entry.name) { record[entry.name] = nil }
        record.redo.removeAll { !names.contains($0) }
        try checkOutside()
        guard let name = selection.name, selection.text != record.request else { return }
        // The same command once more goes on; another one begins.
        record.request = selection.text
        let chosen = if case .only = selection { [name] } else { Array(names.drop { $0 != name }) }
        record.redo += chosen.filter { !record.redo.contains($0) }
    }

    /// Looks for models, adapters and data that no stage makes.
    private func checkOutside() throws {
        for stage in source.stages {
            let made = stage.inputs.map { source.stages[$0].folder }
            func isMade(_ path: String) -> Bool {
                made.contains { path == $0 || path.hasPrefix($0 + "/") }
            }
            let recipe = stage.recipe
            do {
                if !isMade(recipe.model.path) { _ = try modelPath(recipe.model.path) }
                for path in recipe.model.adapters
                where !isMade(path) && access(path, F_OK) != 0 {
                    throw FormatError.cannotOpen(
                        file: path, reason: String(cString: strerror(errno)))
                }
                let info = try DatasetInfo(folder: recipe.data.folder, fetched: fetchedFolder)
                for name in recipe.data.sets + recipe.data.evaluationSets where !isMade(name) {
                    _ = try info.definition(of: name)
                }
            } catch {
                throw PipelineError.failed(stage: stage.name, cause: error)
            }
        }
        guard let evaluation = source.evaluation else { return }
        let recipe = evaluation.recipe(of: source.stages[0].recipe)
        _ = try StageFiles.data(of: recipe, fetchedFolder: fetchedFolder)
    }

    // MARK: - Running

    /// Runs what is not done, to the end or until somebody asks to stop.
    ///
    /// - Throws: `PipelineError`; what goes wrong in a stage is its cause.
    public func run() throws -> PipelineResult {
        var signal: Int32?
        for index in source.stages.indices where isSelected(index) {
            signal = try stopSignal() ?? advance(index)
            try writePage(signal)
            if signal != nil { break }
        }
        if signal == nil {
            record.request = nil
            try record.write(to: folder)
        }
        return result(signal)
    }

    private func isSelected(_ index: Int) -> Bool {
        if case .only(let name) = selection { return source.stages[index].name == name }
        return true
    }

    /// Brings a stage to its end.
    ///
    /// - Returns: The signal that asked to stop, if one did.
    private func advance(_ index: Int) throws -> Int32? {
        let stage = source.stages[index]
        do {
            if let signal = try evaluateStart(index) { return signal }
            switch try action(index) {
            case .skip:
                found.insert(stage.name)
                observe(.skipped(place(index), folder: stage.folder))
            case .goOn: if let signal = try train(index, anew: nil) { return signal }
            case .beginAnew(let reason):
                if let signal = try train(index, anew: reason) { return signal }
            }
            return try evaluate(index)
        } catch let error as PipelineError {
            throw error
        } catch {
            throw PipelineError.failed(stage: stage.name, cause: error)
        }
    }

    private func place(_ index: Int) -> PipelinePlace {
        PipelinePlace(
            number: index + 1, count: source.stages.count, name: source.stages[index].name)
    }

    // MARK: - What is to be done

    /// What becomes of a stage when its turn comes.
    enum Action: Hashable {
        /// It is finished, and nothing of what it was made from has changed.
        case skip
        /// It is begun, or gone on with.
        case goOn
        case beginAnew(String)
    }

    private func action(_ index: Int) throws -> Action {
        let stage = source.stages[index]
        let inputs = try inputs(of: index)
        if record.redo.contains(stage.name) { return .beginAnew("as asked") }
        let hasRun = try hasRun(stage.folder)
        guard let entry = record[stage.name], entry.folder == stage.folder,
            entry.isFinished || hasRun
        else {
            guard stage.inputs.isEmpty || !hasRun else {
                throw PipelineError.unrecorded(stage: stage.name, folder: stage.folder)
            }
            return .goOn
        }
        let differences = stage.recipe.differences(fromRecorded: entry.recipe)
        let fixed = differences.filter { $0.key.resumption == .fixed }
        guard fixed.isEmpty else {
            throw PipelineError.changedRecipe(
                stage: stage.name, folder: stage.folder, differences: fixed.map(\.description))
        }
        let before = Dictionary(entry.inputs.map { ($0.name, $0.fingerprint) }) { $1 }
        let changed = inputs.filter { before[$0.name] != $0.fingerprint }.map(\.name)
        guard changed.isEmpty, inputs.count == before.count else {
            let names = changed.isEmpty ? "other stages" : changed.joined(separator: " and ")
            return .beginAnew("what it takes from \(names) has changed")
        }
        guard try StageFiles.data(of: stage.recipe, fetchedFolder: fetchedFolder) == entry.data
        else { throw PipelineError.changedData(stage: stage.name, folder: stage.folder) }
        guard entry.isFinished else { return .goOn }
        guard try StageFiles.result(in: stage.folder) == entry.result else {
            return .beginAnew("its folder does not hold the result that it ended with")
        }
        return differences.isEmpty ? .skip : .goOn
    }

    /// Whether a folder holds steps of a run.
    private func hasRun(_ path: String) throws -> Bool {
        let folder = RunFolder(path)
        return try !folder.checkpoints().isEmpty
            || folder.names().contains {
                ["trainer_state.json", SamplingSummary.name, SamplingJournal.name].contains($0)
            }
    }

    /// The results that a stage takes, as they are now.
    private func inputs(of index: Int) throws -> [(name: String, fingerprint: String)] {
        try source.stages[index].inputs.map { input in
            let other = source.stages[input]
            guard let entry = record[other.name], entry.isFinished, entry.folder == other.folder,
                !record.redo.contains(other.name), let result = entry.result,
                try found.contains(other.name) || StageFiles.result(in: other.folder) == result
            else {
                throw PipelineError.unfinished(
                    stage: source.stages[index].name, needed: other.name)
            }
            return (other.name, result)
        }
    }

    // MARK: - A stage

    /// - Parameter reason: Why the stage begins anew; nil if it need not.
    /// - Returns: The signal that asked to stop, if one did.
    private func train(_ index: Int, anew reason: String?) throws -> Int32? {
        let stage = source.stages[index]
        let place = place(index)
        var entry = PipelineRecord.Entry(
            name: stage.name, recipe: stage.recipe.json, folder: stage.folder,
            inputs: try inputs(of: index),
            data: try StageFiles.data(of: stage.recipe, fetchedFolder: fetchedFolder))
        var recipeSource = stage.source
        if reason != nil {
            recipeSource.recipe.run.resumeFrom = "false"
            if !record.redo.contains(stage.name) { record.redo.append(stage.name) }
        } else if let before = record[stage.name], before.folder == stage.folder {
            entry.seconds = before.seconds
        }
        let clock = ContinuousClock()
        let start = clock.now
        // The old run is gone from the first step of the new one on, and not before.
        var isOld = reason != nil
        var fault: (any Error)?
        ProcessMemory.forgetPeak()
        let run = try StageRun(
            recipeSource, modelPath: modelPath(stage.recipe.model.path),
            fetchedFolder: fetchedFolder, otherModelPath: modelPath, stopSignal: stopSignal
        ) { [self] event in
            if isOld, event.meansSteps {
                isOld = false
                record.redo.removeAll { $0 == stage.name }
                record[stage.name] = entry
                do { try record.write(to: folder) } catch { fault = error }
            }
            observe(.stage(place, event))
        }
        // Model and data are right, so from here on there is something to remember.
        if reason == nil { record[stage.name] = entry }
        try record.write(to: folder)
        observe(.began(place, run.summary, reason: reason))
        let end = try run.run()
        if let fault { throw fault }
        let seconds = (clock.now - start) / .seconds(1)
        entry.seconds += seconds
        entry.steps = end.steps
        entry.outcome = end.word
        observe(.ended(place, end, seconds: seconds))
        if let signal = end.signal {
            // Before its first step there is nothing to go on from.
            if !isOld { record[stage.name] = entry }
            try record.write(to: folder)
            return signal
        }
        guard let files = try StageFiles.result(in: stage.folder) else {
            throw PipelineError.noResult(stage: stage.name, folder: stage.folder)
        }
        entry.result = files
        entry.isFinished = true
        entry.figures = Self.figures(of: try lines(of: stage))
        record.redo.removeAll { $0 == stage.name }
        record[stage.name] = entry
        try record.write(to: folder)
        return nil
    }

    private func lines(of stage: PipelineStage) throws -> [ReportPage.Line] {
        let log = RunFolder(stage.folder)
        guard try log.names().contains("metrics.jsonl") else { return [] }
        return try ReportPage.lines(of: log.place("metrics.jsonl"))
    }

    /// What is worth comparing of a log: rewards where there are any, else losses.
    private static func figures(of lines: [ReportPage.Line]) -> [PipelineResult.Figure] {
        let hasRewards = lines.contains { $0.values["reward"] != nil }
        let names =
            hasRewards
            ? ["reward", "eval_reward"]
            : ["loss", "eval_loss", "eval_accuracy", "eval_rewards/accuracies"]
        return names.compactMap { name in
            let values = lines.compactMap { $0.values[name] }
            guard let first = values.first, let last = values.last else { return nil }
            return PipelineResult.Figure(name: name, first: first, last: last)
        }
    }

    // MARK: - Evaluation

    /// Asks the model that the first stage begins from.
    private func evaluateStart(_ index: Int) throws -> Int32? {
        guard index == 0, let evaluation = source.evaluation,
            !source.stages[0].recipe.model.fromScratch
        else { return nil }
        let recipe = evaluation.recipe(of: source.stages[0].recipe)
        let key = try evaluation.fingerprint(recipe, fetchedFolder: fetchedFolder)
        guard record.start?.fingerprint != key else { return nil }
        guard let figures = try figures(recipe, evaluation, at: nil) else { return stopSignal() }
        record.start = PipelineRecord.Evaluation(fingerprint: key, figures: figures)
        try record.write(to: folder)
        return nil
    }

    /// Asks the model that a stage has ended with, unless it was asked before.
    private func evaluate(_ index: Int) throws -> Int32? {
        let stage = source.stages[index]
        guard let evaluation = source.evaluation, var entry = record[stage.name],
            let result = entry.result, [.adapter, .model].contains(stage.recipe.stageResult)
        else { return nil }
        // A head that scores is no model that answers, in an adapter or not.
        guard ![.rm, .prm].contains(stage.recipe.method.stage) else { return nil }
        let recipe = evaluation.recipe(of: stage.recipe, result: stage.folder)
        let key = try evaluation.fingerprint(recipe, fetchedFolder: fetchedFolder) + "-" + result
        guard entry.evaluation?.fingerprint != key else { return nil }
        guard let figures = try figures(recipe, evaluation, at: place(index)) else {
            return stopSignal()
        }
        entry.evaluation = PipelineRecord.Evaluation(fingerprint: key, figures: figures)
        record[stage.name] = entry
        try record.write(to: folder)
        return nil
    }

    private func figures(
        _ recipe: Recipe, _ evaluation: PipelineEvaluation, at place: PipelinePlace?
    ) throws -> [(name: String, value: Double)]? {
        let figures = try evaluation.figures(
            recipe, modelPath: modelPath, fetchedFolder: fetchedFolder, stopSignal: stopSignal
        ) { done, count in observe(.evaluating(place, done: done, of: count)) }
        if let figures { observe(.evaluated(place, figures)) }
        return figures
    }

    // MARK: - Results

    private func result(_ signal: Int32?) -> PipelineResult {
        PipelineResult(
            folder: folder.path, signal: signal, start: record.start?.figures ?? [],
            stages: source.stages.map { stage in
                // What is done anew is not yet done.
                let entry = record.redo.contains(stage.name) ? nil : record[stage.name]
                return PipelineResult.Stage(
                    name: stage.name, kind: stage.recipe.method.stage.rawValue,
                    folder: stage.folder,
                    status: entry.map { $0.outcome ?? "running" } ?? "waiting",
                    steps: entry?.steps ?? 0, seconds: entry?.seconds ?? 0,
                    wasFinished: found.contains(stage.name), figures: entry?.figures ?? [],
                    evaluation: entry?.evaluation?.figures ?? [])
            })
    }

    private func writePage(_ signal: Int32?) throws {
        let result = result(signal)
        var curves: [String: [ReportPage.Line]] = [:]
        for stage in source.stages where record[stage.name] != nil {
            curves[stage.name] = try lines(of: stage)
        }
        let page = PipelinePage(title: source.title, result: result, curves: curves)
        try writeAtomically(folder.place("report.html")) { try $0.write(page.html) }
    }

    // MARK: - Looking

    /// What would become of each stage, and of the first that would be run its summary and its time.
    ///
    /// - Throws: What `run` would throw, as far as that shows before inputs are there.
    public func look() throws -> PipelineOutlook {
        var stages: [PipelineOutlook.Stage] = []
        var moving: [Int] = []
        var first: (index: Int, action: Action)?
        for (index, stage) in source.stages.enumerated() {
            var prospect = PipelineOutlook.Prospect.left
            if isSelected(index) {
                let waits = stage.inputs.filter(moving.contains)
                if !waits.isEmpty {
                    prospect = .follows(waits.map { source.stages[$0].name })
                    moving.append(index)
                } else {
                    let action = try action(index)
                    switch action {
                    case .skip:
                        prospect = .finished
                        found.insert(stage.name)
                    case .goOn: prospect = try hasRun(stage.folder) ? .goesOn : .begins
                    case .beginAnew(let reason): prospect = .beginsAnew(reason)
                    }
                    if action != .skip {
                        moving.append(index)
                        if first == nil { first = (index, action) }
                    }
                }
            }
            stages.append(
                PipelineOutlook.Stage(
                    name: stage.name, kind: stage.recipe.method.stage.rawValue,
                    folder: stage.folder, prospect: prospect))
        }
        guard let first else { return PipelineOutlook(stages: stages, first: nil) }
        let stage = source.stages[first.index]
        do {
            var recipeSource = stage.source
            if first.action != .goOn { recipeSource.recipe.run.resumeFrom = "false" }
            let place = place(first.index)
            let run = try StageRun(
                recipeSource, modelPath: modelPath(stage.recipe.model.path),
                fetchedFolder: fetchedFolder, otherModelPath: modelPath, isDry: true,
                stopSignal: stopSignal
            ) { [observe] in observe(.stage(place, $0)) }
            observe(.began(place, run.summary, reason: nil))
            return PipelineOutlook(
                stages: stages, first: (place, try run.timed()))
        } catch let interruption as Interruption {
            throw interruption
        } catch {
            throw PipelineError.failed(stage: stage.name, cause: error)
        }
    }
}

/// What a pipeline would do.
public struct PipelineOutlook: Sendable {
    /// In order.
    public let stages: [Stage]
    /// The first stage that would be run; nil if none would.
    public let first: (place: PipelinePlace, time: StageTime)?

    /// What would become of a stage.
    public struct Stage: Sendable {
        /// The stage's name.
        public let name: String
        /// As recipes call it.
        public let kind: String
        /// Its folder.
        public let folder: String
        /// What would become of it.
        public let prospect: Prospect
    }

    /// What would become of a stage.
    public enum Prospect: Sendable, Hashable, CustomStringConvertible {
        /// It would be run from its beginning.
        case begins
        /// It would go on where it was cut short.
        case goesOn
        /// It would be run again, and why.
        case beginsAnew(String)
        /// It would be skipped.
        case finished
        /// That is decided by what comes of other stages.
        case follows([String])
        /// Nobody asked for it.
        case left

        /// In a word or two.
        public var description: String {
            switch self {
            case .begins: "begins"
            case .goesOn: "goes on"
            case .beginsAnew(let reason): "begins anew: \(reason)"
            case .finished: "is finished"
            case .follows(let names): "follows \(names.joined(separator: " and "))"
            case .left: "is left"
            }
        }
    }
}

extension RunEvent {
    /// Whether the run has taken its folder for itself.
    fileprivate var meansSteps: Bool {
        switch self {
        case .step, .batch, .logged, .saved: true
        case .note, .resumed, .preparing, .evaluating: false
        }
    }
}

extension RunOutcome {
    /// Steps that are done.
    public var step: Int {
        switch self {
        case .evaluated: 0
        case .finished(let step), .stoppedEarly(let step, _), .interrupted(_, let step, _): step
        }
    }

    /// As scripts read it.
    public var word: String {
        switch self {
        case .finished: "finished"
        case .evaluated: "evaluated"
        case .stoppedEarly: "stopped_early"
        case .interrupted: "interrupted"
        }
    }
}
