#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A figure of an evaluation with how sure it is.
public struct EvaluationMetric: Sendable, Hashable {
    /// As lm-eval calls it.
    public let name: String
    /// The figure.
    public let value: Double
    /// Its standard error.
    public let error: Double
    /// Where the true value is with a probability of 95 %.
    public let interval: ClosedRange<Double>

    /// The share of rows that were right.
    ///
    /// The error is that of a mean (as in lm-eval), the interval Wilson's, which stays between 0 and
    /// 1 and is right for few rows too: E. B. Wilson, "Probable inference, the law of succession, and
    /// statistical inference", Journal of the American Statistical Association 22 (1927).
    init(name: String, right: [Bool]) {
        self.name = name
        let count = Double(right.count)
        let share = Double(right.count { $0 }) / count
        value = share
        error = right.count > 1 ? (share * (1 - share) / (count - 1)).squareRoot() : 0
        let z = Self.quantile
        let center = (share + z * z / (2 * count)) / (1 + z * z / count)
        let width =
            z / (1 + z * z / count)
            * (share * (1 - share) / count + z * z / (4 * count * count)).squareRoot()
        interval = max(0, center - width)...min(1, center + width)
    }

    /// A function of `sum(totals) / sum(weights)`, such as a perplexity.
    ///
    /// The error of the quotient is that of a ratio estimator over rows, carried through `function`
    /// by its derivative; the interval is the function's over the quotient's.
    init(
        name: String, totals: [Double], weights: [Double],
        function: (Double) -> (value: Double, derivative: Double)
    ) {
        self.name = name
        let weight = weights.reduce(0, +)
        let ratio = totals.reduce(0, +) / weight
        let count = Double(totals.count)
        let squares = zip(totals, weights).reduce(0.0) { sum, row in
            let residual = row.0 - ratio * row.1
            return sum + residual * residual
        }
        let error = count > 1 ? (squares * count / (count - 1)).squareRoot() / weight : 0
        let (value, derivative) = function(ratio)
        self.value = value
        self.error = abs(derivative) * error
        let ends = [ratio - Self.quantile * error, ratio + Self.quantile * error]
            .map { function($0).value }.sorted()
        interval = ends[0]...ends[1]
    }

    /// 97.5 % of the normal distribution.
    private static let quantile = 1.959_963_984_540_054
}
