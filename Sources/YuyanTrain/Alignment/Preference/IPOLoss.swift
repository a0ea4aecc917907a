/// Identity preference optimisation: the log-ratios' difference is drawn to `1 / (2 beta)`.
///
/// Azar et al., "A General Theoretical Paradigm to Understand Learning from Human Preferences",
/// arXiv:2310.12036. Log-ratios are means over tokens, as in TRL on the authors' word; rewards are
/// sums, as TRL logs them.
package struct IPOLoss: PreferenceLoss {
    /// The paper's tau.
    package let beta: Double

    package init(beta: Double) { self.beta = beta }

    package var needsReference: Bool { true }

    package func evaluated(_ pair: PairScores) -> PairLoss {
        let lengths = (Double(pair.chosen.tokenCount), Double(pair.rejected.tokenCount))
        let (chosen, rejected) = (pair.chosen.logRatio, pair.rejected.logRatio)
        let (loss, slope) = MarginCurve.squared(target: 1 / (2 * beta))
            .evaluated(chosen / lengths.0 - rejected / lengths.1)
        return PairLoss(
            loss: loss, chosenGradient: slope / lengths.0, rejectedGradient: -slope / lengths.1,
            chosenReward: beta * chosen, rejectedReward: beta * rejected)
    }
}
