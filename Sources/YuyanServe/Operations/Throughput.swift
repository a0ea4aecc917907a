import Synchronization
import YuyanEngine

/// Tokens a second over the last few seconds, from counters looked at now and then.
final class Throughput: Sendable {
    /// Tokens a second.
    struct Rates: Sendable, Hashable {
        var promptTokens = 0.0
        var generatedTokens = 0.0
    }

    private struct Look {
        let time: ContinuousClock.Instant
        let promptTokens: Int
        let generatedTokens: Int
    }
    private let looks = Mutex<[Look]>([])
    private static let window = Duration.seconds(5)
    private static let spacing = Duration.milliseconds(200)

    /// Remembers the counters; looks that follow each other too closely count once.
    func note(_ statistics: EngineStatistics, at time: ContinuousClock.Instant) {
        looks.withLock { looks in
            if let last = looks.last, time - last.time < Self.spacing { return }
            // The newest look that is older than the window stays, so that the window is full.
            while looks.count > 1, time - looks[1].time >= Self.window { looks.removeFirst() }
            looks.append(
                Look(
                    time: time, promptTokens: statistics.promptTokens,
                    generatedTokens: statistics.generatedTokens))
        }
    }

    /// Mean rates from the oldest look to the newest.
    func rates(at time: ContinuousClock.Instant) -> Rates {
        looks.withLock { looks in
            guard let first = looks.first, let last = looks.last, last.time > first.time else {
                return Rates()
            }
            let seconds = (last.time - first.time) / .seconds(1)
            return Rates(
                promptTokens: Double(last.promptTokens - first.promptTokens) / seconds,
                generatedTokens: Double(last.generatedTokens - first.generatedTokens) / seconds)
        }
    }
}
