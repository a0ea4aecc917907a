/// One row of a data set as the trainer sees it: token ids, and what each counts for.
public struct TrainingSample: Sendable, Hashable {
    /// Ids `[T]`, at least two.
    public let tokens: [Int32]
    /// Weight `[T]` of the loss of predicting each token from those before it; 0 for tokens that are
    /// only read. The first is always 0: nothing predicts it.
    public let weights: [Float]
    /// Where it was read.
    public let source: SampleSource

    /// Sets the first weight to 0.
    public init(tokens: [Int32], weights: [Float], source: SampleSource) {
        precondition(
            tokens.count == weights.count, "\(weights.count) weights of \(tokens.count) tokens")
        self.tokens = tokens
        self.weights = [0] + weights.dropFirst()
        self.source = source
    }

    /// Tokens that a loss is taken over.
    public var supervisedCount: Int { weights.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }
}

/// The place of a row in its file.
public struct SampleSource: Sendable, Hashable {
    /// Path as the user gave it.
    public let file: String
    /// Line of a JSONL, CSV or text file, element of a JSON array; counts from 1.
    public let row: Int

    /// A row of a file, counted from 1.
    public init(file: String, row: Int) {
        self.file = file
        self.row = row
    }
}
