/// Cross-origin resource sharing (WHATWG Fetch): which pages elsewhere may call the API.
///
/// Credentials of the browser are never allowed, so that `*` is safe; API keys are sent by script.
struct CrossOrigin: Sendable {
    private let origins: Set<String>
    private let allowsAll: Bool

    init(_ origins: [String]) {
        self.origins = Set(origins.map(Self.normalized))
        allowsAll = origins.contains("*")
    }

    /// Whether the list names any origin.
    var isEnabled: Bool { allowsAll || !origins.isEmpty }

    /// Whether pages of this origin may call.
    func allows(_ origin: String) -> Bool {
        allowsAll || origins.contains(Self.normalized(origin))
    }

    /// Headers of an answer to a page of `origin`; none if it may not read the answer.
    func headers(for origin: String?) -> [(name: String, value: String)] {
        guard isEnabled else { return [] }
        guard let origin, allows(origin) else { return [(name: "vary", value: "origin")] }
        return [
            (name: "access-control-allow-origin", value: allowsAll ? "*" : origin),
            (name: "access-control-expose-headers", value: "x-request-id, retry-after"),
            (name: "vary", value: "origin"),
        ]
    }

    /// Headers of the answer to a browser's question before the request proper.
    func preflight(_ request: [(name: String, value: String)])
        -> [(name: String, value: String)]
    {
        // Client libraries send headers of their own, so what is asked for is allowed: it is the
        // origin that is checked.
        let asked = request.first { $0.name == "access-control-request-headers" }?.value
        return [
            (name: "access-control-allow-methods", value: "GET, POST, OPTIONS"),
            (
                name: "access-control-allow-headers",
                value: asked ?? "authorization, content-type, x-api-key, x-request-id"
            ),
            (name: "access-control-max-age", value: "600"),
        ]
    }

    private static func normalized(_ origin: String) -> String {
        let lower = origin.lowercased()
        return lower.hasSuffix("/") ? String(lower.dropLast()) : lower
    }
}
