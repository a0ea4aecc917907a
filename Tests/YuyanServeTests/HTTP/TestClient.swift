#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

private final class BlockingWork {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}

/// Runs what blocks on a thread of its own: the tasks' few threads belong to the server under test.
func blocking<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let box = Unmanaged.passRetained(
            BlockingWork { continuation.resume(with: Result { try body() }) })
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { context in
                if let context {
                    Unmanaged<BlockingWork>.fromOpaque(context).takeRetainedValue().run()
                }
                return nil
            }, box.toOpaque())
        precondition(result == 0)
        pthread_detach(thread)
    }
}

/// What a test client saw go wrong.
enum ClientError: Error, Hashable {
    case cannotConnect(Int32)
    case closed(received: Int)
    case timeout(received: String)
    case malformed(String)
}

/// An answer, taken apart by hand: no HTTP library checks another one here.
struct Reply: Sendable {
    var status = 0
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    /// Whether the body came in chunks.
    var isChunked = false

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A plain socket of the system, so that tests can misbehave as real clients do.
final class TestClient: @unchecked Sendable {
    // Used by one thread at a time: each test drives its client from one place.
    private let descriptor: Int32
    private var pending: [UInt8] = []
    private var isOpen = true

    init(port: Int, receiveBuffer: Int? = nil, timeout: Int = 10) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if let receiveBuffer {
            var size = Int32(receiveBuffer)
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var limit = timeval(tv_sec: timeout, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(
            descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let cause = errno
            Glibc.close(descriptor)
            throw ClientError.cannotConnect(cause)
        }
    }

    deinit { close() }

    func close() {
        if isOpen { Glibc.close(descriptor) }
        isOpen = false
    }

    /// Says that nothing more will be sent.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + start }, bytes.count - start,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw ClientError.closed(received: start) }
            start += count
        }
    }

    /// Sends a request with a body of known length.
    func request(
        _ method: String, _ path: String, headers: [String: String] = [:], body: String? = nil
    ) throws {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: test\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        try send(text + "\r\n" + (body ?? ""))
    }

    /// Reads one more piece; nil at the end.
    func receive() throws -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count == 0 { return nil }
        if count < 0 {
            guard errno == EAGAIN || errno == EWOULDBLOCK else { return nil }
            throw ClientError.timeout(received: String(decoding: pending, as: UTF8.self))
        }
        return Array(buffer[..<count])
    }

    /// Whether the server closes the connection; what it still sends is thrown away.
    func seesEnd() throws -> Bool {
        while try receive() != nil {}
        return true
    }

    private func line() throws -> String {
        while true {
            if let end = pending.firstIndex(of: 10) {
                let line = pending[..<end].filter { $0 != 13 }
                pending.removeFirst(end + 1)
                return String(decoding: line, as: UTF8.self)
            }
            try more()
        }
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while pending.count < count { try more() }
        defer { pending.removeFirst(count) }
        return Array(pending[..<count])
    }

    private func more() throws {
        guard let bytes = try receive() else {
            throw ClientError.closed(received: pending.count)
        }
        pending += bytes
    }

    /// Reads the line and the headers of an answer.
    func replyHead() throws -> Reply {
        let first = try line().split(separator: " ")
        guard first.count >= 2, first[0].hasPrefix("HTTP/1."), let status = Int(first[1]) else {
            throw ClientError.malformed(first.joined(separator: " "))
        }
        var reply = Reply(status: status)
        while true {
            let field = try line()
            if field.isEmpty { return reply }
            let parts = field.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { throw ClientError.malformed(field) }
            reply.headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
    }

    /// Reads a chunk of a chunked body; nil after the last.
    func chunk() throws -> [UInt8]? {
        let size = try line()
        guard let count = Int(size, radix: 16) else { throw ClientError.malformed(size) }
        let bytes = try take(count)
        _ = try line()
        return count == 0 ? nil : bytes
    }

    /// Reads a whole answer.
    func reply(toHead: Bool = false) throws -> Reply {
        var reply = try replyHead()
        if toHead || reply.status == 204 || reply.status == 304 || reply.status < 200 {
            return reply
        }
        if reply.headers["transfer-encoding"] == "chunked" {
            reply.isChunked = true
            while let chunk = try chunk() { reply.body += chunk }
        } else if let length = reply.headers["content-length"].flatMap({ Int($0) }) {
            reply.body = try take(length)
        } else {
            reply.body = pending
            while let bytes = try receive() { reply.body += bytes }
        }
        return reply
    }
}
