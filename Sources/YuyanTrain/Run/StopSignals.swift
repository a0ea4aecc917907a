import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Turns SIGINT and SIGTERM into a request that the loop sees between steps; a second one ends the
/// process at once, which loses the steps since the last checkpoint and nothing else.
public enum StopSignals {
    /// Begins to watch.
    public static func watch() {
        // Made before a signal can come: the handler must not be the first to touch it.
        requested.store(0, ordering: .sequentiallyConsistent)
        for number in [SIGINT, SIGTERM] {
            var action = sigaction()
            sigemptyset(&action.sa_mask)
            // Writes to files go on as if nothing had happened.
            action.sa_flags = Int32(SA_RESTART)
            #if canImport(Darwin)
                action.__sigaction_u.__sa_handler = handler
            #else
                action.__sigaction_handler.sa_handler = handler
            #endif
            sigaction(number, &action, nil)
        }
    }

    /// The signal that asked to stop, if one did.
    public static var signal: Int32? {
        let number = requested.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }

    private static let handler: @convention(c) (Int32) -> Void = { number in
        let (isFirst, _) = requested.compareExchange(
            expected: 0, desired: number, ordering: .relaxed)
        if !isFirst { _exit(128 + number) }
    }
}

private let requested = Atomic<Int32>(0)
