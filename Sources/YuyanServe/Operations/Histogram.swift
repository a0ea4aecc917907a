/// Counts of values by size, as Prometheus wants them.
struct Histogram: Sendable, Hashable {
    /// Upper bounds, growing; what exceeds the last one is counted beside them.
    let bounds: [Double]
    /// Values at most as large as the bound and larger than the one before; one more for the rest.
    private(set) var counts: [Int]
    private(set) var sum = 0.0

    init(_ bounds: [Double]) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy(<), "bounds grow: \(bounds)")
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// How many values there were.
    var count: Int { counts.reduce(0, +) }

    /// Counts a value.
    mutating func observe(_ value: Double) {
        // Buckets are few, and most values fall into the first ones.
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        counts[bucket] += 1
        sum += value
    }

    /// 1, 2, 5, 10 … up to `limit`: vLLM's bounds for numbers of tokens.
    static func tokenBounds(upTo limit: Int) -> [Double] {
        var result: [Double] = []
        var power = 1
        while true {
            for step in [1, 2, 5] {
                let (value, overflow) = power.multipliedReportingOverflow(by: step)
                guard !overflow, value <= limit else { return result }
                result.append(Double(value))
            }
            power *= 10
        }
    }
}
