import Synchronization

/// Measures one request and tells the observer when it ends, whichever way that is.
final class RequestTimer: Sendable {
    private struct State {
        var record: RequestRecord
        var isReported = false
    }

    private let state: Mutex<State>
    private let observer: (any ServiceObserver)?
    private let start: ContinuousClock.Instant

    init(_ record: RequestRecord, observer: (any ServiceObserver)?) {
        state = Mutex(State(record: record))
        self.observer = observer
        start = ContinuousClock.now
    }

    /// Reports a reader that went away, if nothing else was reported.
    deinit { report(status: 499, error: "the client went away") }

    var record: RequestRecord { state.withLock { $0.record } }

    func update(_ change: (inout RequestRecord) -> Void) {
        state.withLock { change(&$0.record) }
    }

    /// Notes a token; returns the present for the next call of the same sample.
    func token(after last: ContinuousClock.Instant?) -> ContinuousClock.Instant {
        let now = ContinuousClock.now
        state.withLock { state in
            state.record.generatedTokens += 1
            if state.record.timeToFirstToken == nil {
                state.record.timeToFirstToken = now - start
            }
            if let last, observer != nil {
                state.record.interTokenSeconds.append(Float((now - last) / .seconds(1)))
            }
        }
        return now
    }

    /// Tells the observer, once.
    func report(status: Int, error: String? = nil) {
        let now = ContinuousClock.now
        let record = state.withLock { state -> RequestRecord? in
            if state.isReported { return nil }
            state.isReported = true
            state.record.status = status
            state.record.error = error
            state.record.duration = now - start
            return state.record
        }
        if let record { observer?.finished(record) }
    }
}

/// A value on its way from the task that made it to the one task that takes it.
final class Handoff<Value: Sendable>: Sendable {
    private let value: Mutex<Value?>

    init(_ value: Value) { self.value = Mutex(value) }

    /// The value, the first time; then it is kept here no longer.
    func take() -> Value? {
        value.withLock { value in
            defer { value = nil }
            return value
        }
    }
}
