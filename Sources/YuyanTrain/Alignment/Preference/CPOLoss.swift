/// Contrastive preference optimisation: DPO without a reference, plus the chosen's likelihood.
///
/// Xu et al., "Contrastive Preference Optimization: Pushing the Boundaries of LLM Performance in
/// Machine Translation", arXiv:2401.08417. As TRL's `CPOTrainer`: `ipo` and `simpo` take means over
/// tokens, the others sums; `simpo` with the likelihood is what its authors call CPO-SimPO.
package struct CPOLoss: PreferenceLoss {
    /// TRL's `loss_type`.
    package enum Form: String, Sendable, CaseIterable {
        case sigmoid, hinge, ipo, simpo

        /// Whether it reads the label smoothing.
        package var isSmoothed: Bool { self == .sigmoid || self == .simpo }
    }

    package let beta: Double
    package let form: Form
    /// `cpo_alpha`: weight of the chosen's negative log-likelihood.
    package let likelihoodCoefficient: Double
    package let labelSmoothing: Double
    /// `simpo_gamma`, which only `simpo` reads.
    package let gamma: Double

    package init(
        beta: Double, form: Form = .sigmoid, likelihoodCoefficient: Double = 1,
        labelSmoothing: Double = 0, gamma: Double = 0.5
    ) {
        self.beta = beta
        self.form = form
        self.likelihoodCoefficient = likelihoodCoefficient
        self.labelSmoothing = labelSmoothing
        self.gamma = gamma
    }

    package var needsReference: Bool { false }
    package var takesTokenMean: Bool { true }

    package func evaluated(_ pair: PairScores) -> PairLoss {
        let loss =
            switch form {
            case .sigmoid:
                MarginCurve.logistic(smoothing: labelSmoothing)
                    .evaluated(sumsOf: pair, scale: beta, beta: beta)
            case .hinge:
                MarginCurve.hinge.evaluated(sumsOf: pair, scale: beta, beta: beta)
            case .ipo:
                MarginCurve.squared(target: 1 / (2 * beta))
                    .evaluated(meansOf: pair, scale: 1, beta: beta)
            case .simpo:
                SimPOLoss(beta: beta, gamma: gamma, labelSmoothing: labelSmoothing)
                    .evaluated(pair)
            }
        return loss.addingLikelihood(
            likelihoodCoefficient, of: pair, length: pair.likelihoodLength)
    }
}

extension MarginCurve {
    /// The loss of `scale` times the difference of sums of log-probabilities.
    func evaluated(sumsOf pair: PairScores, scale: Double, beta: Double) -> PairLoss {
        let (loss, slope) = evaluated(scale * (pair.chosen.sum - pair.rejected.sum))
        return PairLoss(
            loss: loss, chosenGradient: slope * scale, rejectedGradient: -slope * scale,
            chosenReward: beta * pair.chosen.sum, rejectedReward: beta * pair.rejected.sum)
    }

    /// The loss of `scale` times the difference of mean log-probabilities, less `target`.
    func evaluated(
        meansOf pair: PairScores, scale: Double, target: Double = 0, beta: Double
    ) -> PairLoss {
        let (loss, slope) = evaluated(scale * (pair.chosen.mean - pair.rejected.mean) - target)
        return PairLoss(
            loss: loss, chosenGradient: slope * scale / Double(pair.chosen.tokenCount),
            rejectedGradient: -slope * scale / Double(pair.rejected.tokenCount),
            chosenReward: beta * pair.chosen.mean, rejectedReward: beta * pair.rejected.mean)
    }
}
