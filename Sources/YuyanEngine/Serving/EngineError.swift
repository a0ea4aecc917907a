/// A request that the engine refuses, or had to give up.
public enum EngineError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A field of the request is wrong; the message is complete without the name.
    case invalid(field: String, message: String)
    /// The prompt, or prompt and answer, exceed the context; nothing is ever cut silently.
    case contextExceeded(promptTokens: Int, limit: Int)
    /// The model could read the prompt, but the whole cache is too small for it even alone.
    case cacheTooSmall(tokens: Int, capacity: Int)
    /// Too many requests wait; try again after about so many seconds.
    case overloaded(waiting: Int, retryAfterSeconds: Int)
    /// Following the form that the answer must have takes too much work.
    case constraintTooCostly(String)
    /// The server is draining and takes no new requests.
    case draining
    /// The model or the engine failed underneath the request.
    case failed(String)

    /// What is wrong, with the numbers that clash and what to change.
    public var description: String {
        switch self {
        case .invalid(let field, let message): "'\(field)': \(message)"
        case .contextExceeded(let promptTokens, let limit):
            "the prompt has \(promptTokens) tokens, the context holds \(limit); shorten the prompt"
        case .cacheTooSmall(let tokens, let capacity):
            "the prompt has \(tokens) tokens, the whole cache holds \(capacity); "
                + "shorten it, or start the server with a larger --kv-cache"
        case .overloaded(let waiting, let seconds):
            "\(waiting) requests are waiting already; try again in \(seconds) s"
        case .constraintTooCostly(let cause):
            "the form asked for can be read in too many ways to be followed: \(cause)"
        case .draining: "the server is shutting down and takes no new requests"
        case .failed(let cause): "the request failed: \(cause)"
        }
    }
}
