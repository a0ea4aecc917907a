/// Gradient descent, with momentum and Nesterov's variant of it if asked for.
///
/// Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
/// learning", ICML 2013. As in PyTorch: weight decay is added to the gradient, the first step's
/// gradient is the first momentum, and the rate multiplies the momentum, not what enters it.
package struct SGD: UpdateRule {
    package let momentum: Double
    package let dampening: Double
    package let isNesterov: Bool

    package init(momentum: Double = 0, dampening: Double = 0, isNesterov: Bool = false) {
        self.momentum = momentum
        self.dampening = dampening
        self.isNesterov = isNesterov
    }

    package var states: [StateArray] {
        momentum == 0 ? [] : [StateArray(name: "momentum_buffer", isSigned: true)]
    }

    package func update(_ span: UpdateSpan, _ step: UpdateStep) {
        let (p, gradient, scale) = (span.values, span.gradient, step.gradientScale)
        let (decay, rate) = (Float(step.weightDecay), Float(-step.learningRate))
        guard momentum != 0 else {
            for i in 0..<span.count {
                let g = gradient[i] * scale + decay * p[i]
                p[i] += rate * g
            }
            return
        }
        let buffer = span.first
        // The first momentum is the gradient itself, undampened.
        let keep = step.number == 1 ? 0 : Float(momentum)
        let gain = step.number == 1 ? 1 : Float(1 - dampening)
        let ahead = isNesterov ? Float(momentum) : 1
        let straight: Float = isNesterov ? 1 : 0
        for i in 0..<span.count {
            let g = gradient[i] * scale + decay * p[i]
            let moved = buffer[i] * keep + gain * g
            buffer[i] = moved
            p[i] += rate * (straight * g + ahead * moved)
        }
    }
}
