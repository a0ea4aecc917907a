import Testing

@testable import YuyanServe

@Suite("Routes and targets")
struct RouteTests {
    private let table = RouteTable(
        routes: [
            ServiceRoute("POST", "/a"), ServiceRoute("GET", "/m/{id}"),
            ServiceRoute("DELETE", "/m/{id}"), ServiceRoute("POST", "/m/{id}/x"),
        ], assets: ["index.html", "app.js"])

    @Test("a path comes to its route, under every method that it has")
    func match() {
        #expect(table.match(method: "POST", path: "/a") == .found(.service, template: "/a"))
        #expect(table.match(method: "GET", path: "/m/x") == .found(.service, template: "/m/{id}"))
        #expect(
            table.match(method: "DELETE", path: "/m/x") == .found(.service, template: "/m/{id}"))
        #expect(
            table.match(method: "POST", path: "/m/q/x") == .found(.service, template: "/m/{id}/x"))
        #expect(
            table.match(method: "HEAD", path: "/") == .found(.asset("index.html"), template: "/"))
        #expect(
            table.match(method: "GET", path: "/app.js")
                == .found(.asset("app.js"), template: "/app.js"))
        #expect(
            table.match(method: "PUT", path: "/m/x")
                == .methodNotAllowed(["DELETE", "GET", "HEAD", "OPTIONS"]))
        for path in ["", "/b", "/a/", "/m", "/m/", "//a", "/A"] {
            #expect(table.match(method: "GET", path: path) == .notFound, "\(path)")
        }
    }

    @Test("a target is decoded once, and refused if it cannot be")
    func target() {
        func path(_ uri: String) -> String? { RequestTarget(uri)?.path }
        #expect(path("/a%20b?c=%20") == "/a b")
        #expect(RequestTarget("/a?b=1?c")?.query == "b=1?c")
        #expect(path("/%252e") == "/%2e")
        #expect(path("/%e8%af%ad") == "/语")
        #expect(path("http://host:1/x?y") == "/x")
        #expect(path("http://host") == "/")
        #expect(path("*") == "*")
        for uri in ["", "a", "/%", "/%4", "/%zz", "/%00", "/%ff", "mailto:x"] {
            #expect(path(uri) == nil, "\(uri)")
        }
    }

    @Test("a client's id is taken only if it is harmless")
    func requestID() {
        #expect(RequestID.make(from: "a-B_1.2:3") == "a-B_1.2:3")
        for id in ["", "a b", "a\"b", "ü", String(repeating: "x", count: 129)] {
            #expect(RequestID.make(from: id).hasPrefix("req-"), "\(id)")
        }
        #expect(RequestID.make(from: nil) != RequestID.make(from: nil))
    }
}
