/// Whether a reward model takes length for quality.
///
/// Singhal et al., "A Long Way to Go: Investigating Length Correlations in RLHF", arXiv:2310.03716.
package struct LengthBias: Sendable, Hashable {
    /// Pearson's correlation of the differences of scores and lengths; nothing if either is constant.
    package let correlation: Double?
    /// Share of pairs with a longer chosen answer that are ranked right; nothing without such pairs.
    package let accuracyOfLonger: Double?
    /// The same where the chosen answer is the shorter one: what a model that likes length gets wrong.
    package let accuracyOfShorter: Double?
    /// Pairs with a longer and with a shorter chosen answer; the others are equally long.
    package let longerCount: Int
    package let shorterCount: Int

    package init(_ pairs: [ScoredPair]) {
        let longer = pairs.filter { $0.lengthDifference > 0 }
        let shorter = pairs.filter { $0.lengthDifference < 0 }
        (longerCount, shorterCount) = (longer.count, shorter.count)
        (accuracyOfLonger, accuracyOfShorter) = (longer.accuracy, shorter.accuracy)
        correlation = Self.correlation(
            pairs.map(\.scoreDifference), pairs.map(\.lengthDifference))
    }

    private static func correlation(_ x: [Double], _ y: [Double]) -> Double? {
        let (left, right) = (Moments(x), Moments(y))
        guard left.variance > 0, right.variance > 0 else { return nil }
        let covariance =
            zip(x, y).reduce(0) { $0 + ($1.0 - left.mean) * ($1.1 - right.mean) }
            / Double(left.count - 1)
        return covariance / (left.deviation * right.deviation)
    }
}
