import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// One request and its answer.
struct Exchange: Sendable {
    typealias Inbound = NIOAsyncChannelInboundStream<HTTPServerRequestPart>.AsyncIterator
    typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    let core: ServerCore
    let connection: Connection
    let head: HTTPRequestHead
    let headers: [(name: String, value: String)]
    let requestID: String
    let started = ContinuousClock.now

    /// Unread bytes of a body that are skipped for the sake of the next request.
    private static let skippedBytes = 64 << 10
    /// A part of an answer that the client has to take within the idle timeout.
    private static let sliceBytes = 64 << 10

    /// - Parameter head: Nil if what arrived could not be read as a request.
    init(core: ServerCore, connection: Connection, head: HTTPRequestHead?) {
        self.core = core
        self.connection = connection
        self.head = head ?? HTTPRequestHead(version: .http1_1, method: .GET, uri: "*")
        headers = self.head.headers.map { ($0.name.lowercased(), $0.value) }
        requestID = RequestID.make(from: self.head.headers.first(name: "x-request-id"))
    }

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// Reads the rest of the request and answers it.
    ///
    /// - Returns: Whether the connection can take another request.
    /// - Throws: If the connection breaks.
    func run(_ parts: inout Inbound, _ outbound: Outbound) async throws -> Bool {
        let decision = decide()
        do {
            switch decision {
            case .answer(let response, let template):
                return try await answer(response, template, &parts, outbound)
            case .service(let target, let template):
                switch core.admit() {
                case .failure(let error):
                    return try await answer(
                        error.response(for: head.uri), template, &parts, outbound)
                case .success(let model):
                    defer { core.release() }
                    return try await ask(model, target, template, &parts, outbound)
                }
            }
        } catch {
            finish(status: 499, template: decision.template)
            throw error
        }
    }

    /// Reads the body and has the service answer.
    private func ask(
        _ model: ServedModel, _ target: RequestTarget, _ template: String, _ parts: inout Inbound,
        _ outbound: Outbound
    ) async throws -> Bool {
        var body = HeldBody(core: core)
        defer { body.release() }
        do {
            guard try await read(&body, from: &parts, outbound) else { throw ClientGone() }
        } catch let error as TransportError {
            try await send(error.response(for: head.uri), outbound, keepsAlive: false)
            finish(status: error.status, template: template)
            return false
        } catch let error as HTTPParserError {
            try await refuse(.malformed("\(error)"), outbound)
            return false
        }
        let request = ServiceRequest(
            method: head.method.rawValue, path: target.path, query: target.query,
            headers: headers, body: body.take(), client: client, requestID: requestID)
        return try await serve(request, template, model.handler, outbound)
    }

    /// Answers what is no request; the connection ends with it.
    func refuse(_ error: TransportError, _ outbound: Outbound) async throws {
        try await send(error.response(for: head.uri), outbound, keepsAlive: false)
        finish(status: error.status, template: "malformed")
    }

    // MARK: Request

    /// Whom the engine's fair queue counts the request for.
    private var client: String {
        guard !core.keys.isOpen, let key = APIKeys.candidate(in: headers),
            let number = core.keys.index(of: key)
        else { return core.configuration.client(at: connection.address, headers) }
        return "key-\(number)"
    }

    /// Collects the body; false if the client went away midway.
    private func read(
        _ body: inout HeldBody, from parts: inout Inbound, _ outbound: Outbound
    ) async throws -> Bool {
        let limit = core.configuration.maxBodyBytes
        if let length = header("content-length").flatMap({ Int($0) }), length > limit {
            throw TransportError.bodyTooLarge(limit: limit)
        }
        if let expectation = header("expect") {
            guard expectation.lowercased() == "100-continue" else {
                throw TransportError.expectation(expectation)
            }
            try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .continue)))
        }
        while let part = try await parts.next() {
            switch part {
            case .body(let buffer): try body.append(buffer, limit: limit)
            case .end: return true
            case .head: return false
            }
        }
        return false
    }

    // MARK: Answer

    /// How the task that asks the service ended.
    private enum Ending: Sendable {
        case response(ServiceResponse)
        case streamed(status: Int)
        case cancelled(headSent: Bool)
    }

    private func serve(
        _ request: ServiceRequest, _ template: String, _ handler: any RequestHandler,
        _ outbound: Outbound
    ) async throws -> Bool {
        core.metrics.expect(requestID)
        core.logText("prompt", request.body, requestID: requestID)
        let keepsAlive = head.isKeepAlive
        let task = Task { () async throws -> Ending in
            let response = await handler.respond(to: request)
            if Task.isCancelled { return .cancelled(headSent: false) }
            guard case .events(let events) = response.body, head.method != .HEAD else {
                return .response(response)
            }
            try await outbound.write(
                .head(responseHead(response, length: nil, keepsAlive: keepsAlive)))
            do {
                var body = PacedBody(outbound, eventLoop: connection.channel.eventLoop)
                for await piece in events where !Task.isCancelled {
                    core.logText("piece", piece, requestID: requestID)
                    try await body.write(piece)
                }
            } catch is CancellationError {
                // The time was up while the piece waited for room; the stream ends as below.
            }
            return Task.isCancelled
                ? .cancelled(headSent: true) : .streamed(status: response.status)
        }
        let timeout = TimeAmount(core.configuration.requestTimeout)
        let timer = connection.channel.eventLoop.scheduleTask(in: timeout) { task.cancel() }
        // A client that only reads may close its side at once; nothing is saved by cancelling it.
        if head.method == .POST { connection.onClose { task.cancel() } }
        let result = await task.result
        connection.onClose(nil)
        timer.cancel()

        let status = try await conclude(result, outbound, keepsAlive: keepsAlive)
        finish(status: status, template: template)
        return keepsAlive
    }

    /// Sends what is left to send; returns the status for the log.
    private func conclude(
        _ result: Result<Ending, any Error>, _ outbound: Outbound, keepsAlive: Bool
    ) async throws -> Int {
        switch result {
        case .success(.response(let response)):
            if case .bytes(let bytes) = response.body {
                core.logText("answer", bytes, requestID: requestID)
            }
            try await send(response, outbound, keepsAlive: keepsAlive)
            return response.status
        case .success(.streamed(let status)):
            try await outbound.write(.end(nil))
            return status
        case .success(.cancelled(let headSent)) where !connection.isClosed:
            let error = TransportError.requestTimeout(core.configuration.requestTimeout)
            guard headSent else {
                try await send(error.response(for: head.uri), outbound, keepsAlive: keepsAlive)
                return error.status
            }
            try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: errorEvent(error)))))
            try await outbound.write(.end(nil))
            return error.status
        case .success(.cancelled), .failure: throw ClientGone()
        }
    }

    /// The event that ends a stream which took too long, in the dialect of the endpoint.
    private func errorEvent(_ error: TransportError) -> [UInt8] {
        let text =
            TransportError.isAnthropic(head.uri)
            ? "event: error\ndata: \(error.anthropic)\n\n"
            : "data: \(error.body)\n\ndata: [DONE]\n\n"
        return Array(text.utf8)
    }

    /// Answers without the body, which is then skipped if it is short.
    private func answer(
        _ response: ServiceResponse, _ template: String, _ parts: inout Inbound,
        _ outbound: Outbound
    ) async throws -> Bool {
        let length = header("content-length").flatMap { Int($0) } ?? 0
        let keepsAlive =
            head.isKeepAlive && length <= Self.skippedBytes && header("expect") == nil
            && core.phase != .draining
        try await send(response, outbound, keepsAlive: keepsAlive)
        finish(status: response.status, template: template)
        return keepsAlive ? await skipBody(&parts) : false
    }

    /// Whether the next request follows, after a body of reasonable length that nobody wants.
    private func skipBody(_ parts: inout Inbound) async -> Bool {
        var skipped = 0
        do {
            while let part = try await parts.next() {
                switch part {
                case .body(let buffer):
                    skipped += buffer.readableBytes
                    if skipped > Self.skippedBytes { return false }
                case .end: return true
                case .head: return false
                }
            }
        } catch {
            // The answer is out already; a fault in what follows it ends the connection.
        }
        return false
    }

    private func send(
        _ response: ServiceResponse, _ outbound: Outbound, keepsAlive: Bool
    ) async throws {
        guard case .bytes(let bytes) = response.body else {
            // Only a HEAD request for events comes here.
            let head = responseHead(response, length: nil, keepsAlive: false)
            return try await outbound.write(contentsOf: [.head(head), .end(nil)])
        }
        let head = responseHead(response, length: bytes.count, keepsAlive: keepsAlive)
        if bytes.count <= Self.sliceBytes || self.head.method == .HEAD {
            var parts: [HTTPServerResponsePart] = [.head(head)]
            if self.head.method != .HEAD, !bytes.isEmpty {
                parts.append(.body(.byteBuffer(ByteBuffer(bytes: bytes))))
            }
            parts.append(.end(nil))
            return try await outbound.write(contentsOf: parts)
        }
        try await outbound.write(.head(head))
        var body = PacedBody(outbound, eventLoop: connection.channel.eventLoop)
        for start in stride(from: 0, to: bytes.count, by: Self.sliceBytes) {
            try await body.write(bytes[start..<min(start + Self.sliceBytes, bytes.count)])
        }
        try await outbound.write(.end(nil))
    }

    private func responseHead(
        _ response: ServiceResponse, length: Int?, keepsAlive: Bool
    ) -> HTTPResponseHead {
        var fields = HTTPHeaders(response.headers.map { ($0.name, $0.value) })
        if let length, response.status != 204, response.status != 304 {
            fields.replaceOrAdd(name: "content-length", value: "\(length)")
        }
        fields.replaceOrAdd(name: "x-request-id", value: requestID)
        fields.replaceOrAdd(name: "x-content-type-options", value: "nosniff")
        for (name, value) in core.crossOrigin.headers(for: header("origin")) {
            fields.replaceOrAdd(name: name, value: value)
        }
        if !keepsAlive { fields.replaceOrAdd(name: "connection", value: "close") }
        return HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: response.status),
            headers: fields)
    }

    /// Writes the request's line in the log and counts it.
    private func finish(status: Int, template: String) {
        core.logRequest(
            requestID: requestID, method: head.method.rawValue, template: template,
            status: status, duration: ContinuousClock.now - started, address: connection.address)
    }
}

/// The client closed the connection before its answer was complete.
struct ClientGone: Error {}

/// A body on its way in, counted against what all bodies may hold.
struct HeldBody {
    private let core: ServerCore
    private var bytes: [UInt8] = []
    private var held = 0

    init(core: ServerCore) { self.core = core }

    /// - Throws: `TransportError` if this body, or all together, become too large.
    mutating func append(_ buffer: ByteBuffer, limit: Int) throws(TransportError) {
        guard bytes.count + buffer.readableBytes <= limit else {
            throw .bodyTooLarge(limit: limit)
        }
        guard core.holdBody(buffer.readableBytes) else { throw .tooManyBodies }
        held += buffer.readableBytes
        bytes.append(contentsOf: buffer.readableBytesView)
    }

    /// The whole body; it stays counted until `release`.
    mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    mutating func release() {
        core.releaseBody(held)
        held = 0
    }
}
