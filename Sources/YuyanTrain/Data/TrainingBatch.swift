/// Samples laid end to end for one forward and backward pass.
///
/// Ragged: no padding is ever computed. Attention stays inside a sample, so how samples are packed
/// changes no bit of any sample's loss.
public struct TrainingBatch: Sendable, Hashable {
    /// Ids `[T]` of all samples.
    public let tokens: [Int32]
    /// Weights `[T]`, as in `TrainingSample.weights`.
    public let weights: [Float]
    /// Tokens of each sample, in order; they add up to T.
    public let lengths: [Int]

    /// The samples themselves, for methods that look at more than tokens and weights.
    package let samples: [TrainingSample]

    /// Lays samples end to end in the order given.
    public init(_ samples: [TrainingSample]) {
        self.samples = samples
        tokens = samples.flatMap(\.tokens)
        weights = samples.flatMap(\.weights)
        lengths = samples.map(\.tokens.count)
    }

    /// Tokens of all samples, worse answers included.
    package var tokenCount: Int { samples.reduce(0) { $0 + $1.tokenCount } }

    /// Tokens that a loss is taken over.
    public var supervisedCount: Int { weights.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }
}
