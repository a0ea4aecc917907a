/// A loss of one pair of answers, of which a step takes the mean.
///
/// Losses see sums of log-probabilities only, so their derivatives are what a backward pass starts
/// from: each token of an answer gets the derivative by the answer's sum, over the number of pairs.
package protocol PreferenceLoss: Sendable {
    /// Whether `PairScores` must hold the reference's sums.
    var needsReference: Bool { get }
    /// Whether its likelihood is a mean over the tokens of a step, for which `PairScores` must hold the
    /// `likelihoodLength`; otherwise it is the mean over pairs of each one's own mean.
    var takesTokenMean: Bool { get }

    /// The loss of a pair and its derivatives.
    func evaluated(_ pair: PairScores) -> PairLoss
}

extension PreferenceLoss {
    package var takesTokenMean: Bool { false }
}

/// The loss of a pair, and what training and logging need of it.
package struct PairLoss: Sendable, Hashable {
    package var loss: Double
    /// Derivative by the sum of the chosen answer's log-probabilities.
    package var chosenGradient: Double
    /// Derivative by the sum of the rejected answer's log-probabilities.
    package var rejectedGradient: Double
    /// Implicit reward of the chosen answer: what TRL logs as `rewards/chosen`.
    package let chosenReward: Double
    /// Implicit reward of the rejected answer: `rewards/rejected`.
    package let rejectedReward: Double
    /// Negative log-likelihood of the chosen answer, before its coefficient: `nll_loss`; 0 if unused.
    package private(set) var likelihoodLoss = 0.0

    package init(
        loss: Double, chosenGradient: Double, rejectedGradient: Double, chosenReward: Double,
        rejectedReward: Double
    ) {
        self.loss = loss
        self.chosenGradient = chosenGradient
        self.rejectedGradient = rejectedGradient
        self.chosenReward = chosenReward
        self.rejectedReward = rejectedReward
    }

    /// `rewards/margins`.
    package var rewardMargin: Double { chosenReward - rejectedReward }
    /// Whether `rewards/accuracies` counts the pair.
    package var isRanked: Bool { chosenReward > rejectedReward }

    /// Adds the negative log-likelihood of the chosen answer, times `coefficient`.
    ///
    /// - Parameter length: What it is divided by; nothing: the answer's own number of tokens.
    func addingLikelihood(
        _ coefficient: Double, of pair: PairScores, length: Double?
    ) -> PairLoss {
        guard coefficient != 0 else { return self }
        let length = length ?? Double(pair.chosen.tokenCount)
        var result = self
        result.likelihoodLoss = -pair.chosen.sum / length
        result.loss += coefficient * result.likelihoodLoss
        result.chosenGradient -= coefficient / length
        return result
    }
}

/// A preference loss plus the negative log-likelihood of chosen answers, each by its own length.
///
/// LLaMA-Factory's `pref_ftx`, TRL's former `rpo_alpha`: Pang et al., "Iterative Reasoning Preference
/// Optimization", arXiv:2404.19733.
package struct LikelihoodTerm: PreferenceLoss {
    package let base: any PreferenceLoss
    package let coefficient: Double

    package init(_ base: any PreferenceLoss, coefficient: Double) {
        self.base = base
        self.coefficient = coefficient
    }

    package var needsReference: Bool { base.needsReference }
    package var takesTokenMean: Bool { base.takesTokenMean }

    package func evaluated(_ pair: PairScores) -> PairLoss {
        base.evaluated(pair).addingLikelihood(coefficient, of: pair, length: nil)
    }
}
