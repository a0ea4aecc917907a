import Synchronization

/// Runs asynchronous work on the calling thread, which waits for it.
///
/// Unlike `waiting` it needs no other thread to make progress, so it may be called from anywhere, a task's
/// thread included. The work's child tasks run here too, one at a time.
///
/// - Throws: What `body` throws.
package func runningHere(_ body: @escaping @Sendable () async throws -> Void) throws {
    let thread = CallingThread()
    let error = SharedError()
    Task(executorPreference: thread) {
        do { try await body() } catch let cause { error.note(cause) }
        thread.end()
    }
    thread.run()
    if let error = error.value { throw error }
}

/// Executes jobs on the thread that calls `run`.
private final class CallingThread: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isOver = false
    }

    private let state = Mutex(State())
    private let signal = Signal()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // The job may end the wait, and with it this object, before the signal is given.
        let held = Unmanaged.passRetained(self)
        state.withLock { $0.jobs.append(job) }
        signal.wake()
        held.release()
    }

    func end() {
        state.withLock { $0.isOver = true }
        signal.wake()
    }

    func run() {
        while true {
            let (jobs, isOver) = state.withLock { state in
                defer { state.jobs = [] }
                return (state.jobs, state.isOver)
            }
            for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
            if jobs.isEmpty {
                if isOver { return }
                signal.wait()
            }
        }
    }
}

private final class SharedError: Sendable {
    private let held = Mutex<(any Error)?>(nil)
    var value: (any Error)? { held.withLock { $0 } }
    func note(_ error: any Error) { held.withLock { $0 = error } }
}
