/// `max(0, 1 - margin)` of the margin that DPO takes.
///
/// Zhao et al., "SLiC-HF: Sequence Likelihood Calibration with Human Feedback", arXiv:2305.10425, in
/// the form that Liu et al., "Statistical Rejection Sampling Improves Preference Optimization",
/// arXiv:2309.06657, give it. As TRL's `hinge`.
package struct HingeLoss: PreferenceLoss {
    package let beta: Double

    package init(beta: Double) { self.beta = beta }

    package var needsReference: Bool { true }

    package func evaluated(_ pair: PairScores) -> PairLoss {
        MarginCurve.hinge.evaluated(logRatiosOf: pair, beta: beta)
    }
}
