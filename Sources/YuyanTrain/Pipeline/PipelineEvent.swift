/// What a pipeline tells whoever watches it; it prints nothing itself.
public enum PipelineEvent: Sendable {
    /// A line worth reading, of the pipeline as a whole.
    case note(String)
    /// A stage is not run, because it was before.
    case skipped(PipelinePlace, folder: String)
    /// A stage begins: what it will do. `reason` says why it begins anew, if it does.
    case began(PipelinePlace, StageSummary, reason: String?)
    /// Something of a stage's run.
    case stage(PipelinePlace, RunEvent)
    /// A stage ended, after so many seconds of this command.
    case ended(PipelinePlace, StageEnd, seconds: Double)
    /// Prompts of the pipeline's evaluation are answered; the place is nil before the first stage.
    case evaluating(PipelinePlace?, done: Int, of: Int)
    /// The evaluation's figures.
    case evaluated(PipelinePlace?, [(name: String, value: Double)])
}

/// Which stage of how many.
public struct PipelinePlace: Sendable, Hashable, CustomStringConvertible {
    /// Counted from 1.
    public let number: Int
    /// Stages of the pipeline.
    public let count: Int
    /// The stage's name.
    public let name: String

    /// `[2/4 sample]`.
    public var description: String { "[\(number)/\(count) \(name)]" }
}
