#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An estimate, from sampled tokens alone, of how far the policy is from the reference.
///
/// Of `d = log p - log q` of a token drawn from `p`: Schulman, "Approximating KL Divergence", 2020. In
/// a reward `k1` and `k3` have the mean `KL(p ‖ q)`. In a loss what matters is the gradient's mean:
/// that of `k2` is the divergence's own, that of `k1` is zero, and that of `k3`, which GRPO takes
/// (Shao et al., "DeepSeekMath", arXiv:2402.03300), is the gradient of `KL(q ‖ p)`.
package enum KLEstimator: String, Sendable, CaseIterable {
    /// `d`: without bias, of either sign.
    case k1
    /// `d^2 / 2`: never negative, biased.
    case k2
    /// `exp(-d) - 1 + d`: never negative, without bias.
    case k3

    /// The estimate at a token, and its derivative by the policy's log-probability.
    package func evaluated(
        policy: Double, reference: Double
    ) -> (value: Double, derivative: Double) {
        let difference = policy - reference
        return switch self {
        case .k1: (difference, 1)
        case .k2: (difference * difference / 2, difference)
        case .k3: (expm1(-difference) + difference, -expm1(-difference))
        }
    }

    /// The sum over the learnt tokens of a completion: what a reward is lowered by, times `beta`.
    package func sum(policy: [Double], reference: [Double], isLearnt: [Bool]) -> Double {
        precondition(
            policy.count == reference.count && policy.count == isLearnt.count,
            "\(policy.count) and \(reference.count) tokens, a mask of \(isLearnt.count)")
        return policy.indices.reduce(0) { sum, index in
            guard isLearnt[index] else { return sum }
            return sum + evaluated(policy: policy[index], reference: reference[index]).value
        }
    }
}
