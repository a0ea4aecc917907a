import YuyanFormats

extension Service {
    /// Answers a request; every failure becomes an answer too.
    public func respond(to request: ServiceRequest) async -> ServiceResponse {
        let endpoint = Self.endpoint(request)
        let timer = RequestTimer(
            RequestRecord(
                requestID: request.requestID, client: request.client, endpoint: endpoint.path),
            observer: observer)
        do {
            let response = try await answer(request, endpoint, timer)
            if case .bytes = response.body { timer.report(status: response.status) }
            return response
        } catch {
            // The reader of a cancelled request is gone; what it gets does not matter.
            let failure = RequestError(error)
            let isGone = error is CancellationError
            timer.report(
                status: isGone ? 499 : failure.status,
                error: isGone ? "cancelled before its end" : failure.logged)
            return .failure(failure, anthropic: endpoint.isAnthropic)
        }
    }

    /// A route under its first name, and what of the path is an id.
    struct Endpoint: Sendable {
        var path: String
        var id = ""
        var isAnthropic: Bool { path.hasPrefix("/v1/messages") }
    }

    private static func endpoint(_ request: ServiceRequest) -> Endpoint {
        switch request.path {
        case "/chat/completions": return Endpoint(path: "/v1/chat/completions")
        case "/completions": return Endpoint(path: "/v1/completions")
        case "/models": return Endpoint(path: "/v1/models")
        case "/embeddings": return Endpoint(path: "/v1/embeddings")
        case "/v1/score/evaluation": return Endpoint(path: "/v1/score")
        case let path where path.hasPrefix("/v1/models/"):
            return Endpoint(path: "/v1/models/{id}", id: String(path.dropFirst(11)))
        default: return Endpoint(path: request.path)
        }
    }

    private func answer(
        _ request: ServiceRequest, _ endpoint: Endpoint, _ timer: RequestTimer
    ) async throws -> ServiceResponse {
        switch (request.method, endpoint.path) {
        case ("POST", "/v1/chat/completions"): return try await chat(request, timer)
        case ("POST", "/v1/completions"): return try await completions(request, timer)
        case ("GET", "/v1/models"): return .json(models())
        case ("GET", "/v1/models/{id}"): return .json(try model(endpoint.id))
        case ("POST", "/v1/embeddings"): return try await embeddings(request, timer)
        case ("POST", "/v1/score"): return try await score(request, timer)
        case ("POST", "/v1/responses"): return try await responses(request, timer)
        case ("POST", "/v1/messages"): return try await messages(request, timer)
        case ("POST", "/v1/messages/count_tokens"): return .json(try countTokens(request))
        case ("POST", "/tokenize"): return .json(try tokenize(request))
        case ("POST", "/detokenize"): return .json(try detokenize(request))
        case ("POST", "/apply-template"): return .json(try applyTemplate(request))
        case ("POST", "/v1/load_lora_adapter"): return try loadAdapter(request)
        case ("POST", "/v1/unload_lora_adapter"): return try unloadAdapter(request)
        case ("GET", "/lora-adapters"): return .json(listAdapters())
        default:
            if let route = Self.routes.first(where: { $0.path == endpoint.path }) {
                throw RequestError.method("\(route.path) is asked with \(route.method)")
            }
            throw RequestError.notFound("there is no \(request.path.prefix(200)) here")
        }
    }
}
