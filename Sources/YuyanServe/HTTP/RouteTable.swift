/// Finds what a path means, without ever running what it does.
struct RouteTable: Sendable {
    /// What answers a path.
    enum Target: Sendable, Hashable {
        case health
        case metrics
        case engine
        case version
        case openAPI
        case asset(String)
        case service
    }

    /// What a method and path come to.
    enum Match: Sendable, Hashable {
        case found(Target, template: String)
        case methodNotAllowed([String])
        case notFound
    }

    private struct Pattern {
        let segments: [String]
        let template: String
        let method: String
        let target: Target
    }
    private var fixed: [String: [(method: String, target: Target)]] = [:]
    private var patterns: [Pattern] = []

    /// The server's own routes, the page's files, and `routes`.
    init(routes: [ServiceRoute], assets: [String]) {
        let own: [(String, Target)] = [
            ("/health", .health), ("/v1/health", .health), ("/metrics", .metrics),
            ("/engine", .engine), ("/version", .version), ("/openapi.json", .openAPI),
        ]
        for (path, target) in own { fixed[path, default: []].append(("GET", target)) }
        for name in assets {
            fixed["/" + name, default: []].append(("GET", .asset(name)))
            if name == "index.html" { fixed["/", default: []].append(("GET", .asset(name))) }
        }
        for route in routes {
            if route.path.contains("{") {
                patterns.append(
                    Pattern(
                        segments: Self.segments(of: route.path), template: route.path,
                        method: route.method, target: .service))
            } else {
                fixed[route.path, default: []].append((route.method, .service))
            }
        }
    }

    /// What `method` and the decoded `path` come to; HEAD counts as GET.
    func match(method: String, path: String) -> Match {
        let wanted = method == "HEAD" ? "GET" : method
        var allowed: Set<String> = []
        for (method, target) in fixed[path] ?? [] {
            if method == wanted { return .found(target, template: path) }
            allowed.insert(method)
        }
        let segments = Self.segments(of: path)
        for pattern in patterns where Self.matches(pattern.segments, segments) {
            if pattern.method == wanted {
                return .found(pattern.target, template: pattern.template)
            }
            allowed.insert(pattern.method)
        }
        guard !allowed.isEmpty else { return .notFound }
        if allowed.contains("GET") { allowed.insert("HEAD") }
        return .methodNotAllowed((allowed.union(["OPTIONS"])).sorted())
    }

    private static func segments(of path: String) -> [String] {
        path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    /// A parameter at the end takes the rest, because model names may hold slashes.
    private static func matches(_ pattern: [String], _ path: [String]) -> Bool {
        guard path.count >= pattern.count else { return false }
        for (index, expected) in pattern.enumerated() {
            if expected.hasPrefix("{") {
                if index == pattern.count - 1 { return !path[index].isEmpty }
                if path[index].isEmpty { return false }
            } else if expected != path[index] {
                return false
            }
        }
        return path.count == pattern.count
    }
}
