import Synchronization
import Testing

@testable import YuyanServe

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Waits on the calling thread, which is no task's.
func blockingPause(milliseconds: Int) throws -> Int32 { usleep(UInt32(milliseconds) * 1000) }

@Suite("Clients that go away or read slowly", .serialized)
struct DisconnectTests {
    @Test("a client that goes away before its answer cancels its request")
    func beforeAnswer() async throws {
        try await ScriptedServer.run { scripted in
            let port = scripted.port
            try await blocking {
                let client = try TestClient(port: port)
                try client.request("POST", "/wait", body: "{}")
                _ = try blockingPause(milliseconds: 100)
                client.close()
            }
            await scripted.wait("the request is cancelled") {
                scripted.handler.cancelled.load(ordering: .relaxed) == 1
            }
            await scripted.wait("the log tells of it") {
                scripted.log.text.contains(#""disconnected": true"#)
            }
            #expect(scripted.log.text.contains(#""status": 499"#))
        }
    }

    @Test("a client that goes away in the middle of a stream cancels it")
    func inStream() async throws {
        try await ScriptedServer.run { scripted in
            let port = scripted.port
            try await blocking {
                let client = try TestClient(port: port)
                try client.request("POST", "/flood", body: "{}")
                _ = try client.replyHead()
                _ = try client.chunk()
                client.close()
            }
            await scripted.wait("the stream ends") {
                scripted.handler.running.load(ordering: .relaxed) == 0
                    && scripted.log.text.contains(#""status": 499"#)
            }
            let produced = scripted.handler.produced.load(ordering: .relaxed)
            try await Task.sleep(for: .milliseconds(100))
            #expect(scripted.handler.produced.load(ordering: .relaxed) == produced)
        }
    }

    @Test("a reader that stops is waited for, not buffered for, and cut off in the end")
    func slowReader() async throws {
        try await ScriptedServer.run {
            $0.idleTimeout = .milliseconds(700)
        } _: { scripted in
            let port = scripted.port
            let client = try await blocking {
                let client = try TestClient(port: port, receiveBuffer: 4096)
                try client.request("POST", "/flood", body: "{}")
                _ = try client.replyHead()
                return client
            }
            try await Task.sleep(for: .milliseconds(400))
            // 16 KiB each. On their way are at most: 64 KiB before the event loop sees them, the
            // channel's high watermark of 64 KiB and what the loop was given beyond it (64 KiB),
            // 128 KiB that the system has not sent and one segment of 64 KiB, and the reader's 8 KiB:
            // 25 pieces. As many again are left to systems that count a buffer's overhead too.
            let produced = scripted.handler.produced.load(ordering: .relaxed)
            #expect((1...50).contains(produced), "\(produced)")
            try await Task.sleep(for: .milliseconds(100))
            #expect(scripted.handler.produced.load(ordering: .relaxed) == produced)
            await scripted.wait("the reader is cut off") {
                scripted.log.text.contains(#""status": 499"#)
            }
            client.close()
        }
    }

    @Test("a reader that is slow but steady gets everything")
    func steadyReader() async throws {
        try await ScriptedServer.run {
            $0.idleTimeout = .milliseconds(700)
        } _: { scripted in
            let port = scripted.port
            let count = try await blocking {
                let client = try TestClient(port: port, receiveBuffer: 1 << 16)
                try client.request("POST", "/large", body: "{}")
                let head = try client.replyHead()
                #expect(head.headers["content-length"] == "\(3 << 20)")
                var count = 0
                while count < 3 << 20, let bytes = try client.receive() {
                    count += bytes.count
                    _ = try blockingPause(milliseconds: 5)
                }
                return count
            }
            // The first pieces came with the head, which the client keeps.
            #expect(count > 2 << 20)
        }
    }
}
