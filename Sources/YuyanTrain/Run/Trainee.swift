import YuyanNN
import YuyanTensor

/// What a run trains, as its loop sees it: gradients in, numbers out, files.
///
/// A method (full, LoRA, later alignment) is one implementation; the loop knows none of them.
package protocol Trainee: AnyObject {
    /// The trained numbers, in the order of the optimiser's state.
    var parameters: [Parameter] { get }

    /// Runs a micro-batch forward and backward and adds to the gradients.
    ///
    /// - Parameters:
    ///   - scale: What each token's weighted loss is multiplied by before its backward: one over the
    ///     weights of the whole step, times the loss scale of half precision.
    ///   - tokensBefore: Tokens of the run before this micro-batch, which decide its random numbers.
    /// - Returns: The loss of each sample, in order.
    func accumulate(
        _ batch: TrainingBatch, scale: Float, tokensBefore: UInt64
    ) throws -> [SampleLoss]

    /// The loss of each sample, without gradients and without dropout.
    func evaluate(_ batch: TrainingBatch) throws -> [SampleLoss]

    /// Finds the first operation of a micro-batch whose numbers are not finite.
    func diagnose(_ batch: TrainingBatch, scale: Float, tokensBefore: UInt64) -> String

    /// Writes the trained numbers as other programs read them, and what else a folder needs.
    func save(to folder: String) throws

    /// Reads what `save` wrote; the bits are the same.
    func restore(from folder: String) throws
}

/// The loss over one sample, before any mean is taken.
package struct SampleLoss: Sendable, Hashable {
    /// Sum over supervised tokens of weight times negative log-probability.
    package var loss: Double
    /// Sum of the weights.
    package var weight: Double
    /// Supervised tokens.
    package var count: Int
    /// Of them, those that the model finds likeliest.
    package var correct: Int
    /// Sum over supervised tokens of the entropy of what the model expects, in nats.
    package var entropy: Double

    package init(
        loss: Double = 0, weight: Double = 0, count: Int = 0, correct: Int = 0, entropy: Double = 0
    ) {
        self.loss = loss
        self.weight = weight
        self.count = count
        self.correct = correct
        self.entropy = entropy
    }

    /// Adds a sample. Sums go sample by sample in order, so that no cut into micro-batches shows.
    package static func += (sum: inout SampleLoss, sample: SampleLoss) {
        sum.loss += sample.loss
        sum.weight += sample.weight
        sum.count += sample.count
        sum.correct += sample.correct
        sum.entropy += sample.entropy
    }
}

/// Micro-batches in order, each with the place behind it.
package protocol BatchSource {
    /// The next micro-batch; nil if there are no more.
    func next() throws -> LoadedBatch?
}

extension DataLoader: BatchSource {}
