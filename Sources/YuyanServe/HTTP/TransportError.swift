import YuyanFormats

/// Why the transport answers a request itself.
enum TransportError: Error, Hashable, Sendable {
    case loading
    case draining
    case notFound(path: String)
    case methodNotAllowed(String, path: String, allowed: [String])
    case unauthorized(given: Bool)
    case foreignOrigin(String)
    case bodyTooLarge(limit: Int)
    case tooManyBodies
    case headersTooLarge(limit: Int)
    case malformed(String)
    case bodyTimeout(Duration)
    case requestTimeout(Duration)
    case expectation(String)

    var status: Int {
        switch self {
        case .loading, .draining, .tooManyBodies: 503
        case .notFound: 404
        case .methodNotAllowed: 405
        case .unauthorized: 401
        case .foreignOrigin: 403
        case .bodyTooLarge: 413
        case .headersTooLarge: 431
        case .malformed: 400
        case .bodyTimeout: 408
        case .requestTimeout: 504
        case .expectation: 417
        }
    }

    var message: String {
        switch self {
        case .loading: "Loading model"
        case .draining: "the server is shutting down and takes no new requests"
        case .notFound(let path): "there is nothing at '\(path)'; see /openapi.json"
        case .methodNotAllowed(let method, let path, let allowed):
            "'\(path)' does not take \(method), only \(allowed.joined(separator: ", "))"
        case .unauthorized(given: false):
            "no API key; send one as 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
        case .unauthorized(given: true): "the API key is not one of this server's"
        case .foreignOrigin(let origin):
            "pages of '\(origin)' may not call this server; start it with --cors \(origin)"
        case .bodyTooLarge(let limit):
            "the body exceeds \(limit) bytes; send less, or start the server with a larger "
                + "--max-body"
        case .tooManyBodies: "too many bodies are being read at this moment; try again"
        case .headersTooLarge(let limit): "the headers exceed the limits (\(limit) bytes in all)"
        case .malformed(let cause): "this is not HTTP/1.1: \(cause)"
        case .bodyTimeout(let limit): "the body did not arrive within \(limit)"
        case .requestTimeout(let limit): "no complete answer within \(limit); ask for less"
        case .expectation(let text): "'Expect: \(text)' is not understood"
        }
    }

    private var kind: String {
        switch self {
        case .loading, .draining, .tooManyBodies: "unavailable_error"
        case .notFound: "not_found_error"
        case .unauthorized: "authentication_error"
        case .foreignOrigin: "permission_error"
        case .requestTimeout, .bodyTimeout: "timeout_error"
        default: "invalid_request_error"
        }
    }

    /// The error body in OpenAI's shape, whose code is a text or null; while loading a number, as
    /// llama.cpp has it, which clients wait for.
    var body: JSONOutput {
        let code: JSONOutput =
            switch self {
            case .loading: .integer(status)
            case .unauthorized: "invalid_api_key"
            case .draining: "server_draining"
            case .requestTimeout: "timeout"
            default: .null
            }
        return [
            "error": [
                "code": code, "message": .string(message), "type": .string(kind), "param": .null,
            ]
        ]
    }

    /// The error body in Anthropic's shape.
    var anthropic: JSONOutput {
        let kind =
            switch self {
            case .loading, .draining, .tooManyBodies: "overloaded_error"
            case .bodyTooLarge: "request_too_large"
            case .requestTimeout: "timeout_error"
            default: self.kind
            }
        return [
            "type": "error", "error": ["type": .string(kind), "message": .string(message)],
        ]
    }

    /// Whether a target is one of those whose clients expect Anthropic's shape.
    static func isAnthropic(_ target: String) -> Bool { target.hasPrefix("/v1/messages") }

    /// The whole answer to a request for a target, in the shape that its clients expect.
    func response(for target: String) -> ServiceResponse {
        var result = response
        if Self.isAnthropic(target) { result.body = .bytes(Array(anthropic.description.utf8)) }
        return result
    }

    /// The whole answer in OpenAI's shape.
    var response: ServiceResponse {
        var headers = [(name: "content-type", value: "application/json")]
        switch self {
        case .loading, .tooManyBodies: headers.append((name: "retry-after", value: "1"))
        case .draining: headers.append((name: "retry-after", value: "5"))
        case .methodNotAllowed(_, _, let allowed):
            headers.append((name: "allow", value: allowed.joined(separator: ", ")))
        case .unauthorized:
            headers.append((name: "www-authenticate", value: "Bearer realm=\"yuyan\""))
        default: break
        }
        return ServiceResponse(
            status: status, headers: headers, body: .bytes(Array(body.description.utf8)))
    }
}
