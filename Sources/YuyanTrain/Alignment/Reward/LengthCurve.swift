/// How a reward model's preference follows the difference of lengths, in groups of about equal size.
///
/// Pairs are put in the order of chosen less rejected length; pairs of one difference stay together.
/// A model that does not look at lengths has a curve as flat as the data's own.
package struct LengthCurve: Sendable, Hashable {
    /// Some neighbouring pairs.
    package struct Bin: Sendable, Hashable {
        package let count: Int
        /// Mean of chosen less rejected length, in tokens.
        package let lengthDifference: Double
        /// Mean of chosen less rejected score.
        package let scoreDifference: Double
        /// Of the score differences (Bessel's correction); 0 of a single pair.
        package let scoreDeviation: Double
    }

    /// By ascending difference of lengths.
    package let bins: [Bin]

    /// - Parameter binCount: Most groups; positive.
    package init(_ pairs: [ScoredPair], binCount: Int = 10) {
        precondition(binCount > 0, "\(binCount) bins")
        // Places tell equal differences apart, so that the order of sums is the pairs' own.
        let order = pairs.indices.sorted {
            (pairs[$0].lengthDifference, $0) < (pairs[$1].lengthDifference, $1)
        }
        let size = max(1, (pairs.count + binCount - 1) / binCount)
        var groups: [[ScoredPair]] = []
        for place in order {
            let pair = pairs[place]
            if let last = groups.last?.last,
                groups[groups.count - 1].count < size
                    || last.lengthDifference == pair.lengthDifference
            {
                groups[groups.count - 1].append(pair)
            } else {
                groups.append([pair])
            }
        }
        bins = groups.map { group in
            let scores = Moments(group.map(\.scoreDifference))
            return Bin(
                count: group.count, lengthDifference: Moments(group.map(\.lengthDifference)).mean,
                scoreDifference: scores.mean, scoreDeviation: scores.deviation)
        }
    }
}
