/// Steps of one size in the direction of the interpolated momentum's sign.
///
/// Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675: with
/// `c = beta1 m + (1 - beta1) g`, `p -= rate * (sign(c) + decay * p)`, then
/// `m = beta2 m + (1 - beta2) g`. The sign of zero is zero.
package struct Lion: UpdateRule {
    package let beta1: Double
    package let beta2: Double

    package init(beta1: Double = 0.9, beta2: Double = 0.99) {
        self.beta1 = beta1
        self.beta2 = beta2
    }

    package var states: [StateArray] { [StateArray(name: "exp_avg", isSigned: true)] }

    package func update(_ span: UpdateSpan, _ step: UpdateStep) {
        let (p, m, gradient) = (span.values, span.first, span.gradient)
        let (scale, rate) = (step.gradientScale, Float(step.learningRate))
        let decay = Float(1 - step.learningRate * step.weightDecay)
        let (keep1, gain1) = (Float(beta1), Float(1 - beta1))
        let (keep2, gain2) = (Float(beta2), Float(1 - beta2))
        for i in 0..<span.count {
            let g = gradient[i] * scale
            let c = m[i] * keep1 + gain1 * g
            // NaN goes to the weight, where the tripwire finds it.
            let move = c > 0 ? rate : c < 0 ? -rate : c
            p[i] = p[i] * decay - move
            m[i] = m[i] * keep2 + gain2 * g
        }
    }
}
