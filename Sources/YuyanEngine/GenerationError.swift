/// A generation that cannot run as asked.
public enum GenerationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is nothing to continue.
    case emptyPrompt
    /// The prompt, or what it would grow to, exceeds the context; nothing is ever cut silently.
    case contextExceeded(promptTokens: Int, limit: Int)
    /// A token id is not in the vocabulary.
    case unknownToken(Int32, vocabularySize: Int)

    /// What is wrong, with the numbers that clash and what to change.
    public var description: String {
        switch self {
        case .emptyPrompt:
            "the prompt has no tokens; give at least one (is --raw meant?)"
        case .contextExceeded(let promptTokens, let limit):
            "the prompt has \(promptTokens) tokens, the context holds \(limit); "
                + "shorten the prompt, or raise the limit if the model allows more (--context)"
        case .unknownToken(let token, let vocabularySize):
            "token \(token) is not in the vocabulary of \(vocabularySize)"
        }
    }
}
