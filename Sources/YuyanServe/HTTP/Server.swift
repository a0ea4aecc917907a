import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import YuyanEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Serves one model over HTTP/1.1, with or without TLS.
///
/// The socket opens before the model is loaded: until then every request of the API is answered
/// with 503, as it is again while the server drains.
public final class Server: Sendable {
    /// What the main loop waits for.
    private enum Event: Sendable {
        case loaded(Result<ServedModel, any Error>)
        case shutdown
        case stopped((any Error)?)
    }

    private let core: ServerCore
    private let events: AsyncStream<Event>
    private let source: AsyncStream<Event>.Continuation

    /// A server that does nothing yet.
    public convenience init(
        configuration: ServerConfiguration, logFormat: LogFormat = .text,
        logLevel: ServerLog.Level = .info
    ) {
        self.init(
            configuration: configuration,
            logger: ServerLog.logger(format: logFormat, level: logLevel))
    }

    init(configuration: ServerConfiguration, logger: Logger) {
        core = ServerCore(
            configuration: configuration, logger: logger, metrics: ServerMetrics())
        (events, source) = AsyncStream<Event>.makeStream()
    }

    /// Writes a line of the server's owner to the log.
    public func log(_ text: String, isWarning: Bool = false) {
        core.logger.log(level: isWarning ? .warning : .info, "\(text)")
    }

    /// Ends `run` once the requests that run have ended, or `drainTimeout` is over.
    ///
    /// May be called from any thread, and more than once.
    public func shutDown() { source.yield(.shutdown) }

    /// Listens, loads the model, and serves until `shutDown` is called.
    ///
    /// - Parameters:
    ///   - load: Loads the model on a thread of its own; its service reports to the observer.
    ///   - listening: Called with the port once the socket is open.
    ///   - ready: Called once requests are answered.
    /// - Throws: `ServerError`, or what `load` throws.
    public func run(
        load: @escaping @Sendable (any ServiceObserver) throws -> ServedModel,
        listening: @escaping @Sendable (Int) -> Void = { _ in },
        ready: @escaping @Sendable (ServedModel) -> Void = { _ in }
    ) async throws {
        let configuration = core.configuration
        let tls = try TLSFiles.configuration(configuration)
        let channel = ConnectionChannel(core: core)
        if let tls {
            try await run(TLSChannel(channel, tlsConfiguration: tls), load, listening, ready)
        } else {
            try await run(channel, load, listening, ready)
        }
    }

    private func run<Channel: ServerChildChannel>(
        _ channel: Channel, _ load: @escaping @Sendable (any ServiceObserver) throws -> ServedModel,
        _ listening: @escaping @Sendable (Int) -> Void,
        _ ready: @escaping @Sendable (ServedModel) -> Void
    ) async throws {
        let configuration = core.configuration
        // What Hummingbird itself says would double our own lines.
        var quiet = core.logger
        quiet.logLevel = max(.warning, core.logger.logLevel)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        let server = HummingbirdCore.Server(
            childChannelSetup: channel,
            configuration: .init(
                address: .hostname(configuration.host, port: configuration.port), backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    OpenFiles.allow(configuration.maxConnections), logger: quiet)),
            onServerRunning: { [core, source] socket in
                listening(socket.localAddress?.port ?? configuration.port)
                DetachedThread.start {
                    source.yield(.loaded(Result { try load(core.metrics) }))
                }
            }, eventLoopGroup: group, logger: quiet)
        let serving = Task { [source] in
            do {
                try await server.run()
                source.yield(.stopped(nil))
            } catch {
                source.yield(.stopped(error))
            }
        }
        let watching = Task { [core] in await Self.watch(core) }
        defer { watching.cancel() }
        let failure = await follow(server, ready)
        await serving.value
        try? await group.shutdownGracefully()
        if let failure { throw failure }
    }

    /// Goes from loading to serving to draining to the end; returns what went wrong.
    private func follow<Channel: ServerChildChannel>(
        _ server: HummingbirdCore.Server<Channel>,
        _ ready: @escaping @Sendable (ServedModel) -> Void
    ) async -> (any Error)? {
        var failure: (any Error)?
        var stopping: Task<Void, Never>?
        for await event in events {
            switch event {
            case .loaded(.success(let model)):
                core.becomeReady(model)
                if stopping == nil { ready(model) }
            case .loaded(.failure(let error)):
                failure = error
                if stopping == nil { stopping = Task { await stop(server, patience: .zero) } }
            case .shutdown:
                guard stopping == nil else { continue }
                let patience = core.configuration.drainTimeout
                stopping = Task { await stop(server, patience: patience) }
            case .stopped(let error):
                if let error {
                    failure = ServerError.cannotListen(
                        host: core.configuration.host, port: core.configuration.port,
                        cause: Self.cause(of: error))
                }
                await stopping?.value
                return failure
            }
        }
        return failure
    }

    /// Lets running requests end, then closes the socket and whatever is still open.
    private func stop<Channel: ServerChildChannel>(
        _ server: HummingbirdCore.Server<Channel>, patience: Duration
    ) async {
        core.beginDraining()
        core.logger.info("draining", metadata: ["active": .stringConvertible(core.activeCount)])
        let deadline = ContinuousClock.now + patience
        while core.activeCount > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        if core.activeCount > 0 {
            core.logger.warning(
                "cancelling", metadata: ["active": .stringConvertible(core.activeCount)])
            core.closeAll()
        }
        let closing = Task { [core] in
            // Answers on their way get a moment; then connections are closed whoever holds them.
            try? await Task.sleep(for: .milliseconds(500))
            while !Task.isCancelled, core.connectionCount > 0 {
                core.closeAll()
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        do { try await server.shutdownGracefully() } catch {
            core.logger.error("shutdown: \(error)")
        }
        await closing.value
        if let engine = core.model?.engine { await engine.drain() }
    }

    /// Looks at the engine once a second, for rates and histograms of steps.
    private static func watch(_ core: ServerCore) async {
        while !Task.isCancelled {
            if let statistics = core.model?.engine.statistics() {
                core.metrics.note(statistics)
                core.throughput.note(statistics, at: .now)
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private static func cause(of error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
        return "\(error)"
    }
}

/// The system's limit of open files, which connections count against.
enum OpenFiles {
    /// Raises the limit to hold `connections` and some more; returns how many it holds.
    static func allow(_ connections: Int) -> Int {
        let others = 128
        var limit = rlimit()
        #if canImport(Glibc)
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
            let resource = RLIMIT_NOFILE
        #endif
        guard getrlimit(resource, &limit) == 0 else { return connections }
        let wanted = rlim_t(connections + others)
        if limit.rlim_cur < wanted {
            limit.rlim_cur = min(wanted, limit.rlim_max)
            setrlimit(resource, &limit)
        }
        return min(connections, max(16, Int(clamping: limit.rlim_cur) - others))
    }
}
