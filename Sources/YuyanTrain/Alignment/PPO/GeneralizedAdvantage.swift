/// Advantages of tokens from a critic's values.
///
/// Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation",
/// arXiv:1506.02438. Tokens that are not learnt are no steps: the value of the next learnt token
/// follows that of the last one, whatever a tool wrote between. Nothing follows the end.
package struct GeneralizedAdvantage: Sendable, Hashable {
    /// Worth of a reward one token later.
    package let gamma: Double
    /// 0: the critic's word for the next token; 1: the sum of what really came.
    package let lambda: Double

    package init(gamma: Double = 1, lambda: Double = 0.95) {
        self.gamma = gamma
        self.lambda = lambda
    }

    /// Advantages and the returns that the critic is taught; 0 at tokens that are not learnt.
    package func evaluated(
        rewards: [Double], values: [Double], isLearnt: [Bool]
    ) -> (advantages: [Double], returns: [Double]) {
        precondition(
            rewards.count == values.count && values.count == isLearnt.count,
            "\(rewards.count) rewards, \(values.count) values, a mask of \(isLearnt.count)")
        var advantages = [Double](repeating: 0, count: rewards.count)
        var returns = advantages
        var (nextValue, nextAdvantage) = (0.0, 0.0)
        for index in rewards.indices.reversed() where isLearnt[index] {
            let error = rewards[index] + gamma * nextValue - values[index]
            advantages[index] = error + gamma * lambda * nextAdvantage
            returns[index] = advantages[index] + values[index]
            (nextValue, nextAdvantage) = (values[index], advantages[index])
        }
        return (advantages, returns)
    }
}
