import YuyanFormats
import YuyanText

/// One row of a data set as the trainer sees it: token ids, and what each counts for.
public struct TrainingSample: Sendable, Hashable {
    /// Ids `[T]`, at least two.
    public let tokens: [Int32]
    /// Weight `[T]` of the loss of predicting each token from those before it; 0 for tokens that are
    /// only read. The first is always 0: nothing predicts it.
    public let weights: [Float]
    /// Where it was read.
    public let source: SampleSource
    /// What comes with it; nil if it is learnt by itself.
    package let companion: SampleCompanion?

    /// Sets the first weight to 0.
    public init(tokens: [Int32], weights: [Float], source: SampleSource) {
        self.init(tokens: tokens, weights: weights, source: source, companion: nil)
    }

    /// Sets the first weight to 0.
    package init(
        tokens: [Int32], weights: [Float], source: SampleSource, companion: SampleCompanion?
    ) {
        self.companion = companion
        precondition(
            tokens.count == weights.count, "\(weights.count) weights of \(tokens.count) tokens")
        self.tokens = tokens
        self.weights = [0] + weights.dropFirst()
        self.source = source
    }

    /// Tokens that a loss is taken over.
    public var supervisedCount: Int { weights.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }

    /// Tokens, those of a worse answer included.
    package var tokenCount: Int {
        guard case .rejected(let other) = companion else { return tokens.count }
        return tokens.count + other.tokens.count
    }
}

/// What a sample needs beside its tokens, by what it is for.
package enum SampleCompanion: Sendable, Hashable {
    /// The sample is the better of two answers to one prompt.
    case rejected(RejectedAnswer)
    /// The sample is an answer that somebody judged.
    case verdict(isDesirable: Bool)
    /// The sample's answer is in steps; for each the place of its last token, and whether it is right.
    case steps([JudgedStep])
    /// The sample is a prompt, to be answered by the model that is trained.
    case prompt(PromptColumns)
}

/// The worse answer, with the prompt before it.
package struct RejectedAnswer: Sendable, Hashable {
    /// Ids `[T]`.
    package let tokens: [Int32]
    /// Weights `[T]`, as in `TrainingSample.weights`.
    package let weights: [Float]
    /// By how much the other one is better.
    package let margin: Double?
}

/// A step of an answer.
package struct JudgedStep: Sendable, Hashable {
    /// Place of its last token in the sample.
    package let end: Int
    package let isRight: Bool
}

/// A row's own columns, which reward functions see.
package struct PromptColumns: Sendable, Hashable {
    /// The prompt as people read it.
    package let text: String
    package let columns: [(key: String, value: JSONCursor)]
    /// The prompt as its row has it.
    package var prompt: Passage = .text("")
    /// Functions that the model was told of: the row's own and the recipe's.
    package var tools: [Tool] = []
    /// Whether the prompt ends inside `<think>`.
    package var opensThinking = false

    /// Whether a chat template wrote the prompt.
    package var isChat: Bool { if case .turns = prompt { true } else { false } }

    package static func == (a: PromptColumns, b: PromptColumns) -> Bool {
        a.text == b.text && a.prompt == b.prompt && a.tools == b.tools
            && a.opensThinking == b.opensThinking && a.columns.map(\.key) == b.columns.map(\.key)
            && zip(a.columns, b.columns).allSatisfy {
                JSONOutput(copying: $0.value).description
                    == JSONOutput(copying: $1.value).description
            }
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

/// The place of a row in its file.
public struct SampleSource: Sendable, Hashable {
    /// Path as the user gave it.
    public let file: String
    /// Line of a JSONL, CSV or text file, element of a JSON array; counts from 1.
    public let row: Int

    /// `file:row`.
    var text: String { "\(file):\(row)" }

    /// A row of a file, counted from 1.
    public init(file: String, row: Int) {
        self.file = file
        self.row = row
    }
}
