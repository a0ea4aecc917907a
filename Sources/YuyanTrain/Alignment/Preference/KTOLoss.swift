/// Kahneman-Tversky optimisation: answers that are good or bad by themselves, without pairs.
///
/// Ethayarajh et al., "KTO: Model Alignment as Prospect Theoretic Optimization", arXiv:2402.01306, by
/// TRL's formula: a good answer costs `1 - sigmoid(beta (logRatio - z0))`, a bad one
/// `1 - sigmoid(beta (z0 - logRatio))`, each by its weight. The baseline `z0` carries no gradient.
/// With a baseline of 0 it is APO-zero, unpaired: D'Oosterlinck et al., "Anchored Preference
/// Optimization and Contrastive Revisions", arXiv:2408.06266.
package struct KTOLoss: Sendable, Hashable {
    package let beta: Double
    package let desirableWeight: Double
    package let undesirableWeight: Double
    /// The KL divergence `z0` from the reference.
    package var baseline: Double

    package init(
        beta: Double, desirableWeight: Double = 1, undesirableWeight: Double = 1,
        baseline: Double = 0
    ) {
        self.beta = beta
        self.desirableWeight = desirableWeight
        self.undesirableWeight = undesirableWeight
        self.baseline = baseline
    }

    /// The baseline of a step from answers that belong to other prompts of it.
    ///
    /// The mean log-ratio, or 0 if that is negative; 0 of no answers.
    package static func baseline(ofMismatched answers: [SequenceScore]) -> Double {
        max(0, Moments(answers.map(\.logRatio)).mean)
    }

    /// The loss of one answer, of which a step takes the mean over good and bad ones together.
    package func evaluated(_ answer: SequenceScore, isDesirable: Bool) -> AnswerLoss {
        let sign: Double = isDesirable ? 1 : -1
        let weight = isDesirable ? desirableWeight : undesirableWeight
        let margin = sign * beta * (answer.logRatio - baseline)
        // 1 - sigmoid(x) is sigmoid(-x), without cancellation.
        return AnswerLoss(
            loss: weight * sigmoid(-margin),
            gradient: -weight * sigmoid(margin) * sigmoid(-margin) * sign * beta,
            reward: beta * answer.logRatio)
    }
}

/// The loss of an answer without a partner.
package struct AnswerLoss: Sendable, Hashable {
    package let loss: Double
    /// Derivative by the sum of the answer's log-probabilities.
    package let gradient: Double
    /// Implicit reward `beta * logRatio`.
    package let reward: Double
}
