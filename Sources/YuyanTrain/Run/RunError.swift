/// A run that cannot begin, or cannot go on.
public enum RunError: Error, Sendable, CustomStringConvertible {
    /// Another process holds the folder.
    case busy(folder: String)
    /// A checkpoint was made by a recipe that would have computed other steps.
    case changedRecipe(checkpoint: String, differences: [String])
    /// The data are not those that the checkpoint, or the folder's answers, were made with.
    case changedData(checkpoint: String, found: String, expected: String)
    /// Another chat template renders the data than when the checkpoint, or the folder's answers, were made.
    case changedTemplate(checkpoint: String, found: String, expected: String)
    /// No checkpoint is where the recipe says.
    case noCheckpoint(path: String)
    /// Checkpoints are there, but none can be read; `reason` is that of the newest.
    case noWholeCheckpoint(folder: String, reason: String)
    /// A checkpoint was saved without the optimiser, as `save_only_model` asks.
    case weightsOnly(checkpoint: String)
    /// A run that only evaluates would write among the files of another one.
    case notOnlyEvaluated(folder: String, by: String)
    /// The folder holds a model or a run that is not this recipe's.
    case occupied(folder: String, by: String)
    /// The folder's run is done and kept no checkpoint, or weights only, so none can be gone on from.
    case finished(folder: String)
    /// The recipe ends before the checkpoint that it would go on from.
    case beyondEnd(checkpoint: String, step: Int, steps: Int)
    /// The loss, or a gradient, is not a number.
    case notFinite(step: Int, what: String, fault: String)
    /// The trainer does not give an answer's tokens the probabilities that they were drawn with.
    case offPolicy(tokens: Int)
    /// Answers that pass for the present weights' were drawn with others.
    case staleAnswers(found: Int, expected: Int)
    /// An answer that the reference was not asked about before the first step.
    case unknownAnswer
    /// No reward scored any answer of a step.
    case noRewards(step: Int, fault: String?)
    /// A tool hung, crashed or did not keep to its protocol.
    case toolFailed(tool: String, row: String, what: String)
    /// A guard that may end the run did so.
    case alarm(String)
    /// Every gradient of many steps overflowed.
    case overflows(step: Int, skipped: Int)
    /// A step had nothing to learn from.
    case noSupervisedTokens(step: Int)
    /// The data ended before the run.
    case noMoreData(step: Int)
    /// A checkpoint could not be written; those before it are as they were.
    case notSaved(checkpoint: String, reason: String)
    /// A file of a checkpoint does not say what it should.
    case damagedState(file: String, what: String)

    /// What happened, where, and what to do next.
    public var description: String {
        switch self {
        case .busy(let folder):
            "\(folder): another run is writing here; wait for it, stop it, or set another output_dir"
        case .changedRecipe(let checkpoint, let differences):
            "\(checkpoint) was made by another recipe: \(differences.joined(separator: ", ")); "
                + "change them back, set another output_dir, or overwrite_output_dir: true to "
                + "begin anew"
        case .changedData(let checkpoint, let found, let expected):
            "\(checkpoint) was made with other data: now \(found), then \(expected); bring the "
                + "files back, set another output_dir, or resume_from_checkpoint: false to begin anew"
        case .changedTemplate(let checkpoint, let found, let expected):
            "\(checkpoint) was made with another chat template: now \(found), then \(expected); the "
                + "same rows would be other tokens; bring the template back, set another output_dir, "
                + "or resume_from_checkpoint: false to begin anew"
        case .noCheckpoint(let path):
            "\(path): no checkpoint; resume_from_checkpoint names a folder such as "
                + "out/checkpoint-500, or is left out for the newest"
        case .noWholeCheckpoint(let folder, let reason):
            "\(folder): none of its checkpoints can be read; the newest: \(reason)"
        case .weightsOnly(let checkpoint):
            "\(checkpoint): holds weights and no optimiser, because the run was saved with "
                + "save_only_model: true, so no run can go on from it; its weights can be used "
                + "(adapter_name_or_path or model_name_or_path names the folder); "
                + "resume_from_checkpoint: false removes the run and trains anew"
        case .notOnlyEvaluated(let folder, let by):
            "\(folder): holds \(by); do_train: false evaluates the model that the recipe names and "
                + "touches no other run's files: set another output_dir"
        case .occupied(let folder, let by):
            "\(folder): holds \(by), which this recipe did not make; set another output_dir, or "
                + "overwrite_output_dir: true"
        case .finished(let folder):
            "\(folder): holds a finished run without checkpoints to go on from, so nothing is left to do; "
                + "set another output_dir, or overwrite_output_dir: true to train again"
        case .beyondEnd(let checkpoint, let step, let steps):
            "\(checkpoint) is at step \(step), the recipe ends at \(steps); raise max_steps or "
                + "num_train_epochs to go on"
        case .notFinite(let step, let what, let fault):
            "step \(step): \(what) is not a number: \(fault)"
        case .offPolicy(let tokens):
            "the trainer's log-probabilities of \(tokens) freshly drawn tokens are not the sampler's, bit for "
                + "bit; this is a defect of Yuyan: please report it with the recipe"
        case .staleAnswers(let found, let expected):
            "answers that should be on policy were drawn after \(found) updates of the weights, and there "
                + "were \(expected); this is a defect of Yuyan: please report it with the recipe"
        case .unknownAnswer:
            "the data shows an answer that the reference was not asked about before training; with "
                + "streaming or mixed data use finetuning_type: lora, whose reference is always there"
        case .noRewards(let step, let fault):
            "step \(step): no answer has a reward"
                + (fault.map { ": \($0)" } ?? "; do the rows have the columns that they read?")
        case .toolFailed(let tool, let row, let what):
            "tool '\(tool)', \(row): \(what); mend it, or set tool_faults: tell, so that the model reads "
                + "the error"
        case .alarm(let text):
            "\(text); the run was saved and ended because stop_on_alarm names the guard"
        case .overflows(let step, let skipped):
            "step \(step): \(skipped) steps in a row overflowed float16; use bf16: true or float32"
        case .noSupervisedTokens(let step):
            "step \(step): none of its tokens is learned from; raise cutoff_len if prompts fill it, "
                + "or look at the data's answers"
        case .noMoreData(let step):
            "step \(step): there are no more data; were files changed since the run began?"
        case .notSaved(let checkpoint, let reason):
            "\(checkpoint): not saved: \(reason); older checkpoints are as they were; make room and "
                + "run the same command again"
        case .damagedState(let file, let what):
            "\(file): \(what); remove this checkpoint to go on from the one before"
        }
    }
}
