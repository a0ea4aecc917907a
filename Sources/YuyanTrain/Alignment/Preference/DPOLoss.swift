/// Direct preference optimisation: a logistic loss of the log-ratios' difference, times `beta`.
///
/// Rafailov et al., "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
/// arXiv:2305.18290. `labelSmoothing` is Mitchell's conservative DPO; `isRobust` takes the bias out of
/// it: Chowdhury et al., "Provably Robust DPO: Aligning Language Models with Noisy Feedback",
/// arXiv:2403.00409. As TRL's `sigmoid` and `robust`.
package struct DPOLoss: PreferenceLoss {
    package let beta: Double
    /// Share of labels that are taken to be wrong; below a half if `isRobust`.
    package let labelSmoothing: Double
    package let isRobust: Bool

    package init(beta: Double, labelSmoothing: Double = 0, isRobust: Bool = false) {
        self.beta = beta
        self.labelSmoothing = labelSmoothing
        self.isRobust = isRobust
    }

    package var needsReference: Bool { true }

    package func evaluated(_ pair: PairScores) -> PairLoss {
        let curve: MarginCurve =
            isRobust
            ? .debiasedLogistic(smoothing: labelSmoothing) : .logistic(smoothing: labelSmoothing)
        return curve.evaluated(logRatiosOf: pair, beta: beta)
    }
}

extension MarginCurve {
    /// The loss of `beta` times the difference of the log-ratios to the reference.
    func evaluated(logRatiosOf pair: PairScores, beta: Double) -> PairLoss {
        let rewards = (beta * pair.chosen.logRatio, beta * pair.rejected.logRatio)
        let (loss, slope) = evaluated(beta * (pair.chosen.logRatio - pair.rejected.logRatio))
        return PairLoss(
            loss: loss, chosenGradient: slope * beta, rejectedGradient: -slope * beta,
            chosenReward: rewards.0, rejectedReward: rewards.1)
    }
}
