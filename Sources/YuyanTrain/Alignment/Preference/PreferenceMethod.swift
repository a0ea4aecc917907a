/// A recipe's `pref_loss`.
public enum PreferenceMethod: String, Sendable, CaseIterable {
    case sigmoid, robust, hinge, ipo, orpo, simpo, cpo

    /// Whether it reads `dpo_label_smoothing`; `cpo` does where its form does.
    package var isSmoothed: Bool { [.sigmoid, .robust, .simpo, .cpo].contains(self) }

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
            case .simpo:
                SimPOLoss(
                    beta: beta, gamma: settings.gamma, labelSmoothing: settings.labelSmoothing)
            case .cpo:
                CPOLoss(
                    beta: beta, form: settings.contrastiveForm,
                    likelihoodCoefficient: settings.contrastiveLikelihood,
                    labelSmoothing: settings.labelSmoothing, gamma: settings.gamma)
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
    /// `pref_loss` of stage cpo.
    package var contrastiveForm = CPOLoss.Form.sigmoid

    package init() {}
}
