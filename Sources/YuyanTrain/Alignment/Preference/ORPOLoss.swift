#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The chosen's likelihood plus a penalty by the ratio of the answers' odds; no reference.
///
/// Hong, Lee and Thorne, "ORPO: Monolithic Preference Optimization without Reference Model",
/// arXiv:2403.07691, with TRL's formula: the odds are those of mean log-probabilities. The likelihood
/// is taken over the answer, as in the paper and LLaMA-Factory; TRL's counts the prompt's tokens too.
package struct ORPOLoss: PreferenceLoss {
    /// The paper's lambda, weight of the odds ratio.
    package let beta: Double

    package init(beta: Double) { self.beta = beta }

    package var needsReference: Bool { false }

    package func evaluated(_ pair: PairScores) -> PairLoss {
        let (chosen, rejected) = (LogOdds(pair.chosen), LogOdds(pair.rejected))
        let ratio = chosen.value - rejected.value
        let slope = -beta * sigmoid(-ratio)
        return PairLoss(
            loss: -beta * logSigmoid(ratio), chosenGradient: slope * chosen.derivative,
            rejectedGradient: -slope * rejected.derivative,
            chosenReward: beta * pair.chosen.mean, rejectedReward: beta * pair.rejected.mean
        ).addingLikelihood(1, of: pair, length: pair.likelihoodLength)
    }

    /// What TRL logs as `log_odds_chosen`; `log_odds_ratio` is its `logSigmoid`.
    package static func logOddsRatio(of pair: PairScores) -> Double {
        LogOdds(pair.chosen).value - LogOdds(pair.rejected).value
    }
}

/// `log(p / (1 - p))` of the geometric mean `p` of an answer's probabilities.
private struct LogOdds {
    let value: Double
    /// Derivative by the sum of the log-probabilities.
    let derivative: Double

    init(_ answer: SequenceScore) {
        // An answer that is certain in float32 would have infinite odds, and no derivative.
        let mean = min(answer.mean, Self.mostCertain)
        // Two forms, of which each is exact on its side of a probability of a half.
        let logOther = mean < -0.693 ? log1p(-exp(mean)) : log(-expm1(mean))
        value = mean - logOther
        derivative = -1 / (expm1(mean) * Double(answer.tokenCount))
    }

    /// Mean log-probability above which an answer counts as certain: half of float32's unit.
    private static let mostCertain = -0x1p-24
}
