/// Rewards of tokens: a penalty of each for leaving the reference, and the answer's score at the end.
///
/// Ziegler et al., "Fine-Tuning Language Models from Human Preferences", arXiv:1909.08593. The score
/// is given to the last learnt token, as TRL did until version 0.11; its later `PPOTrainer` gives it
/// to the padding behind.
package struct RewardShaping: Sendable, Hashable {
    package let estimator: KLEstimator
    /// Taken from the score of an answer without an end; TRL's `missing_eos_penalty`.
    package let missingEndPenalty: Double

    package init(estimator: KLEstimator = .k1, missingEndPenalty: Double = 0) {
        self.estimator = estimator
        self.missingEndPenalty = missingEndPenalty
    }

    /// The rewards of a completion's tokens; 0 at tokens that are not learnt.
    ///
    /// - Parameters:
    ///   - policy: Log-probabilities when the tokens were drawn.
    ///   - hasEnded: Whether the model ended the answer itself.
    ///   - klCoefficient: Of `KLController`.
    package func rewards(
        score: Double, hasEnded: Bool, policy: [Double], reference: [Double], isLearnt: [Bool],
        klCoefficient: Double
    ) -> [Double] {
        precondition(
            policy.count == reference.count && policy.count == isLearnt.count,
            "\(policy.count) and \(reference.count) tokens, a mask of \(isLearnt.count)")
        var rewards = policy.indices.map { index in
            guard isLearnt[index] else { return 0.0 }
            let divergence = estimator.evaluated(
                policy: policy[index], reference: reference[index])
            return -klCoefficient * divergence.value
        }
        if let last = isLearnt.lastIndex(of: true) {
            rewards[last] += hasEnded ? score : score - missingEndPenalty
        }
        return rewards
    }
}
