#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The loss of a policy over the tokens of completions, in the forms of TRL's `GRPOTrainer`.
///
/// `ratio` is how much likelier the policy makes what was sampled than when it was sampled: exactly 1
/// on policy. Ratios of tokens are PPO's and GRPO's; of completions they are GSPO's or RLOO's.
package struct PolicyLoss: Sendable, Hashable {
    /// What is done with large ratios.
    package enum Surrogate: Sendable, Hashable {
        /// `-min(min(ratio, delta) A, clamp(ratio, 1 - low, 1 + high) A)`.
        ///
        /// Schulman et al., "Proximal Policy Optimization Algorithms", arXiv:1707.06347; a range that
        /// is wider above is "clip-higher" of Yu et al., "DAPO", arXiv:2503.14476; the bound `delta`
        /// is the second side of "INTELLECT-2", Prime Intellect Team, arXiv:2505.07291.
        case clipped(low: Double, high: Double, delta: Double? = nil)
        /// `-min(ratio, bound) A log p`, the first factor without gradient.
        ///
        /// MiniMax, "MiniMax-M1: Scaling Test-Time Compute Efficiently with Lightning Attention"
        /// (CISPO), arXiv:2506.13585. `bound` is TRL's `epsilon_high`: the ratio itself, not its
        /// distance from 1.
        case cispo(bound: Double)
    }

    /// What a ratio is taken of.
    package enum Level: String, Sendable, CaseIterable {
        /// Each token. TRL's `importance_sampling_level: token`.
        case token
        /// A completion: the geometric mean of its tokens' ratios. TRL's `sequence`.
        ///
        /// Zheng et al., "Group Sequence Policy Optimization" (GSPO), arXiv:2507.18071.
        case sequence
        /// A completion: the product of its tokens' ratios, as in TRL's `RLOOTrainer`.
        ///
        /// Ahmadian et al., arXiv:2402.14740; with the normalisation `grpo`.
        case product
    }

    package let surrogate: Surrogate
    package let level: Level
    package let normalization: LossNormalization
    /// Weight of the divergence from the reference in the loss; 0: none is taken.
    package let beta: Double
    package let estimator: KLEstimator

    package init(
        surrogate: Surrogate = .clipped(low: 0.2, high: 0.2), level: Level = .token,
        normalization: LossNormalization = .dapo, beta: Double = 0, estimator: KLEstimator = .k3
    ) {
        self.surrogate = surrogate
        self.level = level
        self.normalization = normalization
        self.beta = beta
        self.estimator = estimator
    }

    /// Derivatives of the step's loss by a completion's log-probabilities; 0 where nothing is learnt.
    ///
    /// - Parameters:
    ///   - step: Totals of the whole step, which this completion may be a small part of.
    ///   - statistics: What is added to, the loss among it.
    /// - Precondition: With ratios of completions the advantage is the same at all learnt tokens;
    ///   with `beta` there is a reference.
    package func gradients(
        _ completion: CompletionTokens, step: StepTotals, statistics: inout PolicyStatistics
    ) -> [Double] {
        let learnt = completion.isLearnt.indices.filter { completion.isLearnt[$0] }
        let weight = normalization.weight(learntCount: learnt.count, step: step)
        let ratios = ratios(of: completion, at: learnt)
        statistics.add(
            ratios.enumerated().map { ($1, completion.advantages[learnt[$0]]) },
            range: unclippedRange)

        var gradients = [Double](repeating: 0, count: completion.policy.count)
        var shared = 0.0
        for (place, index) in learnt.enumerated() {
            let ratio = level == .token ? ratios[place] : ratios[0]
            let advantage = completion.advantages[index]
            var loss: Double
            switch surrogate {
            case .clipped:
                let value = clippedLoss(ratio: ratio, advantage: advantage)
                loss = value.loss
                if level == .token {
                    gradients[index] = weight * value.slope
                } else {
                    shared += weight * value.slope
                }
            case .cispo:
                loss = -bounded(ratio) * advantage * completion.policy[index]
                gradients[index] = -weight * bounded(ratio) * advantage
            }
            let divergence = divergence(of: completion, at: index)
            if beta != 0 {
                loss += beta * divergence.value
                gradients[index] += weight * beta * divergence.derivative
            }
            statistics.add(loss: weight * loss, divergence: divergence.value)
        }
        // One ratio of the completion depends on all its tokens.
        let share = level == .sequence ? shared / Double(max(1, learnt.count)) : shared
        if shared != 0 { for index in learnt { gradients[index] += share } }
        return gradients
    }

    /// One ratio for each learnt token, or one for the completion; none if nothing is learnt.
    private func ratios(of completion: CompletionTokens, at learnt: [Int]) -> [Double] {
        let logs = learnt.map { completion.policy[$0] - completion.sampled[$0] }
        guard level != .token, let first = learnt.first else { return logs.map { exp($0) } }
        precondition(
            learnt.allSatisfy { completion.advantages[$0] == completion.advantages[first] },
            "a ratio of a completion takes one advantage; give all its tokens the same")
        let sum = logs.reduce(0, +)
        return [exp(level == .sequence ? sum / Double(logs.count) : sum)]
    }

    /// `-min(...)` of the surrogate and its derivative by the ratio's logarithm.
    private func clippedLoss(ratio: Double, advantage: Double) -> (loss: Double, slope: Double) {
        let range = unclippedRange
        let clipped = min(max(ratio, range.lowerBound), range.upperBound)
        let first = (value: bounded(ratio), passes: bounded(ratio) == ratio)
        let second = (value: clipped, passes: clipped == ratio)
        let taken = first.value * advantage <= second.value * advantage ? first : second
        return (-taken.value * advantage, taken.passes ? -ratio * advantage : 0)
    }

    /// The ratio below the surrogate's upper bound.
    private func bounded(_ ratio: Double) -> Double {
        switch surrogate {
        case .clipped(_, _, let delta): min(ratio, delta ?? .infinity)
        case .cispo(let bound): min(ratio, bound)
        }
    }

    /// Ratios that keep their gradient at any advantage.
    private var unclippedRange: ClosedRange<Double> {
        switch surrogate {
        case .clipped(let low, let high, _): 1 - low...1 + high
        case .cispo(let bound): -.infinity...bound
        }
    }

    private func divergence(
        of completion: CompletionTokens, at index: Int
    ) -> (value: Double, derivative: Double) {
        guard let reference = completion.reference else {
            precondition(beta == 0, "a divergence of weight \(beta) needs a reference")
            return (0, 0)
        }
        return estimator.evaluated(policy: completion.policy[index], reference: reference[index])
    }
}
