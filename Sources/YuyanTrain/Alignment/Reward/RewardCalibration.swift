/// Whether a reward model is right as often as its scores say: a reliability table.
///
/// The score difference says `sigmoid(difference)` that the chosen answer is the better one. Pairs are
/// put into equal bins by the chance of the answer that the model prefers, from a half to 1, and each
/// bin's mean chance is held against the share of its pairs that are ranked as people did: Guo et al.,
/// "On Calibration of Modern Neural Networks", arXiv:1706.04599.
package struct RewardCalibration: Sendable, Hashable {
    /// A row of the table.
    package struct Bin: Sendable, Hashable {
        /// Pairs of a chance above `lower` and up to `upper`; the first bin holds a half, too.
        package let lower: Double
        package let upper: Double
        package let count: Int
        /// Mean chance of the preferred answer; 0 of no pairs.
        package let confidence: Double
        /// Share of the pairs that are ranked as people did; 0 of no pairs.
        package let accuracy: Double
    }

    package let bins: [Bin]
    /// Mean distance of accuracy from confidence, by the number of pairs; nothing of no pairs.
    package let expectedError: Double?

    /// - Precondition: `binCount` is positive; no score is NaN.
    package init(_ pairs: [ScoredPair], binCount: Int = 10) {
        precondition(binCount > 0, "\(binCount) bins")
        var members = [[ScoredPair]](repeating: [], count: binCount)
        for pair in pairs {
            let place = (2 * Self.confidence(pair) - 1) * Double(binCount)
            members[max(0, min(binCount, Int(place.rounded(.up))) - 1)].append(pair)
        }
        bins = members.enumerated().map { index, members in
            Bin(
                lower: 0.5 + Double(index) / Double(2 * binCount),
                upper: 0.5 + Double(index + 1) / Double(2 * binCount), count: members.count,
                confidence: Moments(members.map(Self.confidence)).mean,
                accuracy: members.accuracy ?? 0)
        }
        let total = bins.reduce(0) { $0 + Double($1.count) * abs($1.accuracy - $1.confidence) }
        expectedError = pairs.isEmpty ? nil : total / Double(pairs.count)
    }

    /// The chance of the answer that the model prefers.
    private static func confidence(_ pair: ScoredPair) -> Double {
        sigmoid(abs(pair.scoreDifference))
    }
}
