import YuyanEngine
import YuyanFormats
import YuyanText

/// Why a request gets an error for an answer.
enum RequestError: Error, Hashable, Sendable {
    /// A field is wrong; `param` is its path in the body.
    case field(param: String, message: String)
    /// The body as a whole is wrong.
    case body(String)
    /// No model or adapter has this name.
    case unknownModel(String, known: [String])
    /// No such route, adapter or response.
    case notFound(String)
    /// The path exists, the method does not.
    case method(String)
    /// What the engine says.
    case engine(EngineError)
    /// The chat template refused the conversation.
    case template(String)
    /// The server's own fault.
    case failed(String)

    /// An error of the engine or of a library, as a client sees it.
    init(_ error: any Error) {
        switch error {
        case let error as RequestError: self = error
        case let error as EngineError: self = .engine(error)
        case let error as TemplateError: self = .template("\(error)")
        default: self = .failed("\(error)")
        }
    }

    var status: Int {
        switch self {
        case .field, .body, .template: 400
        case .unknownModel, .notFound: 404
        case .method: 405
        case .failed: 500
        case .engine(let error):
            switch error {
            case .invalid, .contextExceeded, .cacheTooSmall, .constraintTooCostly: 400
            case .overloaded: 429
            case .draining: 503
            case .failed: 500
            }
        }
    }

    var message: String {
        switch self {
        case .field(let param, let message): "'\(param)' \(message)"
        case .body(let message), .notFound(let message), .method(let message),
            .template(let message), .failed(let message):
            message
        case .unknownModel(let name, let known):
            "the model '\(name)' does not exist here; served are "
                + known.map { "'\($0)'" }.joined(separator: ", ")
        case .engine(let error): error.description
        }
    }

    /// The error for the log, in which no client's words belong: kind and field, no values.
    var logged: String {
        switch self {
        case .field(let param, _): "'\(param.asFieldPath)' is not as expected"
        case .body: "the body is not as expected"
        case .unknownModel: "an unknown model"
        case .notFound: "not found"
        case .method: "a wrong method"
        case .template: "the chat template refuses the messages"
        case .engine(.invalid(let field, _)): "'\(field.asFieldPath)' is not as expected"
        case .engine(let error): error.description
        case .failed(let message): message
        }
    }

    var param: String? {
        switch self {
        case .field(let param, _): param
        case .unknownModel: "model"
        case .template: "messages"
        case .engine(.invalid(let field, _)): field
        case .engine(.contextExceeded), .engine(.cacheTooSmall): nil
        default: nil
        }
    }

    /// OpenAI's word for the kind of error.
    var kind: String {
        switch status {
        case 404: "not_found_error"
        case 429: "rate_limit_error"
        case 503: "unavailable_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }

    /// OpenAI's machine-readable cause, where it has one.
    var code: String? {
        switch self {
        case .unknownModel: "model_not_found"
        case .engine(.contextExceeded), .engine(.cacheTooSmall): "context_length_exceeded"
        case .engine(.overloaded): "rate_limit_exceeded"
        case .engine(.constraintTooCostly): "constraint_too_costly"
        case .engine(.draining): "server_draining"
        case .field: "invalid_value"
        default: nil
        }
    }

    /// Seconds after which to try again, for `Retry-After`.
    var retryAfter: Int? {
        switch self {
        case .engine(.overloaded(_, let seconds)): max(1, seconds)
        case .engine(.draining): 5
        default: nil
        }
    }

    /// `{"error": {...}}` as OpenAI has it.
    var openAI: JSONOutput {
        [
            "error": [
                "message": .string(message), "type": .string(kind), "param": .text(param),
                "code": .text(code),
            ]
        ]
    }

    /// `{"type": "error", "error": {...}}` as Anthropic has it.
    var anthropic: JSONOutput {
        let kind =
            switch status {
            case 404: "not_found_error"
            case 429: "rate_limit_error"
            case 503: "overloaded_error"
            case 500...: "api_error"
            default: "invalid_request_error"
            }
        return [
            "type": "error",
            "error": ["type": .string(kind), "message": .string(message)],
        ]
    }
}

extension JSONOutput {
    /// A text, or null for nil.
    static func text(_ value: String?) -> JSONOutput { value.map { .string($0) } ?? .null }

    /// A whole number, or null for nil.
    static func number(_ value: Int?) -> JSONOutput { value.map { .integer($0) } ?? .null }

    /// A value that was read, to be written again.
    init(_ json: JSONCursor) {
        switch json.kind {
        case .null: self = .null
        case .bool: self = .bool(json.bool ?? false)
        case .number:
            if json.isInteger, let value = json.int {
                self = .integer(value)
            } else {
                self = .double(json.double ?? 0)
            }
        case .string: self = .string(json.string ?? "")
        case .array: self = .array((json.array.map(Array.init) ?? []).map { JSONOutput($0) })
        case .object: self = .object((json.entries ?? []).map { ($0.key, JSONOutput($0.value)) })
        }
    }

    /// An object without those of its entries that are nil.
    static func fields(_ entries: [(String, JSONOutput?)]) -> JSONOutput {
        .object(entries.compactMap { key, value in value.map { (key: key, value: $0) } })
    }
}
