/// How micro-batches add up to steps and steps to epochs, with the numbers of transformers' Trainer.
///
/// A step takes `accumulation` micro-batches; an epoch's last step takes what is left. Epochs may have
/// different numbers of micro-batches, since packing fills rows anew in each.
public struct StepPlan: Sendable, Hashable {
    /// Micro-batches of a step.
    public let accumulation: Int
    /// Steps of the run.
    public let steps: Int
    /// Steps that are taken on the same micro-batches, one after the other.
    public let repetitions: Int
    /// Epochs that are begun; 0 for streamed data, whose end nobody knows.
    public let epochs: Int
    /// Micro-batches of each of them.
    let microBatches: [Int]

    /// - Parameters:
    ///   - epochs: Passes over the data.
    ///   - maximumSteps: Overrides `epochs` if positive.
    ///   - repetitions: Steps on the same micro-batches; they count by themselves.
    ///   - microBatches: Of an epoch, counted from 0; nil for streamed data.
    /// - Precondition: Streamed data come with `maximumSteps`; no epoch is empty.
    /// - Throws: `RecipeError` if there are more than `mostEpochs`, or what `microBatches` throws.
    public init(
        accumulation: Int, epochs: Double, maximumSteps: Int, repetitions: Int = 1,
        microBatches: ((Int) throws -> Int)?
    ) throws {
        precondition(accumulation > 0, "\(accumulation) micro-batches to a step")
        self.accumulation = accumulation
        self.repetitions = repetitions
        guard let microBatches else {
            precondition(maximumSteps > 0, "streamed data without a number of steps")
            (steps, self.epochs, self.microBatches) = (maximumSteps, 0, [])
            return
        }
        var counts: [Int] = []
        var total = 0
        while maximumSteps > 0 ? total < maximumSteps : Double(counts.count) < epochs {
            guard counts.count < Self.mostEpochs else {
                throw RecipeError.badValue(
                    place: "recipe", key: maximumSteps > 0 ? "max_steps" : "num_train_epochs",
                    found: maximumSteps > 0 ? "\(maximumSteps)" : "\(epochs)",
                    expected: "at most \(Self.mostEpochs) passes over the data; this many hold "
                        + "\(total) steps")
            }
            let count = try microBatches(counts.count)
            precondition(count > 0, "epoch \(counts.count) has no micro-batches")
            let steps = (count + accumulation - 1) / accumulation * repetitions
            let share = maximumSteps > 0 ? 1 : min(1, epochs - Double(counts.count))
            counts.append(count)
            total += share == 1 ? steps : Int((share * Double(steps)).rounded(.up))
        }
        steps = maximumSteps > 0 ? maximumSteps : total
        self.epochs = counts.count
        self.microBatches = counts
    }

    /// Epochs that are planned at most, one number each.
    static let mostEpochs = 1_000_000

    /// Micro-batches of the first epoch; 0 for streamed data.
    var microBatchesOfFirstEpoch: Int { microBatches.first ?? 0 }

    /// Passes over the data that the steps make, the last maybe in part; 0 for streamed data.
    var passes: Double {
        var (left, result) = (steps, 0.0)
        for count in microBatches {
            let whole = (count + accumulation - 1) / accumulation * repetitions
            guard left < whole else {
                (left, result) = (left - whole, result + 1)
                continue
            }
            return result + Double(left / repetitions * accumulation) / Double(count)
        }
        return result
    }

    /// Epochs that are done, as a fraction of micro-batches.
    ///
    /// - Parameters:
    ///   - epoch: Counted from 0; behind the last that is planned, all are taken to be as that one.
    ///   - done: Micro-batches of the epoch that are done.
    public func fraction(epoch: Int, done: Double) -> Double {
        guard let last = microBatches.last else { return Double(epoch) }
        let count = microBatches.indices.contains(epoch) ? microBatches[epoch] : last
        return Double(epoch) + min(1, done / Double(count))
    }
}
