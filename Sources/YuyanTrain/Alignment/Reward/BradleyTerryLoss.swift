/// The loss of a reward model on a pair: `-log sigmoid(chosen - rejected - margin)`.
///
/// Bradley and Terry, "Rank Analysis of Incomplete Block Designs: I. The Method of Paired
/// Comparisons", Biometrika 39, 1952. Margins: Touvron et al., "Llama 2: Open Foundation and
/// Fine-Tuned Chat Models", arXiv:2307.09288. Centring adds `centering * (chosen + rejected)^2`, which
/// pins the scores' free constant: Eisenstein et al., "Helping or Herding? Reward Model Ensembles
/// Mitigate but do not Eliminate Reward Hacking", arXiv:2312.09244. As TRL's `RewardTrainer`; a step
/// takes the mean over pairs.
package struct BradleyTerryLoss: Sendable, Hashable {
    /// `center_rewards_coefficient`; 0: off.
    package let centering: Double

    package init(centering: Double = 0) { self.centering = centering }

    /// The loss of two scores, of which people chose the first by `margin`.
    package func evaluated(chosen: Double, rejected: Double, margin: Double = 0) -> Value {
        let (loss, slope) = MarginCurve.logistic(smoothing: 0)
            .evaluated(chosen - rejected - margin)
        let pull = 2 * centering * (chosen + rejected)
        return Value(
            loss: loss + centering * (chosen + rejected) * (chosen + rejected),
            chosenGradient: slope + pull, rejectedGradient: -slope + pull)
    }

    /// The loss of a pair, and its derivatives by the two scores.
    package struct Value: Sendable, Hashable {
        package let loss: Double
        package let chosenGradient: Double
        package let rejectedGradient: Double
    }
}
