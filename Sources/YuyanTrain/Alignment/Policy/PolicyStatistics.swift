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

    package init() {}

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
        }
    }

    /// Adds a learnt token's loss and divergence.
    mutating func add(loss: Double, divergence: Double) {
        self.loss += loss
        divergenceSum += divergence
        tokenCount += 1
    }
}
