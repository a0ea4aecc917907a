import Synchronization
import Testing

@testable import YuyanServe

@Suite("Server over real sockets", .serialized)
struct ServerTests {
    @Test("answers request after request on one connection, in order")
    func keepAlive() async throws {
        try await ScriptedServer.run { scripted in
            let port = scripted.port
            let bodies = try await blocking {
                let client = try TestClient(port: port)
                // Both at once: the second waits in the socket while the first is answered.
                try client.request("POST", "/echo", body: "first")
                try client.request("POST", "/echo", body: "second")
                let replies = [try client.reply(), try client.reply()]
                try client.request("GET", "/health")
                return (replies + [try client.reply()]).map(\.text)
            }
            #expect(bodies == ["first", "second", #"{"status": "ok"}"#])
        }
    }

    @Test("reads bodies in chunks, and sends a client of HTTP/1.0 none")
    func chunks() async throws {
        try await ScriptedServer.run { scripted in
            let port = scripted.port
            let (echo, stream, old) = try await blocking {
                let client = try TestClient(port: port)
                try client.send(
                    "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "4\r\nab\r\n\r\n3\r\ncde\r\n0\r\n\r\n")
                let echo = try client.reply()
                try client.request("POST", "/v1/chat/completions", body: "{}")
                let stream = try client.reply()
                let other = try TestClient(port: port)
                try other.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
                return (echo, stream, try other.reply())
            }
            #expect(echo.text == "ab\r\ncde")
            let expected = String(repeating: "data: xxxxxxxxxx\n\n", count: 3)
            #expect(stream.isChunked)
            #expect(stream.text == expected)
            #expect(stream.headers["content-type"] == "text/event-stream")
            #expect(!old.isChunked)
            #expect(old.text == expected)
        }
    }

    @Test("answers 404 and 405 in OpenAI's shape, 405 with the methods that there are")
    func unknown() async throws {
        try await ScriptedServer.run { scripted in
            let missing = try await scripted.ask("GET", "/nothing?x=1")
            #expect(missing.status == 404)
            #expect(
                missing.text.hasPrefix(#"{"error": {"code": null, "message": "there is nothing"#))
            let wrong = try await scripted.ask("GET", "/echo")
            #expect(wrong.status == 405)
            #expect(wrong.headers["allow"] == "OPTIONS, POST")
            #expect(wrong.text.contains(#""type": "invalid_request_error""#))
            let other = try await scripted.ask("DELETE", "/health")
            #expect(other.headers["allow"] == "GET, HEAD, OPTIONS")
            let options = try await scripted.ask("OPTIONS", "/echo")
            #expect(options.status == 204)
            #expect(options.headers["allow"] == "OPTIONS, POST")
        }
    }

    @Test("hands over path, query, headers, address and the request's id")
    func requestParts() async throws {
        try await ScriptedServer.run { scripted in
            let reply = try await scripted.ask(
                "GET", "/v1/models/a%2Fb/c?x=%20", headers: ["X-Request-ID": "mine-1", "X-A": "b"])
            #expect(reply.status == 200)
            #expect(reply.headers["x-request-id"] == "mine-1")
            let request = try #require(scripted.handler.requests.withLock { $0.first })
            #expect(request.path == "/v1/models/a/b/c")
            #expect(request.query == "x=%20")
            #expect(request.client == "127.0.0.1")
            #expect(request.requestID == "mine-1")
            #expect(request.headers.contains { $0.name == "x-a" && $0.value == "b" })
            let odd = try await scripted.ask("GET", "/health", headers: ["X-Request-ID": "a b"])
            #expect(odd.headers["x-request-id"]?.hasPrefix("req-") == true)
        }
    }

    @Test("HEAD gets the headers of GET and no body")
    func head() async throws {
        try await ScriptedServer.run { scripted in
            let reply = try await scripted.ask("HEAD", "/health")
            #expect(reply.status == 200)
            #expect(reply.headers["content-length"] == "16")
            #expect(reply.body.isEmpty)
        }
    }

    @Test("serves the page with a strict policy and an entity tag")
    func page() async throws {
        try await ScriptedServer.run { scripted in
            let page = try await scripted.ask("GET", "/")
            #expect(page.status == 200)
            #expect(page.headers["content-type"] == "text/html; charset=utf-8")
            let policy = try #require(page.headers["content-security-policy"])
            #expect(policy.hasPrefix("default-src 'none'; script-src 'self';"))
            #expect(!policy.contains("unsafe"))
            #expect(page.headers["x-content-type-options"] == "nosniff")
            let tag = try #require(page.headers["etag"])
            let again = try await scripted.ask("GET", "/", headers: ["If-None-Match": tag])
            #expect(again.status == 304)
            #expect(again.body.isEmpty)
        }
    }

    @Test("sends an answer of megabytes whole")
    func largeAnswer() async throws {
        try await ScriptedServer.run { scripted in
            let reply = try await scripted.ask("POST", "/large", body: "")
            #expect(reply.body.count == 3 << 20)
            #expect(reply.body.allSatisfy { $0 == 120 })
        }
    }

    @Test("says that a silent stream lives")
    func pings() async throws {
        try await ScriptedServer.run {
            $0.pingInterval = .milliseconds(100)
        } _: { scripted in
            let reply = try await scripted.ask("POST", "/silence", body: "")
            let pings = reply.text.split(separator: "\n\n").count { $0 == ": ping" }
            let data = reply.text.split(separator: "\n\n").count { $0 == "data: x" }
            #expect((4...8).contains(pings))
            #expect(data == 2)
        }
    }

    @Test("an address that is taken is named with its cause")
    func taken() async throws {
        try await ScriptedServer.run { scripted in
            let port = scripted.port
            await #expect {
                try await ScriptedServer.run {
                    $0.port = port
                } _: { _ in
                }
            } throws: { error in
                guard case ServerError.cannotListen(_, port, let cause) = error else {
                    return false
                }
                return cause.contains("in use")
            }
        }
    }
}
