import Synchronization
import Testing

@testable import YuyanServe

@Suite("Who is let in", .serialized)
struct AccessTests {
    @Test("errors of /v1/messages have Anthropic's shape, whoever finds them")
    func anthropicShape() async throws {
        try await ScriptedServer.run {
            $0.apiKeys = ["key"]
            $0.maxBodyBytes = 100
        } _: { scripted in
            let key = ["x-api-key": "key"]
            let long = String(repeating: "x", count: 200)
            for (method, path, headers, body, status, kind) in [
                ("POST", "/v1/messages", [:], "", 401, "authentication_error"),
                ("POST", "/v1/messages", key, long, 413, "request_too_large"),
                ("GET", "/v1/messages", key, "", 405, "invalid_request_error"),
                ("POST", "/v1/messages/none", key, "", 404, "not_found_error"),
            ] {
                let reply = try await scripted.ask(method, path, headers: headers, body: body)
                #expect(reply.status == status, "\(path)")
                #expect(
                    reply.text.hasPrefix(
                        #"{"type": "error", "error": {"type": "\#(kind)", "message": "#),
                    "\(reply.text)")
            }
            let other = try await scripted.ask("POST", "/echo", headers: key, body: long)
            #expect(other.text.hasPrefix(#"{"error": {"code": null,"#), "\(other.text)")
        }
    }

    @Test("metrics need a key unless they are made public")
    func publicMetrics() async throws {
        try await ScriptedServer.run {
            $0.apiKeys = ["key"]
            $0.hasPublicMetrics = true
        } _: { scripted in
            let metrics = try await scripted.ask("GET", "/metrics")
            let engine = try await scripted.ask("GET", "/engine")
            #expect(metrics.status == 200 && engine.status == 401)
        }
    }

    @Test("the client is who a trusted proxy says, and nobody else's word counts")
    func proxies() {
        var configuration = ServerConfiguration()
        configuration.trustedProxies = ["10.0.0.1", "10.0.0.2"]
        func client(_ address: String, _ values: String...) -> String {
            configuration.client(
                at: address, values.map { (name: "x-forwarded-for", value: $0) })
        }
        #expect(client("10.0.0.1", "9.9.9.9, 1.2.3.4") == "1.2.3.4")
        #expect(client("10.0.0.1", "9.9.9.9", "1.2.3.4, 10.0.0.2") == "1.2.3.4")
        #expect(client("5.5.5.5", "1.2.3.4") == "5.5.5.5")
        #expect(client("10.0.0.1") == "10.0.0.1" && client("10.0.0.1", " , ") == "10.0.0.1")
    }

    @Test("without one of the keys everything but page and health is 401")
    func keys() async throws {
        try await ScriptedServer.run {
            $0.apiKeys = ["first", "second"]
        } _: { scripted in
            for path in ["/", "/health", "/v1/health"] {
                #expect(try await scripted.ask("GET", path).status == 200, "\(path)")
            }
            for path in ["/metrics", "/engine", "/openapi.json", "/version", "/none"] {
                let reply = try await scripted.ask("GET", path)
                #expect(reply.status == 401, "\(path)")
                #expect(reply.text.contains(#""code": "invalid_api_key""#))
            }
            let wrong: [[String: String]] = [
                ["Authorization": "Bearer firs"], ["Authorization": "Bearer firstfirst"],
                ["Authorization": "Basic first"], ["Authorization": "first"], ["x-api-key": ""],
                ["Authorization": "Bearer "], ["x-api-key": "secone"],
            ]
            for headers in wrong {
                let reply = try await scripted.ask("POST", "/echo", headers: headers, body: "a")
                #expect(reply.status == 401, "\(headers)")
            }
            #expect(scripted.handler.requests.withLock { $0.isEmpty })
            let right: [[String: String]] = [
                ["Authorization": "Bearer first"], ["authorization": "bearer second"],
                ["x-api-key": "second"],
            ]
            for headers in right {
                let reply = try await scripted.ask("POST", "/echo", headers: headers, body: "a")
                #expect(reply.status == 200, "\(headers)")
            }
            let clients = scripted.handler.requests.withLock { $0.map(\.client) }
            #expect(clients == ["key-0", "key-1", "key-1"])
            // The field "seconds" is no key.
            #expect(!scripted.log.text.contains(#"second""#))
            #expect(!scripted.log.text.contains(#"first""#))
        }
    }

    @Test("a key is found only by the whole of itself")
    func keyComparison() {
        let keys = APIKeys(["abc", "abcabc", ""])
        #expect(keys.index(of: "abc") == 0)
        #expect(keys.index(of: "abcabc") == 1)
        for guess in ["", "a", "ab", "abd", "abcab", "abcabca", "abcabcabc", "ABC"] {
            #expect(keys.index(of: guess) == nil, "\(guess)")
        }
    }

    @Test("pages of listed origins may call, after asking without a key")
    func crossOrigin() async throws {
        try await ScriptedServer.run {
            $0.apiKeys = ["key"]
            $0.corsOrigins = ["https://app.example"]
        } _: { scripted in
            let question = [
                "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, x-stainless-os",
            ]
            let answer = try await scripted.ask("OPTIONS", "/echo", headers: question)
            #expect(answer.status == 204)
            #expect(answer.headers["access-control-allow-origin"] == "https://app.example")
            #expect(
                answer.headers["access-control-allow-headers"] == "authorization, x-stainless-os")
            #expect(answer.headers["access-control-allow-methods"]?.contains("POST") == true)
            #expect(answer.headers["access-control-allow-credentials"] == nil)
            let other = try await scripted.ask(
                "OPTIONS", "/echo",
                headers: ["Origin": "https://evil", "Access-Control-Request-Method": "POST"])
            #expect(other.status == 403)
            #expect(other.headers["access-control-allow-origin"] == nil)
            let call = try await scripted.ask(
                "POST", "/echo",
                headers: ["Origin": "https://app.example", "Authorization": "Bearer key"],
                body: "x")
            #expect(call.headers["access-control-allow-origin"] == "https://app.example")
            #expect(call.headers["vary"] == "origin")
            let refused = try await scripted.ask(
                "POST", "/echo", headers: ["Origin": "https://app.example"], body: "x")
            #expect(refused.status == 401)
            #expect(refused.headers["access-control-allow-origin"] == "https://app.example")
        }
    }

    @Test("a star allows every origin, never with credentials")
    func star() {
        let all = CrossOrigin(["*"])
        #expect(all.allows("https://x"))
        let headers = all.headers(for: "https://x")
        #expect(headers.contains { $0.name == "access-control-allow-origin" && $0.value == "*" })
        #expect(!headers.contains { $0.name.contains("credentials") })
        #expect(CrossOrigin([]).headers(for: "https://x").isEmpty)
        #expect(!CrossOrigin([]).allows("https://x"))
        #expect(CrossOrigin(["HTTPS://A.example/"]).allows("https://a.example"))
    }
}
