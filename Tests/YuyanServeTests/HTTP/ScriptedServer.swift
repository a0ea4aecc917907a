import Logging
import Synchronization
import Testing
import YuyanEngine

@testable import YuyanServe

/// An engine that only has statistics.
final class StatisticsEngine: InferenceEngine {
    let figures = Mutex(EngineStatistics())
    let isDrained = Atomic(false)
    let contextLimit = 4096
    let vocabularySize = 100

    func submit(_ request: GenerationRequest) throws(EngineError) -> GenerationEvents {
        throw .failed("not scripted")
    }
    func embed(_ request: EmbeddingRequest) async throws -> [[Float]] { [] }
    func statistics() -> EngineStatistics { figures.withLock { $0 } }
    func drain() async { isDrained.store(true, ordering: .relaxed) }
}

/// Answers by path as a test needs it, and counts what became of its requests.
final class ScriptedHandler: RequestHandler {
    let running = Atomic(0)
    let cancelled = Atomic(0)
    let produced = Atomic(0)
    let requests = Mutex<[ServiceRequest]>([])
    let observer = Mutex<(any ServiceObserver)?>(nil)

    let routes = [
        ServiceRoute("POST", "/echo"), ServiceRoute("POST", "/wait"),
        ServiceRoute("POST", "/v1/chat/completions"), ServiceRoute("POST", "/flood"),
        ServiceRoute("POST", "/silence"), ServiceRoute("POST", "/large"),
        ServiceRoute("GET", "/v1/models/{id}"), ServiceRoute("POST", "/v1/messages"),
    ]
    var openAPI: [UInt8]? { Array("{}".utf8) }

    func respond(to request: ServiceRequest) async -> ServiceResponse {
        requests.withLock { $0.append(request) }
        running.add(1, ordering: .relaxed)
        defer { running.subtract(1, ordering: .relaxed) }
        switch request.path {
        case "/wait":
            do { try await Task.sleep(for: .seconds(60)) } catch {
                cancelled.add(1, ordering: .relaxed)
            }
            return bytes([])
        case "/v1/chat/completions": return events(count: 3, pause: .milliseconds(1), size: 10)
        case "/flood": return events(count: 1 << 20, pause: nil, size: 16 << 10)
        case "/silence": return events(count: 2, pause: .milliseconds(450), size: 1)
        case "/large": return bytes(Array(repeating: 120, count: 3 << 20))
        default:
            finished(request)
            return bytes(request.body)
        }
    }

    private func finished(_ request: ServiceRequest) {
        var record = RequestRecord(
            requestID: request.requestID, client: request.client, endpoint: request.path)
        record.promptTokens = 7
        record.generatedTokens = 3
        record.sampleCount = 1
        record.maxTokens = 16
        record.queueTime = .milliseconds(1)
        record.timeToFirstToken = .milliseconds(30)
        record.interTokenSeconds = [0.02, 0.03]
        record.duration = .milliseconds(80)
        record.finishReasons = ["stop"]
        observer.withLock { $0 }?.finished(record)
    }

    private func bytes(_ body: [UInt8]) -> ServiceResponse {
        ServiceResponse(
            status: 200, headers: [(name: "content-type", value: "application/json")],
            body: .bytes(body))
    }

    private func events(count: Int, pause: Duration?, size: Int) -> ServiceResponse {
        let piece = Array("data: \(String(repeating: "x", count: size))\n\n".utf8)
        let body = ServiceEvents { [self] in
            var left = count
            return {
                guard left > 0, !Task.isCancelled else {
                    if Task.isCancelled { self.cancelled.add(1, ordering: .relaxed) }
                    return nil
                }
                left -= 1
                if let pause { try? await Task.sleep(for: pause) }
                self.produced.add(1, ordering: .relaxed)
                return piece
            }
        }
        return ServiceResponse(
            status: 200, headers: [(name: "content-type", value: "text/event-stream")],
            body: .events(body))
    }
}

/// Lines of a log, kept.
final class KeptLog: Sendable {
    let lines = Mutex<[String]>([])
    func logger(_ format: LogFormat = .json, _ level: ServerLog.Level = .debug) -> Logger {
        ServerLog.logger(format: format, level: level) { line in
            self.lines.withLock { $0.append(line) }
        }
    }
    var text: String { lines.withLock { $0.joined() } }
}

/// A server on a free port, up for the time of one test.
struct ScriptedServer: Sendable {
    let server: Server
    let port: Int
    let handler: ScriptedHandler
    let engine: StatisticsEngine
    let log: KeptLog

    /// Waits until `condition` holds; five seconds are plenty for what takes milliseconds.
    func wait(
        _ what: Comment, location: SourceLocation = #_sourceLocation,
        until condition: () -> Bool
    ) async {
        for _ in 0..<500 {
            if condition() { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
        Issue.record(what, sourceLocation: location)
    }

    /// Runs `body` while the server runs; the server is shut down afterwards and must end well.
    static func run(
        _ change: (inout ServerConfiguration) -> Void = { _ in },
        load: (@Sendable () throws -> Void)? = nil, awaitsReady: Bool = true,
        _ body: @Sendable (ScriptedServer) async throws -> Void
    ) async throws {
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.drainTimeout = .seconds(1)
        change(&configuration)
        let log = KeptLog()
        let server = Server(configuration: configuration, logger: log.logger())
        let handler = ScriptedHandler()
        let engine = StatisticsEngine()
        let (ports, source) = AsyncStream<Int>.makeStream()
        let (readiness, readySource) = AsyncStream<Void>.makeStream()
        let running = Task {
            defer {
                source.finish()
                readySource.finish()
            }
            try await server.run(
                load: { observer in
                    try load?()
                    handler.observer.withLock { $0 = observer }
                    return ServedModel(handler: handler, engine: engine, modelID: "scripted")
                }, listening: { source.yield($0) }, ready: { _ in readySource.yield(()) })
        }
        guard let port = await ports.first(where: { _ in true }) else {
            return try await running.value
        }
        if awaitsReady { _ = await readiness.first(where: { _ in true }) }
        let scripted = ScriptedServer(
            server: server, port: port, handler: handler, engine: engine, log: log)
        do { try await body(scripted) } catch {
            server.shutDown()
            _ = await running.result
            throw error
        }
        server.shutDown()
        try await running.value
    }

    /// One request on a connection of its own.
    func ask(
        _ method: String, _ path: String, headers: [String: String] = [:], body: String? = nil
    ) async throws -> Reply {
        let port = port
        return try await blocking {
            let client = try TestClient(port: port)
            try client.request(method, path, headers: headers, body: body)
            return try client.reply(toHead: method == "HEAD")
        }
    }
}
