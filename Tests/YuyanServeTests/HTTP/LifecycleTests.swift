import Synchronization
import Testing
import TestSupport

@testable import YuyanServe

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Loading, draining, ending", .serialized)
struct LifecycleTests {
    private struct LoadFault: Error, Equatable {}

    @Test("says that it loads until the model is there")
    func loading() async throws {
        let isOpen = Atomic(false)
        let gate = Gate()
        try await ScriptedServer.run(load: { gate.wait() }, awaitsReady: false) { scripted in
            let health = try await scripted.ask("GET", "/health")
            #expect(health.status == 503)
            #expect(
                health.text
                    == #"{"error": {"code": 503, "message": "Loading model", "#
                    + #""type": "unavailable_error", "param": null}}"#)
            #expect(health.headers["retry-after"] == "1")
            let chat = try await scripted.ask("POST", "/v1/chat/completions", body: "{}")
            #expect(chat.status == 503)
            #expect(try await scripted.ask("GET", "/").status == 200)
            #expect(try await scripted.ask("GET", "/metrics").status == 200)
            gate.open()
            for _ in 0..<500 {
                if try await scripted.ask("GET", "/health").status == 200 {
                    isOpen.store(true, ordering: .relaxed)
                    break
                }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        let opened = isOpen.load(ordering: .relaxed)
        #expect(opened)
    }

    @Test("a model that cannot be loaded ends the server with the cause")
    func loadFailure() async throws {
        let gate = Gate()
        await #expect(throws: LoadFault.self) {
            try await ScriptedServer.run(
                load: {
                    gate.wait()
                    throw LoadFault()
                }, awaitsReady: false
            ) { scripted in
                #expect(try await scripted.ask("GET", "/health").status == 503)
                gate.open()
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    @Test("running requests end before the server does, new ones are refused")
    func drain() async throws {
        try await ScriptedServer.run {
            $0.drainTimeout = .seconds(5)
        } _: { scripted in
            let port = scripted.port
            async let running = scripted.ask("POST", "/silence", body: "")
            await scripted.wait("the request runs") {
                scripted.handler.produced.load(ordering: .relaxed) > 0
            }
            let kept = try await blocking {
                let client = try TestClient(port: port)
                try client.request("GET", "/health")
                _ = try client.reply()
                return client
            }
            scripted.server.shutDown()
            scripted.server.shutDown()
            await scripted.wait("draining begins") { scripted.log.text.contains("draining") }
            let (health, chat) = try await blocking {
                try kept.request("GET", "/health")
                let health = try kept.reply()
                let other = try TestClient(port: port)
                try other.request("POST", "/echo", body: "")
                return (health, try other.reply())
            }
            #expect(health.status == 503)
            #expect(chat.status == 503)
            #expect(chat.headers["retry-after"] == "5")
            #expect(chat.headers["connection"] == "close")
            let whole = try await running
            #expect(whole.text == "data: x\n\ndata: x\n\n")
            await scripted.wait("the engine is drained") {
                scripted.engine.isDrained.load(ordering: .relaxed)
            }
        }
    }

    @Test("what has not ended by the drain's end is cancelled")
    func drainTimeout() async throws {
        try await ScriptedServer.run {
            $0.drainTimeout = .milliseconds(200)
        } _: { scripted in
            let asking = Task { try await scripted.ask("POST", "/wait", body: "") }
            await scripted.wait("the request runs") {
                scripted.handler.running.load(ordering: .relaxed) > 0
            }
            scripted.server.shutDown()
            await #expect(throws: ClientError.self) { try await asking.value }
            await scripted.wait("it is cancelled") {
                scripted.handler.cancelled.load(ordering: .relaxed) == 1
            }
        }
    }

    @Test("bad TLS files are named before the socket opens")
    func badCertificates() async throws {
        let folder = TemporaryFolder()
        let path = folder.file("cert.pem", Array("not a certificate".utf8))
        for (certificate, key, file): (String?, String?, String) in [
            (folder.path + "/none.pem", path, "none.pem"), (path, path, "cert.pem"),
        ] {
            await #expect {
                try await ScriptedServer.run {
                    $0.tlsCertificate = certificate
                    $0.tlsKey = key
                } _: { _ in
                }
            } throws: { error in
                guard case ServerError.tls(let found, _) = error else { return false }
                return found.hasSuffix(file)
            }
        }
        await #expect(throws: ServerError.halfTLS) {
            try await ScriptedServer.run {
                $0.tlsCertificate = path
            } _: { _ in
            }
        }
    }
}

/// Holds a thread until it is opened.
final class Gate: Sendable {
    private let isOpen = Atomic(false)
    func open() { isOpen.store(true, ordering: .releasing) }
    func wait() { while !isOpen.load(ordering: .acquiring) { usleep(1000) } }
}
