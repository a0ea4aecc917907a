/// The run of a stage that trains, or of one that writes answers.
enum StageRun {
    case training(TrainingRun)
    case sampling(SamplingRun)

    /// Reads model and data.
    ///
    /// - Throws: What `TrainingRun` and `SamplingRun` throw.
    init(
        _ source: RecipeSource, modelPath: String, fetchedFolder: String?,
        otherModelPath: @escaping @Sendable (String) throws -> String, isDry: Bool = false,
        stopSignal: @escaping @Sendable () -> Int32?, observe: @escaping (RunEvent) -> Void
    ) throws {
        self =
            source.recipe.method.stage.trains
            ? .training(
                try TrainingRun(
                    source, modelPath: modelPath, fetchedFolder: fetchedFolder,
                    otherModelPath: otherModelPath, isDry: isDry, stopSignal: stopSignal,
                    observe: observe))
            : .sampling(
                try SamplingRun(
                    source, modelPath: modelPath, fetchedFolder: fetchedFolder,
                    otherModelPath: otherModelPath, isDry: isDry, stopSignal: stopSignal,
                    observe: observe))
    }

    var summary: StageSummary {
        switch self {
        case .training(let run): .training(run.summary)
        case .sampling(let run): .sampling(run.plan)
        }
    }

    /// Runs to the end, or until somebody asks to stop.
    func run() throws -> StageEnd {
        switch self {
        case .training(let run): .training(try run.train())
        case .sampling(let run): .sampling(try run.sample())
        }
    }

    /// How long it would take.
    func timed() throws -> StageTime {
        switch self {
        case .training(let run): .training(run.summary, try run.timed())
        case .sampling(let run): .sampling(run.plan, try run.timed())
        }
    }
}

/// What a stage will do.
public enum StageSummary: Sendable {
    /// It trains.
    case training(RunSummary)
    /// It writes answers.
    case sampling(SamplingPlan)
}

/// What a stage would do, and how long that would take.
public enum StageTime: Sendable {
    /// It trains.
    case training(RunSummary, TimePrediction)
    /// It writes answers.
    case sampling(SamplingPlan, SamplingTime)
}

/// What a stage came to.
public enum StageEnd: Sendable {
    /// It trained.
    case training(RunResult)
    /// It wrote answers.
    case sampling(SamplingResult)

    /// The signal that asked to stop, if one did.
    var signal: Int32? {
        switch self {
        case .training(let result):
            if case .interrupted(let signal, _, _) = result.outcome { signal } else { nil }
        case .sampling(let result):
            if case .interrupted(let signal, _) = result.outcome { signal } else { nil }
        }
    }

    /// Steps, or batches of prompts, that are done.
    var steps: Int {
        switch self {
        case .training(let result): result.outcome.step
        case .sampling(let result):
            switch result.outcome {
            case .finished(let summary): summary.batches
            case .interrupted(_, let batches): batches
            }
        }
    }

    /// As scripts read it.
    var word: String {
        switch self {
        case .training(let result): result.outcome.word
        case .sampling: signal == nil ? "finished" : "interrupted"
        }
    }
}
