/// What a run tells whoever watches it; it prints nothing itself.
public enum RunEvent: Sendable {
    /// A line worth reading, such as a key that is ignored.
    case note(String)
    /// The run goes on after a saved step.
    case resumed(step: Int, checkpoint: String)
    /// A step is done.
    case step(StepReport)
    /// A batch of prompts is answered.
    case batch(BatchReport)
    /// A line was logged.
    case logged(MetricsEntry)
    /// The method has seen so many rows of the data before its first step.
    case preparing(done: Int, of: Int)
    /// A part of an evaluation is done.
    case evaluating(done: Int, of: Int)
    /// A checkpoint is on disk.
    case saved(step: Int, path: String)
}

extension RunEvent {
    /// What a dry run says of rewards and tools that it does not start; nil if there are none.
    static func notAsked(_ names: [String]) -> RunEvent? {
        guard !names.isEmpty else { return nil }
        return .note(
            "a dry run starts no program and asks no judge: \(names.joined(separator: ", ")) "
                + "\(names.count == 1 ? "is" : "are") there, and \(names.count == 1 ? "was" : "were") "
                + "only looked at")
    }
}

/// One step, for a progress line.
public struct StepReport: Sendable {
    /// Counted from 1.
    public var step: Int
    /// Of the whole run.
    public var steps: Int
    /// Mean over the step's tokens.
    public var loss: Double
    /// Tokens that passed through the model, a second, padding excluded: there is none.
    public var tokensPerSecond: Double
    /// Of the process, in bytes; nil where the system does not tell.
    public var residentBytes: Int?
}

/// One batch of answered prompts, for a progress line.
public struct BatchReport: Sendable {
    /// Prompts of the run that are done.
    public var prompts: Int
    /// Prompts that were done before this process began.
    public var promptsBefore: Int
    /// Of the whole run.
    public var promptCount: Int
    /// Mean of the batch's rewards; nil if it has none.
    public var reward: Double?
    /// Answers that were kept so far, by this process.
    public var samples: Int
    /// Tokens that passed through the model, a second.
    public var tokensPerSecond: Double
    /// Of the process, in bytes; nil where the system does not tell.
    public var residentBytes: Int?
}

/// How a run ended.
public enum RunOutcome: Sendable, Hashable {
    /// All steps are done.
    case finished(step: Int)
    /// No evaluation was better for as long as the recipe allows.
    case stoppedEarly(step: Int, best: Int)
    /// Nothing was to be trained: the model was evaluated as it is.
    case evaluated
    /// A signal asked to stop; the checkpoint is on disk.
    case interrupted(signal: Int32, step: Int, checkpoint: String?)
}
