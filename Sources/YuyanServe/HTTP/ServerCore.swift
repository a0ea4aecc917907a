import HummingbirdCore
import Logging
import NIOCore
import Synchronization

/// What all connections of a server share: settings, the model, and who is there.
final class ServerCore: Sendable {
    enum Phase: Sendable {
        case loading
        case ready
        case draining
    }

    private struct State {
        var phase = Phase.loading
        var model: ServedModel?
        var routes: RouteTable
        var connections: [ObjectIdentifier: Connection] = [:]
        var active = 0
        var heldBodyBytes = 0
    }

    let configuration: ServerConfiguration
    let logger: Logger
    let metrics: ServerMetrics
    let keys: APIKeys
    let crossOrigin: CrossOrigin
    let throughput = Throughput()
    private let state: Mutex<State>

    let started = ContinuousClock.now

    init(configuration: ServerConfiguration, logger: Logger, metrics: ServerMetrics) {
        self.configuration = configuration
        self.logger = logger
        self.metrics = metrics
        keys = APIKeys(configuration.apiKeys)
        crossOrigin = CrossOrigin(configuration.corsOrigins)
        // The service's own list until there is a model, so that clients wait instead of giving up.
        state = Mutex(
            State(routes: RouteTable(routes: Service.routes, assets: WebAssets.names)))
    }

    var phase: Phase { state.withLock { $0.phase } }
    var model: ServedModel? { state.withLock { $0.model } }
    var routes: RouteTable { state.withLock { $0.routes } }
    var connectionCount: Int { state.withLock { $0.connections.count } }
    /// Requests for the model that have not ended.
    var activeCount: Int { state.withLock { $0.active } }

    /// The model is loaded: requests are answered from now on.
    func becomeReady(_ model: ServedModel) {
        let routes = RouteTable(routes: model.handler.routes, assets: WebAssets.names)
        state.withLock { state in
            state.model = model
            state.routes = routes
            if state.phase == .loading { state.phase = .ready }
        }
    }

    /// No new requests from now on.
    func beginDraining() { state.withLock { $0.phase = .draining } }

    /// Counts a request in, unless the server does not take any.
    func admit() -> Result<ServedModel, TransportError> {
        state.withLock { state in
            switch (state.phase, state.model) {
            case (.ready, let model?):
                state.active += 1
                return .success(model)
            case (.draining, _): return .failure(.draining)
            default: return .failure(.loading)
            }
        }
    }

    /// Counts an admitted request out.
    func release() { state.withLock { $0.active -= 1 } }

    /// Reserves memory for a part of a body; false if too much is held already.
    func holdBody(_ count: Int) -> Bool {
        state.withLock { state in
            guard state.heldBodyBytes + count <= configuration.maxHeldBodyBytes else {
                return false
            }
            state.heldBodyBytes += count
            return true
        }
    }

    /// Gives back what `holdBody` reserved.
    func releaseBody(_ count: Int) { state.withLock { $0.heldBodyBytes -= count } }

    func opened(_ connection: Connection) {
        state.withLock { $0.connections[ObjectIdentifier(connection)] = connection }
    }

    func closed(_ connection: Connection) {
        state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
    }

    /// Breaks all connections; what runs for them is cancelled.
    func closeAll() {
        let connections = state.withLock { Array($0.connections.values) }
        for connection in connections {
            connection.close()
            connection.channel.close(promise: nil)
        }
    }
}
