import YuyanFormats
import YuyanNN
import YuyanTensor

/// What a run trains, as its loop sees it: gradients in, numbers out, files.
///
/// A method (full, LoRA, later alignment) is one implementation; the loop knows none of them.
package protocol Trainee: AnyObject {
    /// The trained numbers, in the order of the optimiser's state.
    var parameters: [Parameter] { get }

    /// Refuses settings that the data cannot satisfy.
    ///
    /// - Parameter columns: What rows have beside their prompts.
    /// - Throws: `RecipeError` naming the setting.
    func check(columns: Set<String>) throws

    /// Bytes of other models, which are loaded while the run goes on.
    ///
    /// - Throws: What is wrong with their files.
    func predictedBytes() throws -> Int

    /// Names of rewards and tools that a dry run looks at and does not start.
    var unasked: [String] { get }

    /// Shows the data to a method that must know what the model was like before its first step.
    ///
    /// - Parameter batches: All of them, one after the other; nil at the end.
    func prepare(_ batches: () throws -> TrainingBatch?) throws

    /// Makes a step's micro-batches ready: reinforcement learning writes its answers here.
    ///
    /// - Returns: The weight of the whole step, which its loss is divided by.
    /// - Throws: `Interruption` if somebody asked to stop meanwhile.
    func begin(step: Int, _ batches: [TrainingBatch]) throws -> Double

    /// The same, for a method that may replace samples which teach nothing.
    ///
    /// - Parameter further: Takes so many samples from the data behind the step's; fewer, or none, if
    ///   they come in whole micro-batches only. The run then goes on behind these.
    func begin(
        step: Int, _ batches: [TrainingBatch], further: (Int) throws -> [TrainingSample]
    ) throws -> Double

    /// Notes what is known once all micro-batches of a step are done.
    ///
    func end(step: Int, statistics: inout LossStatistics) throws -> StepNotes

    /// Tokens that passed through the model for a micro-batch; asked after `accumulate`.
    func tokenCount(of batch: TrainingBatch) -> Int

    /// Answers that were learnt from so far, of a method that logs them; nil of the others.
    var episodes: Int? { get }

    /// Runs a micro-batch forward and backward and adds to the gradients.
    ///
    /// - Parameters:
    ///   - normalizer: What each token's weighted loss is divided by before its backward: the weights
    ///     of the whole step, over the loss scale of half precision.
    ///   - tokensBefore: Tokens of the run before this micro-batch, which decide its random numbers.
    ///   - statistics: Is added to token by token, so that no cut into micro-batches shows.
    /// - Throws: `NumericalFault` if the loss is not finite.
    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) throws

    /// Adds the loss of a micro-batch, without gradients and without dropout.
    ///
    /// - Throws: `Interruption` if somebody asked to stop meanwhile.
    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) throws

    /// What an evaluation may log beside the loss, without `eval_`: what `evaluate` and
    /// `concludeEvaluation` name.
    var evaluationNames: [String] { get }

    /// Adds what is known of a validation set only once all of it was evaluated.
    func concludeEvaluation(statistics: inout LossStatistics)

    /// What the method adds to `report.html`.
    func reportSections() -> [ReportSection]

    /// Finds the first operation of a micro-batch whose numbers are not finite; nil if all are.
    func diagnose(_ batch: TrainingBatch, tokensBefore: UInt64) -> NumericalFault?

    /// Finds a weight with numbers that are not finite among those of a part of the model and those
    /// that belong to no layer, trained and frozen.
    ///
    /// - Parameter place: As `NumericalFault` names it, such as `model.layers.3`.
    func damagedWeight(near place: String) -> DamagedWeight?

    /// The trained numbers have changed: an update, or `restore`.
    func refresh()

    /// The adapter that belongs to the present numbers, for answers; nil if the model itself changes.
    var served: LowRankAdapter? { get }

    /// What models that score answers hold beside the one that is trained, judges apart.
    var rewardModelBytes: Int { get }

    /// The likeliest answers to prompts, for a report, of a method that has its own way of answering.
    func answers(to samples: [TrainingSample]) throws -> [String]?

    /// Writes the trained numbers as other programs read them, and what else a folder needs.
    func save(to folder: String) throws

    /// Writes the result of a run: as `save`, in the format that the recipe asks for.
    func export(to folder: String, as type: ElementType) throws

    /// Reads what `save` wrote; the bits are the same.
    func restore(from folder: String) throws
}

extension Trainee {
    package func check(columns: Set<String>) throws {}
    package func predictedBytes() throws -> Int { 0 }
    package var unasked: [String] { [] }
    package func prepare(_ batches: () throws -> TrainingBatch?) throws {}

    /// Token by token, as the loss is summed.
    package func begin(step: Int, _ batches: [TrainingBatch]) throws -> Double {
        var total = 0.0
        for batch in batches { for weight in batch.weights { total += Double(weight) } }
        return total
    }

    package func begin(
        step: Int, _ batches: [TrainingBatch], further: (Int) throws -> [TrainingSample]
    ) throws -> Double {
        try begin(step: step, batches)
    }

    package func end(step: Int, statistics: inout LossStatistics) throws -> StepNotes {
        StepNotes()
    }
    package func concludeEvaluation(statistics: inout LossStatistics) {}
    package func reportSections() -> [ReportSection] { [] }
    package func tokenCount(of batch: TrainingBatch) -> Int { batch.tokenCount }

    package var episodes: Int? { nil }
    package var served: LowRankAdapter? { nil }
    package var rewardModelBytes: Int { 0 }
    package func answers(to samples: [TrainingSample]) throws -> [String]? { nil }
    package func export(to folder: String, as type: ElementType) throws { try save(to: folder) }
}

/// Micro-batches in order, each with the place behind it.
package protocol BatchSource {
    /// The next micro-batch; nil if there are no more.
    func next() throws -> LoadedBatch?

    /// So many samples from the same stream, one by one, of as many epochs as it takes.
    func further(_ count: Int) throws -> [LoadedBatch]
}

extension BatchSource {
    /// None: whole micro-batches cannot be cut.
    package func further(_ count: Int) throws -> [LoadedBatch] { [] }
}

extension DataLoader: BatchSource {}

/// What a method has to say after a step.
package struct StepNotes: Sendable, Hashable {
    /// Lines that people should read at once.
    package var lines: [String] = []
    /// Why the run should be saved and end, if it should.
    package var alarm: String?

    package init(lines: [String] = [], alarm: String? = nil) {
        self.lines = lines
        self.alarm = alarm
    }
}
