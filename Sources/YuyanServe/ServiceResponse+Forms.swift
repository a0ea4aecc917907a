import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension ServiceResponse {
    /// A JSON value.
    static func json(
        _ value: JSONOutput, status: Int = 200, headers: [(name: String, value: String)] = []
    ) -> ServiceResponse {
        ServiceResponse(
            status: status, headers: [("content-type", "application/json")] + headers,
            body: .bytes(Array(value.description.utf8)))
    }

    /// Server-sent events that `start` makes once the reader begins.
    static func events(
        headers: [(name: String, value: String)] = [],
        _ start: @escaping @Sendable () -> ServiceEvents.Producer
    ) -> ServiceResponse {
        ServiceResponse(
            status: 200,
            headers: [
                ("content-type", "text/event-stream; charset=utf-8"),
                ("cache-control", "no-cache"),
            ] + headers,
            body: .events(ServiceEvents(start: start)))
    }

    /// An error, in Anthropic's shape or OpenAI's.
    static func failure(_ error: RequestError, anthropic: Bool) -> ServiceResponse {
        let headers = error.retryAfter.map { [(name: "retry-after", value: "\($0)")] } ?? []
        return json(
            anthropic ? error.anthropic : error.openAI, status: error.status, headers: headers)
    }
}

/// The time of day, for the `created` of answers.
enum Clock {
    /// Seconds since 1970.
    static var now: Int { Int(time(nil)) }
}
