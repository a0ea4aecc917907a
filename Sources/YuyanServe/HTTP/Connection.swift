import NIOCore
import Synchronization

/// One client's connection, as the tasks that answer it see it.
final class Connection: Sendable {
    private struct State {
        var isClosed = false
        var onClose: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())
    let channel: any Channel
    /// The client's address, without the port.
    let address: String

    init(_ channel: any Channel) {
        self.channel = channel
        address = channel.remoteAddress?.ipAddress ?? "local"
    }

    /// Whether the client has gone, or has at least closed its side.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Has `action` called when the client goes, at once if it has gone; nil takes it back.
    func onClose(_ action: (@Sendable () -> Void)?) {
        let isClosed = state.withLock { state in
            state.onClose = action
            return state.isClosed
        }
        if isClosed { action?() }
    }

    /// The client has gone.
    func close() {
        let action = state.withLock { state in
            state.isClosed = true
            return state.onClose
        }
        action?()
    }
}
