import YuyanFormats

/// Time spent in steps, without evaluations and saves, and the rates that follow from it.
struct StepClock {
    private let clock = ContinuousClock()
    private var mark = ContinuousClock.now
    private var isPaused = false
    private var seconds = 0.0
    private var tokens = 0
    /// Since the last logged line.
    private var loggedSeconds = 0.0
    private var loggedTokens = 0
    private var loggedSteps = 0
    /// Smoothed over some steps, for a progress line.
    private(set) var recentRate = 0.0

    mutating func restart() { mark = clock.now }

    mutating func pause() {
        settle()
        isPaused = true
    }

    mutating func resume() {
        mark = clock.now
        isPaused = false
    }

    /// A step is done.
    mutating func add(tokens count: Int) {
        let before = seconds
        settle()
        tokens += count
        loggedTokens += count
        loggedSteps += 1
        let rate = Double(count) / max(seconds - before, 1e-9)
        recentRate = recentRate == 0 ? rate : 0.8 * recentRate + 0.2 * rate
    }

    /// For a line of the log; begins the next one's sums.
    ///
    /// - Parameter episodes: Answers that were learnt from since the clock began, of methods that log
    ///   TRL's `eps`, their number a second.
    mutating func measurements(episodes: Int? = nil) -> [(key: String, value: JSONOutput)] {
        settle()
        let rate = Double(loggedTokens) / max(loggedSeconds, 1e-9)
        var result: [(key: String, value: JSONOutput)] = [
            ("tokens_per_second", .double((rate * 10).rounded() / 10)),
            ("step_time", .double(loggedSeconds / Double(max(1, loggedSteps)))),
        ]
        if let episodes { result.append(("eps", .double(Double(episodes) / max(seconds, 1e-9)))) }
        if let resident = ProcessMemory.resident {
            result.append(("memory_rss", .integer(resident)))
        }
        if let peak = ProcessMemory.peak { result.append(("memory_peak_rss", .integer(peak))) }
        (loggedSeconds, loggedTokens, loggedSteps) = (0, 0, 0)
        return result
    }

    private mutating func settle() {
        guard !isPaused else { return }
        let now = clock.now
        let passed = (now - mark) / .seconds(1)
        mark = now
        seconds += passed
        loggedSeconds += passed
    }
}
