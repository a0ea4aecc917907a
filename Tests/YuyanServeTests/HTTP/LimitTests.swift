import Synchronization
import Testing

@testable import YuyanServe

@Suite("Limits and timeouts", .serialized)
struct LimitTests {
    @Test("a body over the limit is refused with 413, announced or not")
    func bodies() async throws {
        try await ScriptedServer.run {
            $0.maxBodyBytes = 1000
        } _: { scripted in
            let fits = try await scripted.ask(
                "POST", "/echo", body: String(repeating: "x", count: 1000))
            #expect(fits.body.count == 1000)
            let announced = try await scripted.ask(
                "POST", "/echo", body: String(repeating: "x", count: 1001))
            #expect(announced.status == 413)
            #expect(announced.text.contains("exceeds 1000 bytes"))
            #expect(announced.headers["connection"] == "close")
            let port = scripted.port
            let unannounced = try await blocking {
                let client = try TestClient(port: port)
                try client.send(
                    "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in 0..<3 {
                    try client.send("1f4\r\n" + String(repeating: "x", count: 500) + "\r\n")
                }
                return try client.reply()
            }
            #expect(unannounced.status == 413)
            // Nothing of the refused bodies is held, nor did they reach the service.
            #expect(scripted.handler.requests.withLock { $0.count } == 1)
        }
    }

    @Test("all bodies together have a limit too, and give back what they held")
    func heldBodies() async throws {
        try await ScriptedServer.run {
            $0.maxHeldBodyBytes = 1000
        } _: { scripted in
            let port = scripted.port
            let (refused, first) = try await blocking {
                let slow = try TestClient(port: port)
                try slow.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 801\r\n\r\n")
                try slow.send(String(repeating: "a", count: 800))
                // The server has to have seen the 800 bytes.
                _ = try blockingPause(milliseconds: 200)
                let other = try TestClient(port: port)
                try other.request("POST", "/echo", body: String(repeating: "b", count: 400))
                let refused = try other.reply()
                try slow.send("a")
                return (refused, try slow.reply())
            }
            #expect(refused.status == 503)
            #expect(first.body.count == 801)
            let later = try await scripted.ask(
                "POST", "/echo", body: String(repeating: "c", count: 900))
            #expect(later.status == 200)
        }
    }

    @Test("a client that asks first is told to go on")
    func expectation() async throws {
        try await ScriptedServer.run { scripted in
            let port = scripted.port
            let (interim, reply) = try await blocking {
                let client = try TestClient(port: port)
                try client.request(
                    "POST", "/echo", headers: ["Expect": "100-continue", "Content-Length": "2"])
                let interim = try client.reply()
                try client.send("ok")
                return (interim, try client.reply())
            }
            #expect(interim.status == 100)
            #expect(reply.text == "ok")
        }
    }

    @Test("too many bytes of headers are refused with 431, what is no HTTP with 400")
    func headers() async throws {
        try await ScriptedServer.run {
            $0.maxHeaderBytes = 2000
        } _: { scripted in
            let large = try await scripted.ask(
                "GET", "/health", headers: ["X-Large": String(repeating: "x", count: 4000)])
            #expect(large.status == 431)
            let port = scripted.port
            for text in ["NONSENSE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{1}\u{2}\u{3}\r\n\r\n"] {
                let reply = try await blocking {
                    let client = try TestClient(port: port)
                    try client.send(text)
                    return try client.reply()
                }
                #expect(reply.status == 400, "\(text)")
                #expect(reply.text.contains("invalid_request_error"))
            }
            let twice = try await blocking {
                let client = try TestClient(port: port)
                try client.send(
                    "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n"
                        + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                return try client.reply()
            }
            #expect(twice.status == 400)
        }
    }

    @Test("headers that come a byte at a time end with the connection")
    func slowHeaders() async throws {
        try await ScriptedServer.run {
            $0.idleTimeout = .milliseconds(400)
        } _: { scripted in
            let port = scripted.port
            let sent = try await blocking {
                let client = try TestClient(port: port)
                let text = "GET /health HTTP/1.1\r\n" + String(repeating: "X-A: b\r\n", count: 100)
                var sent = 0
                for byte in text.utf8 {
                    do { try client.send([byte]) } catch { return sent }
                    sent += 1
                    _ = try blockingPause(milliseconds: 10)
                }
                return sent
            }
            #expect((1...200).contains(sent))
        }
    }

    @Test("a body that does not arrive is answered with 408")
    func slowBody() async throws {
        try await ScriptedServer.run {
            $0.bodyTimeout = .milliseconds(300)
        } _: { scripted in
            let port = scripted.port
            let reply = try await blocking {
                let client = try TestClient(port: port)
                try client.request("POST", "/echo", headers: ["Content-Length": "10"])
                try client.send("abc")
                return try client.reply()
            }
            #expect(reply.status == 408)
            #expect(scripted.handler.requests.withLock { $0.isEmpty })
        }
    }

    @Test("a silent connection is closed")
    func idle() async throws {
        try await ScriptedServer.run {
            $0.idleTimeout = .milliseconds(200)
        } _: { scripted in
            let port = scripted.port
            let ended = try await blocking {
                let client = try TestClient(port: port)
                try client.request("GET", "/health")
                _ = try client.reply()
                return try client.seesEnd()
            }
            #expect(ended)
        }
    }

    @Test("an answer that takes too long is given up: 504, or an error event in a stream")
    func requestTimeout() async throws {
        try await ScriptedServer.run {
            $0.requestTimeout = .milliseconds(300)
        } _: { scripted in
            let reply = try await scripted.ask("POST", "/wait", body: "")
            #expect(reply.status == 504)
            #expect(reply.text.contains("timeout_error"))
            #expect(scripted.handler.cancelled.load(ordering: .relaxed) == 1)
            let stream = try await scripted.ask("POST", "/silence", body: "")
            #expect(stream.status == 200)
            #expect(stream.text.contains("timeout_error"))
            #expect(stream.text.hasSuffix("data: [DONE]\n\n"))
        }
    }

    @Test("connections over the limit wait until one ends")
    func connections() async throws {
        try await ScriptedServer.run {
            $0.maxConnections = 2
        } _: { scripted in
            let port = scripted.port
            let (early, late) = try await blocking {
                let first = try TestClient(port: port)
                let second = try TestClient(port: port)
                for client in [first, second] {
                    try client.request("GET", "/health")
                    _ = try client.reply()
                }
                let third = try TestClient(port: port, timeout: 1)
                try third.request("GET", "/health")
                let early: Int? = try? third.reply().status
                first.close()
                return (early, try third.reply().status)
            }
            #expect(early == nil)
            #expect(late == 200)
        }
    }
}
