#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Turns SIGTERM and SIGINT into a call; the second one ends the process at once.
///
/// The signals are blocked and one thread waits for them, so that they work while every other
/// thread computes. Threads inherit the block: call `watch` before any is made.
public enum ShutdownSignals {
    /// Calls `first` on the first signal; a second one exits with 128 and the signal's number.
    public static func watch(_ first: @escaping @Sendable () -> Void) {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        DetachedThread.start {
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGTERM)
            sigaddset(&signals, SIGINT)
            var number: Int32 = 0
            while sigwait(&signals, &number) != 0 {}
            first()
            while sigwait(&signals, &number) != 0 {}
            _exit(128 + number)
        }
    }
}

/// A thread of its own, for work that blocks and must not hold up the tasks.
enum DetachedThread {
    private final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on a new thread.
    static func start(_ body: @escaping @Sendable () -> Void) {
        let work = Unmanaged.passRetained(Work(body))
        #if canImport(Darwin)
            var thread: pthread_t?
            let result = pthread_create(
                &thread, nil,
                { context in
                    Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
                    return nil
                }, work.toOpaque())
            if result == 0, let thread { pthread_detach(thread) }
        #else
            var thread = pthread_t()
            let result = pthread_create(
                &thread, nil,
                { context in
                    if let context {
                        Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
                    }
                    return nil
                }, work.toOpaque())
            if result == 0 { pthread_detach(thread) }
        #endif
        precondition(result == 0, "no thread could be made: \(String(cString: strerror(result)))")
    }
}
