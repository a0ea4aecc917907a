import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs asynchronous work to its end while the calling thread, which is no task's, waits.
///
/// - Throws: What `body` throws.
package func waiting(_ body: @escaping @Sendable () async throws -> Void) throws {
    let outcome = Outcome()
    // A pipe wakes the thread on every system, and needs no lock that a task would have to hold.
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else {
        throw EngineError.failed("no pipe: \(String(cString: strerror(errno)))")
    }
    let (reading, writing) = (ends[0], ends[1])
    defer { close(reading) }
    Task {
        do { try await body() } catch { outcome.error.withLock { $0 = error } }
        close(writing)
    }
    var byte: UInt8 = 0
    while read(reading, &byte, 1) < 0, errno == EINTR {}
    if let error = outcome.error.withLock({ $0 }) { throw error }
}

private final class Outcome: Sendable {
    let error = Mutex<(any Error)?>(nil)
}
