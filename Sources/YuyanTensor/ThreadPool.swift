import CYuyanKernels
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Persistent worker threads that share out the indices of a loop.
///
/// A small model crosses this hundreds of times per token, so a waiting worker spins for a while
/// before it parks, and the caller works too. Which worker takes which index is not fixed; results
/// do not depend on it, because every output element is computed whole by one worker.
public final class ThreadPool: Sendable {
    /// Workers, the calling thread included; fewer than asked for if the system refused some.
    public let threadCount: Int
    private let state: PoolState

    /// Starts `threadCount - 1` threads; they live until the pool is released.
    ///
    /// - Parameter threadCount: At least 1; 1 runs everything on the caller.
    public init(threadCount: Int) {
        precondition(threadCount >= 1, "a pool needs at least 1 thread, not \(threadCount)")
        let state = PoolState()
        // A system that refuses a thread (a limit on processes or memory) leaves a smaller pool.
        var started = 1
        while started < threadCount, state.start(worker: started) { started += 1 }
        self.threadCount = started
        self.state = state
    }

    deinit { state.stop() }

    /// Calls `body(index, worker)` for every index in `0..<count`, once each, in no fixed order.
    ///
    /// Returns when all calls have returned. One loop at a time: calls from two threads, or from
    /// inside `body`, trap.
    public func parallel(_ count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
        if threadCount == 1 || count <= 1 {
            for index in 0..<count { body(index, 0) }
            return
        }
        withoutActuallyEscaping(body) {
            state.run(count: count, helpers: threadCount - 1, body: $0)
        }
    }
}

/// What the pool's threads share.
///
/// Unchecked: `body` and `count` are written by the caller of `run` before `generation` is
/// advanced with release ordering, read by workers after they see it with acquire ordering, and
/// not written again before every worker has reported back through `busy`.
private final class PoolState: @unchecked Sendable {
    private static let spins = 4_000
    private let generation = Atomic<Int>(0)
    private let next = Atomic<Int>(0)
    private let busy = Atomic<Int>(0)
    private let parked = Atomic<Int>(0)
    private let running = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)
    private var body: ((Int, Int) -> Void)?
    private var count = 0
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
    }

    deinit {
        pthread_cond_destroy(wake)
        pthread_mutex_destroy(mutex)
        wake.deallocate()
        mutex.deallocate()
    }

    /// Whether the system gave the thread.
    func start(worker: Int) -> Bool { startThread { self.serve(worker: worker) } }

    func stop() {
        stopping.store(true, ordering: .releasing)
        advance()
    }

    func run(count: Int, helpers: Int, body: @escaping (Int, Int) -> Void) {
        let alreadyRunning = running.exchange(true, ordering: .acquiring)
        precondition(!alreadyRunning, "a loop is already running on this pool")
        self.body = body
        self.count = count
        next.store(0, ordering: .relaxed)
        busy.store(helpers, ordering: .relaxed)
        advance()
        work(worker: 0)
        var spins = 0
        while busy.load(ordering: .acquiring) != 0 {
            yk_spin_hint()
            spins += 1
            if spins > 2_000 { sched_yield() }
        }
        self.body = nil
        running.store(false, ordering: .releasing)
    }

    private func advance() {
        generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if parked.load(ordering: .sequentiallyConsistent) > 0 {
            pthread_mutex_lock(mutex)
            pthread_cond_broadcast(wake)
            pthread_mutex_unlock(mutex)
        }
    }

    private func work(worker: Int) {
        guard let body else { return }
        let count = count
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            if index >= count { return }
            body(index, worker)
        }
    }

    func serve(worker: Int) {
        var seen = 0
        while true {
            seen = waitForWork(after: seen)
            if stopping.load(ordering: .acquiring) { return }
            work(worker: worker)
            busy.wrappingSubtract(1, ordering: .releasing)
        }
    }

    private func waitForWork(after seen: Int) -> Int {
        for _ in 0..<Self.spins {
            let now = generation.load(ordering: .acquiring)
            if now != seen { return now }
            yk_spin_hint()
        }
        pthread_mutex_lock(mutex)
        parked.wrappingAdd(1, ordering: .sequentiallyConsistent)
        while generation.load(ordering: .sequentiallyConsistent) == seen {
            pthread_cond_wait(wake, mutex)
        }
        parked.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        pthread_mutex_unlock(mutex)
        return generation.load(ordering: .acquiring)
    }
}
