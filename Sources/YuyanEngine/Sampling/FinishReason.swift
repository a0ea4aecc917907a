/// Why an answer ended; raw values are those of the OpenAI API.
public enum FinishReason: String, Codable, Hashable, Sendable {
    /// A stop token, a stop string or the end of the sequence.
    case stop
    /// The limit on generated tokens or the context was reached.
    case length
}

/// The end of an answer: the reason, and what was found.
public struct Finish: Hashable, Sendable {
    /// The part of the text or token stream that ended the answer.
    public enum Match: Hashable, Sendable {
        /// One of the model's own end-of-sequence tokens.
        case endOfSequence(Int32)
        /// A token of `stopTokens`.
        case token(Int32)
        /// A string of `stop`.
        case string(String)
        /// The constraint's text is complete and nothing may follow it.
        case constraint
    }

    /// The reason, as OpenAI names it.
    public let reason: FinishReason
    /// What ended the answer (vLLM's `stop_reason`); `nil` when the length did.
    public let match: Match?

    /// Ended by a stop token or a stop string.
    public static func stop(_ match: Match) -> Finish { Finish(reason: .stop, match: match) }
    /// Ended by the limit on tokens.
    public static let length = Finish(reason: .length, match: nil)
}
