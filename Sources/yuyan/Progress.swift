#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The progress of a long command on stderr: how far, how fast, how long still.
///
/// On a terminal one line is rewritten; elsewhere a line is written every ten seconds, so that logs
/// stay short.
struct Progress {
    private let total: Int
    private let unit: String
    /// Begins every line.
    private let label: String
    private let rateName: String
    private let ratePerStep: Double
    /// Steps that were done before this process.
    private let first: Int
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var lastReport: ContinuousClock.Instant
    private var shown = 0
    private let isTerminal = isatty(2) == 1

    /// - Parameters:
    ///   - total: Steps of the whole work.
    ///   - unit: What a step is called, in the plural.
    ///   - rateName: Unit of the rate, as in `tok/s`.
    ///   - ratePerStep: How many of the rate's unit a step is.
    ///   - first: Steps that were done before, by another process.
    ///   - label: Begins every line, with the space behind it.
    init(
        total: Int, unit: String, rateName: String, ratePerStep: Double = 1, after first: Int = 0,
        label: String = ""
    ) {
        self.total = total
        self.label = label
        self.unit = unit
        self.rateName = rateName
        self.ratePerStep = ratePerStep
        self.first = first
        start = clock.now
        lastReport = start
    }

    /// Whether anything was reported yet.
    var isShown: Bool { lastReport != start }

    /// Reports that `done` steps are finished; `note` is what a reader wants to watch.
    ///
    /// - Parameter rate: The present rate, if it does not follow from the steps.
    mutating func update(_ done: Int, rate present: Double? = nil, note: String = "") {
        let now = clock.now
        let pause: Duration = isTerminal ? .milliseconds(200) : .seconds(10)
        guard now - lastReport >= pause || done == total else { return }
        lastReport = now
        let seconds = (now - start) / .seconds(1)
        let own = Double(done - first)
        let rate = present ?? (seconds > 0 ? own * ratePerStep / seconds : 0)
        let left = own > 0 ? seconds / own * Double(total - done) : 0
        var line = label + "\(done)/\(total) \(unit) · \(rate.formatted(digits: 1)) \(rateName)"
        line += done < total ? " · \(Self.clockText(left)) left" : " · \(Self.clockText(seconds))"
        if !note.isEmpty { line += " · \(note)" }
        if isTerminal {
            let width = line.count
            Terminal.status(
                "\r" + line + String(repeating: " ", count: max(0, shown - width))
                    + (done == total ? "\n" : ""))
            shown = width
        } else {
            Terminal.report(line)
        }
    }

    /// `12 s`, `3 min 05 s` or `2 h 10 min`.
    private static func clockText(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "?" }
        let whole = Int(seconds.rounded())
        func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(padded(whole % 60)) s" }
        return "\(whole / 3600) h \(padded(whole % 3600 / 60)) min"
    }
}
