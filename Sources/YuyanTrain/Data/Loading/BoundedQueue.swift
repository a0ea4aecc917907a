#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A queue between one thread that makes things and one that takes them, of limited length.
///
/// Unchecked: every stored property is read and written under the mutex only.
final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let limit: Int
    private var elements: [Element] = []
    private var isFinished = false
    private var isAbandoned = false

    init(limit: Int) {
        self.limit = max(1, limit)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Waits for room and adds an element; false if nobody wants it any more.
    func push(_ element: Element) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while elements.count >= limit, !isAbandoned { pthread_cond_wait(changed, mutex) }
        guard !isAbandoned else { return false }
        elements.append(element)
        pthread_cond_broadcast(changed)
        return true
    }

    /// Says that nothing follows.
    func finish() {
        pthread_mutex_lock(mutex)
        isFinished = true
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    /// Waits for an element and takes it; nil after the last.
    func pop() -> Element? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while elements.isEmpty, !isFinished { pthread_cond_wait(changed, mutex) }
        guard !elements.isEmpty else { return nil }
        pthread_cond_broadcast(changed)
        return elements.removeFirst()
    }

    /// Says that nothing will be taken any more, which ends `push`.
    func abandon() {
        pthread_mutex_lock(mutex)
        isAbandoned = true
        elements.removeAll()
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }
}
