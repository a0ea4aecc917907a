/// A text cut into windows of equal length, each of which a model reads by itself.
///
/// Windows do not overlap; a rest shorter than one is left out. Only the predictions of a window's
/// second half are scored, so that each has at least half a window before it. This is what
/// llama.cpp's `llama-perplexity` does without `--ppl-stride`, so figures can be compared.
public struct EvaluationWindows: Sendable {
    /// Tokens in a window.
    public let context: Int
    /// Number of windows.
    public let count: Int
    private let tokens: [Int32]
    private let beginning: Int32?

    /// - Parameters:
    ///   - tokens: The whole text, with the beginning-of-sequence token if the model wants one.
    ///   - context: Tokens to a window, at least 3.
    ///   - beginning: Put in the place of every window's first token.
    ///   - limit: Use at most this many windows.
    /// - Throws: `EvaluationError.tooShort` if the text does not fill one window.
    public init(
        tokens: [Int32], context: Int, beginning: Int32? = nil, limit: Int? = nil
    ) throws(EvaluationError) {
        precondition(context >= 3, "a window of \(context) tokens has no prediction to score")
        guard tokens.count >= context else {
            throw .tooShort(tokens: tokens.count, context: context)
        }
        self.tokens = tokens
        self.context = context
        self.beginning = beginning
        count = min(tokens.count / context, max(limit ?? .max, 1))
    }

    /// The first position of a window whose prediction is scored.
    public var firstScored: Int { context / 2 }

    /// Predictions scored in each window; the last position has no next token to predict.
    public var scoredPerWindow: Int { context - 1 - firstScored }

    /// What the model reads in a window.
    func input(_ index: Int) -> [Int32] {
        var window = Array(tokens[index * context..<(index + 1) * context])
        if let beginning { window[0] = beginning }
        return window
    }

    /// The token that really follows a position of a window.
    func target(_ index: Int, after position: Int) -> Int {
        Int(tokens[index * context + position + 1])
    }

    /// The first token that a vocabulary of this size does not have.
    func firstToken(outside vocabularySize: Int) -> Int32? {
        tokens.first { $0 < 0 || Int($0) >= vocabularySize }
    }
}

/// An evaluation that cannot run as asked.
public enum EvaluationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The text does not fill one window.
    case tooShort(tokens: Int, context: Int)
    /// The window is longer than the model reads.
    case contextExceeded(context: Int, limit: Int)
    /// A token id is not in the model's vocabulary.
    case unknownToken(Int32, vocabularySize: Int)
    /// Two models to be compared do not have the same vocabulary.
    case vocabularies(Int, base: Int)

    /// What is wrong, and what to try.
    public var description: String {
        switch self {
        case .tooShort(let tokens, let context):
            "the text has \(tokens) tokens, fewer than one window of \(context); give a longer "
                + "text or a smaller --context"
        case .contextExceeded(let context, let limit):
            "a window of \(context) tokens is longer than the model reads, \(limit); "
                + "use a smaller --context"
        case .unknownToken(let token, let vocabularySize):
            "the tokenizer gave token \(token), but the model's vocabulary has \(vocabularySize) "
                + "entries; do tokenizer and weights belong together?"
        case .vocabularies(let size, let base):
            "the model has \(size) tokens in its vocabulary, the base model \(base); a divergence "
                + "needs the same vocabulary"
        }
    }
}
