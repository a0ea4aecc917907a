import YuyanFormats

/// A tokenizer that cannot be loaded from the files it came in.
public enum TokenizerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The container itself, GGUF or JSON, cannot be read.
    case unreadable(FormatError)
    /// A key that the tokenizer needs is absent.
    case missing(file: String, key: String, expected: String)
    /// A key is there, but its value is not what it has to be.
    case malformed(file: String, key: String, found: String, expected: String)
    /// A value is well formed, but this reader does not implement it; `known` is what it does.
    case unsupported(file: String, key: String, found: String, known: [String])
    /// The same token text is listed under two ids.
    case duplicateToken(file: String, token: String, first: Int, second: Int)
    /// A merge rule names a token, or makes one, that the vocabulary lacks.
    case unknownMergeToken(file: String, merge: Int, token: String)
    /// A count or id is beyond what any real tokenizer has.
    case tooLarge(file: String, key: String, found: Int, limit: Int)

    /// Where, what was found, what was expected and what to try.
    public var description: String {
        switch self {
        case .unreadable(let cause):
            cause.description
        case .missing(let file, let key, let expected):
            "\(file): '\(key)' is missing; expected \(expected)"
        case .malformed(let file, let key, let found, let expected):
            "\(file): '\(key)' is \(found), expected \(expected)"
        case .unsupported(let file, let key, let found, let known):
            "\(file): '\(key)' is \(found), which is not supported; known: "
                + known.joined(separator: ", ")
        case .duplicateToken(let file, let token, let first, let second):
            "\(file): token '\(token)' has two ids, \(first) and \(second); was the file edited?"
        case .unknownMergeToken(let file, let merge, let token):
            "\(file): merge \(merge) needs the token '\(token)', which is not in the vocabulary; "
                + "do vocabulary and merges belong together?"
        case .tooLarge(let file, let key, let found, let limit):
            "\(file): '\(key)' is \(found), beyond the limit of \(limit)"
        }
    }
}
