/// The loss of a critic: half the mean squared error, of which clipping takes the worse reading.
///
/// `max((v - R)^2, (clamp(v, old - clip, old + clip) - R)^2) / 2`, as in TRL and the code of Schulman
/// et al., "Proximal Policy Optimization Algorithms", arXiv:1707.06347.
package struct ValueLoss: Sendable, Hashable {
    /// `cliprange_value`: how far a value may move from the sampler's; nothing: as far as it likes.
    package let clip: Double?

    package init(clip: Double? = 0.2) { self.clip = clip }

    /// Derivatives of the step's loss by a completion's values; 0 at tokens that are not learnt.
    ///
    /// - Parameters:
    ///   - sampled: The critic's values when the tokens were drawn.
    ///   - tokenCount: Learnt tokens of the whole step, which the mean is over.
    ///   - statistics: What is added to, the loss among it.
    package func gradients(
        values: [Double], sampled: [Double], returns: [Double], isLearnt: [Bool],
        tokenCount: Int, statistics: inout ValueStatistics
    ) -> [Double] {
        let counts = [values.count, sampled.count, returns.count, isLearnt.count]
        precondition(
            counts.allSatisfy { $0 == values.count },
            "values, sampled values, returns and mask of \(counts) tokens")
        return values.indices.map { index in
            guard isLearnt[index] else { return 0 }
            let error = values[index] - returns[index]
            let clipped = clipped(values[index], around: sampled[index])
            let clippedError = clipped - returns[index]
            let isClipped = clippedError * clippedError > error * error
            let worse = isClipped ? clippedError : error
            statistics.add(loss: worse * worse / 2 / Double(tokenCount), isClipped: isClipped)
            // A clipped value does not move with the critic.
            return isClipped ? 0 : error / Double(tokenCount)
        }
    }

    private func clipped(_ value: Double, around sampled: Double) -> Double {
        guard let clip else { return value }
        return min(max(value, sampled - clip), sampled + clip)
    }
}

/// What the passes of a step found of the critic, added up in the order of tokens.
package struct ValueStatistics: Sendable, Hashable {
    /// The step's loss so far: TRL's `loss/value_avg`.
    package private(set) var loss = 0.0
    private var tokenCount = 0
    private var clippedCount = 0

    package init() {}

    /// Share of values whose clipped reading was the worse one: `val/clipfrac_avg`.
    package var clippedShare: Double {
        tokenCount == 0 ? 0 : Double(clippedCount) / Double(tokenCount)
    }

    mutating func add(loss: Double, isClipped: Bool) {
        self.loss += loss
        tokenCount += 1
        clippedCount += isClipped ? 1 : 0
    }
}
