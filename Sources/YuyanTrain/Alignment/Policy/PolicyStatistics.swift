#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the passes of a step found, added up in the order of completions and tokens.
///
/// A ratio counts as clipped where the clip takes its gradient away: below the range at a negative
/// advantage, above it at a positive one. Shares are of tokens, or of completions where a completion
/// has one ratio.
package struct PolicyStatistics: Sendable, Hashable {
    /// The step's loss so far, with its normaliser.
    package private(set) var loss = 0.0
    /// Tokens, or completions, that a ratio was taken of.
    package private(set) var ratioCount = 0
    /// The smallest and the largest ratio: both are exactly 1 on policy.
    package private(set) var smallestRatio = Double.infinity
    package private(set) var largestRatio = -Double.infinity
    /// `clip_ratio/low_min` and `clip_ratio/high_max`: the extreme shares of a completion.
    package private(set) var smallestLowShare = 1.0
    package private(set) var largestHighShare = 0.0
    private var lowCount = 0
    private var highCount = 0
    private var divergenceSum = 0.0
    private var tokenCount = 0
    /// Sums of the ratios less 1, of their squares, and of the squares of the ratios' logarithms.
    private var excessSum = 0.0
    private var squareSum = 0.0
    private var logSquareSum = 0.0

    package init() {}

    /// `val/ratio`: the mean ratio.
    package var meanRatio: Double {
        ratioCount == 0 ? 1 : 1 + excessSum / Double(ratioCount)
    }
    /// `val/ratio_var`: the variance of the ratios, with Bessel's correction; 0 of fewer than two.
    package var ratioVariance: Double {
        guard ratioCount > 1 else { return 0 }
        let count = Double(ratioCount)
        return max(0, squareSum - excessSum * excessSum / count) / (count - 1)
    }
    /// `policy/approxkl_avg`: mean of half the squared logarithm of a ratio, an estimate of the
    /// divergence from the weights that wrote the answers.
    package var policyChange: Double {
        ratioCount == 0 ? 0 : logSquareSum / 2 / Double(ratioCount)
    }

    /// `clip_ratio/low_mean`.
    package var lowShare: Double { share(lowCount) }
    /// `clip_ratio/high_mean`; with CISPO `cispo_clip_ratio`.
    package var highShare: Double { share(highCount) }
    /// `clip_ratio/region_mean`.
    package var clippedShare: Double { share(lowCount + highCount) }
    /// `kl`: mean of the estimate over learnt tokens; 0 without a reference.
    package var meanDivergence: Double {
        tokenCount == 0 ? 0 : divergenceSum / Double(tokenCount)
    }

    private func share(_ count: Int) -> Double {
        ratioCount == 0 ? 0 : Double(count) / Double(ratioCount)
    }

    /// Adds the ratios of a completion with their advantages; nothing if there is none.
    mutating func add(_ ratios: [(ratio: Double, advantage: Double)], range: ClosedRange<Double>) {
        guard !ratios.isEmpty else { return }
        let low = ratios.count { $0.ratio < range.lowerBound && $0.advantage < 0 }
        let high = ratios.count { $0.ratio > range.upperBound && $0.advantage > 0 }
        let count = Double(ratios.count)
        smallestLowShare = min(smallestLowShare, Double(low) / count)
        largestHighShare = max(largestHighShare, Double(high) / count)
        lowCount += low
        highCount += high
        ratioCount += ratios.count
        for (ratio, _) in ratios {
            smallestRatio = min(smallestRatio, ratio)
            largestRatio = max(largestRatio, ratio)
            excessSum += ratio - 1
            squareSum += (ratio - 1) * (ratio - 1)
            // A ratio that is too small for a number is as far away as numbers go.
            let logarithm = log(max(ratio, .leastNormalMagnitude))
            logSquareSum += logarithm * logarithm
        }
    }

    /// Adds a learnt token's loss and divergence.
    mutating func add(loss: Double, divergence: Double) {
        self.loss += loss
        divergenceSum += divergence
        tokenCount += 1
    }
}
