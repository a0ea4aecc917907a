/// The weight of the divergence from the reference in PPO's rewards.
///
/// Adaptive as in section 2.2 of Ziegler et al., "Fine-Tuning Language Models from Human
/// Preferences", arXiv:1909.08593: it grows while the divergence is above its target. As TRL's
/// `AdaptiveKLController`.
package struct KLController: Sendable, Hashable, Codable {
    package private(set) var coefficient: Double
    /// Nothing: the coefficient is fixed.
    package let target: Target?

    /// A divergence to be kept.
    package struct Target: Sendable, Hashable, Codable {
        /// Nats a completion: the sum over its tokens.
        package let divergence: Double
        /// Completions over which an error of 1 would double or halve the coefficient, about.
        package let horizon: Double

        package init(divergence: Double, horizon: Double = 10_000) {
            self.divergence = divergence
            self.horizon = horizon
        }
    }

    package init(coefficient: Double, target: Target? = nil) {
        self.coefficient = coefficient
        self.target = target
    }

    /// Corrects the coefficient after a step.
    ///
    /// - Parameters:
    ///   - divergence: Mean of the step's completions, each summed over its tokens.
    ///   - completionCount: Their number.
    package mutating func update(divergence: Double, completionCount: Int) {
        guard let target else { return }
        let error = min(max(divergence / target.divergence - 1, -0.2), 0.2)
        coefficient *= 1 + error * Double(completionCount) / target.horizon
    }
}
