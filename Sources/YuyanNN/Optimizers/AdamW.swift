/// Adam with decoupled weight decay.
///
/// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101; Kingma and Ba,
/// "Adam: A Method for Stochastic Optimization", arXiv:1412.6980. In PyTorch's order: decay, moments,
/// then `p -= rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)`.
package struct AdamW: UpdateRule {
    package let beta1: Double
    package let beta2: Double
    package let epsilon: Double

    package init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
    }

    package var states: [StateArray] {
        [
            StateArray(name: "exp_avg", isSigned: true),
            StateArray(name: "exp_avg_sq", isSigned: false),
        ]
    }

    package func update(_ span: UpdateSpan, _ step: UpdateStep) {
        let (p, m, v) = (span.values, span.first, span.second)
        let gradient = span.gradient
        let scale = step.gradientScale
        let decay = Float(1 - step.learningRate * step.weightDecay)
        let (gain1, keep2, gain2) = (Float(1 - beta1), Float(beta2), Float(1 - beta2))
        let root = Float((1 - power(beta2, step.number)).squareRoot())
        let rate = Float(-step.learningRate / (1 - power(beta1, step.number)))
        let epsilon = Float(epsilon)
        for i in 0..<span.count {
            let g = gradient[i] * scale
            let first = m[i] + gain1 * (g - m[i])
            let second = v[i] * keep2 + gain2 * g * g
            m[i] = first
            v[i] = second
            p[i] = p[i] * decay + rate * first / (second.squareRoot() / root + epsilon)
        }
    }
}
