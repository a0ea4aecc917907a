/// A logistic loss of mean log-probabilities' difference, less a margin; no reference.
///
/// Meng, Xia and Chen, "SimPO: Simple Preference Optimization with a Reference-Free Reward",
/// arXiv:2405.14734: `-log sigmoid(beta (mean chosen - mean rejected) - gamma)`. As TRL's `CPOTrainer`
/// with `loss_type` simpo and without its likelihood term (`CPOLoss` has it).
package struct SimPOLoss: PreferenceLoss {
    package let beta: Double
    /// `simpo_gamma`: the margin of rewards that is asked for.
    package let gamma: Double
    package let labelSmoothing: Double

    package init(beta: Double, gamma: Double = 0.5, labelSmoothing: Double = 0) {
        self.beta = beta
        self.gamma = gamma
        self.labelSmoothing = labelSmoothing
    }

    package var needsReference: Bool { false }

    package func evaluated(_ pair: PairScores) -> PairLoss {
        MarginCurve.logistic(smoothing: labelSmoothing)
            .evaluated(meansOf: pair, scale: beta, target: gamma, beta: beta)
    }
}
