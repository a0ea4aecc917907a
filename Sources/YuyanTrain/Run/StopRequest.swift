/// Somebody asked a run to stop while answers were written or scored: what was begun is thrown away.
public struct Interruption: Error, Hashable, Sendable, CustomStringConvertible {
    /// The signal that asked.
    public let signal: Int32

    /// The signal.
    public var description: String { "stopped by signal \(signal)" }
}

/// Whether somebody asked a run to stop, for work that takes longer than the run's own looks are apart.
///
/// A request is never taken back, so work may end early in any way once it is made: whoever asked for
/// the work looks again, and throws away what came of it.
package struct StopRequest: Sendable {
    /// The signal that asked, if one did.
    let signal: @Sendable () -> Int32?

    package init(_ signal: @escaping @Sendable () -> Int32? = { nil }) { self.signal = signal }

    var isMade: Bool { signal() != nil }

    /// - Throws: If somebody asked.
    func check() throws(Interruption) {
        if let signal = signal() { throw Interruption(signal: signal) }
    }

    /// Far less than a step of an engine takes, and than people notice.
    private static let interval = Duration.milliseconds(20)

    /// Waits for the request.
    ///
    /// - Returns: False if the task was cancelled before it came.
    func comes() async -> Bool {
        while !Task.isCancelled {
            if isMade { return true }
            try? await Task.sleep(for: Self.interval)
        }
        return false
    }

    /// Does work that is cancelled when the request comes.
    ///
    /// - Throws: `Interruption`, or what the work throws.
    func bounding(_ work: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await work()
                return false
            }
            group.addTask { await comes() }
            let isInterrupted = try await group.next() ?? false
            group.cancelAll()
            if isInterrupted { try check() }
        }
    }
}
