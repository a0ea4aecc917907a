/// How micro-batches add up to steps and steps to epochs, with the numbers of transformers' Trainer.
///
/// A step takes `accumulation` micro-batches; an epoch's last step takes what is left. Steps of a run
/// are counted from 1.
public struct StepPlan: Sendable, Hashable {
    /// Micro-batches of one epoch; nil for streamed data, whose end nobody knows.
    public let microBatchesPerEpoch: Int?
    /// Micro-batches of a step.
    public let accumulation: Int
    /// Steps of the run.
    public let steps: Int
    /// Epochs that are begun.
    public let epochs: Int

    /// - Parameters:
    ///   - maximumSteps: Overrides `epochs` if positive.
    /// - Precondition: Streamed data come with `maximumSteps`; there is at least one micro-batch.
    public init(
        microBatchesPerEpoch: Int?, accumulation: Int, epochs: Double, maximumSteps: Int
    ) {
        precondition(accumulation > 0 && microBatchesPerEpoch != 0, "no micro-batches")
        self.microBatchesPerEpoch = microBatchesPerEpoch
        self.accumulation = accumulation
        guard let count = microBatchesPerEpoch else {
            precondition(maximumSteps > 0, "streamed data without a number of steps")
            (steps, self.epochs) = (maximumSteps, 1)
            return
        }
        let perEpoch = (count + accumulation - 1) / accumulation
        if maximumSteps > 0 {
            steps = maximumSteps
            self.epochs = (maximumSteps + perEpoch - 1) / perEpoch
        } else {
            steps = Int((epochs * Double(perEpoch)).rounded(.up))
            self.epochs = Int(epochs.rounded(.up))
        }
    }

    /// Steps of one epoch; all of them if the data are streamed.
    public var stepsPerEpoch: Int {
        microBatchesPerEpoch.map { ($0 + accumulation - 1) / accumulation } ?? steps
    }

    /// The epoch, counted from 0, that a step belongs to.
    public func epoch(ofStep step: Int) -> Int { (step - 1) / stepsPerEpoch }

    /// The micro-batches of a step, counted inside its epoch.
    public func microBatches(ofStep step: Int) -> Range<Int> {
        let first = (step - 1) % stepsPerEpoch * accumulation
        return first..<min(first + accumulation, microBatchesPerEpoch ?? .max)
    }

    /// Epochs that are done after a step, as a fraction of micro-batches.
    public func epochs(afterStep step: Int) -> Double {
        guard step > 0 else { return 0 }
        let done = microBatches(ofStep: step).upperBound
        return Double(epoch(ofStep: step))
            + Double(done) / Double(microBatchesPerEpoch ?? steps * accumulation)
    }

    /// Whether a step is its epoch's last.
    public func endsEpoch(_ step: Int) -> Bool { step.isMultiple(of: stepsPerEpoch) }
}
