/// A recipe's `pref_loss`.
package enum PreferenceMethod: String, Sendable, CaseIterable {
    case sigmoid, robust, hinge, ipo, orpo, simpo, cpo
    case ktoPair = "kto_pair"

    /// The loss with a recipe's settings.
    package func loss(_ settings: PreferenceSettings) -> any PreferenceLoss {
        let beta = settings.beta
        let loss: any PreferenceLoss =
            switch self {
            case .sigmoid: DPOLoss(beta: beta, labelSmoothing: settings.labelSmoothing)
            case .robust:
                DPOLoss(beta: beta, labelSmoothing: settings.labelSmoothing, isRobust: true)
            case .hinge: HingeLoss(beta: beta)
            case .ipo: IPOLoss(beta: beta)
            case .orpo: ORPOLoss(beta: beta)
            case .simpo: SimPOLoss(beta: beta, gamma: settings.gamma)
            case .cpo:
                CPOLoss(
                    beta: beta, likelihoodCoefficient: settings.contrastiveLikelihood,
                    labelSmoothing: settings.labelSmoothing)
            case .ktoPair:
                KTOLoss(
                    beta: beta, desirableWeight: settings.desirableWeight,
                    undesirableWeight: settings.undesirableWeight, baseline: settings.baseline)
            }
        return settings.likelihood == 0
            ? loss : LikelihoodTerm(loss, coefficient: settings.likelihood)
    }
}

/// What a recipe says about preference losses, with LLaMA-Factory's defaults.
package struct PreferenceSettings: Sendable, Hashable {
    /// `pref_beta`.
    package var beta = 0.1
    /// `pref_ftx`: weight of the chosen's negative log-likelihood.
    package var likelihood = 0.0
    /// `dpo_label_smoothing`.
    package var labelSmoothing = 0.0
    /// `simpo_gamma`.
    package var gamma = 0.5
    /// `cpo_alpha`, by TRL's default.
    package var contrastiveLikelihood = 1.0
    /// `kto_chosen_weight`.
    package var desirableWeight = 1.0
    /// `kto_rejected_weight`.
    package var undesirableWeight = 1.0
    /// KTO's `z0`, which a step computes before its losses.
    package var baseline = 0.0

    package init() {}
}
