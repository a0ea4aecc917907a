/// One completion token by token, as a policy loss sees it.
package struct CompletionTokens: Sendable, Hashable {
    /// Log-probabilities under the policy that is trained.
    package var policy: [Double]
    /// Log-probabilities when the tokens were drawn.
    package var sampled: [Double]
    /// Log-probabilities under the reference; nothing where no divergence is taken.
    package var reference: [Double]?
    /// How much better each token was than expected.
    package var advantages: [Double]
    /// False at tokens that the policy did not choose, such as a tool's text.
    package var isLearnt: [Bool]

    /// - Precondition: All arrays have the same length.
    package init(
        policy: [Double], sampled: [Double], reference: [Double]? = nil, advantages: [Double],
        isLearnt: [Bool]
    ) {
        let counts = [sampled.count, reference?.count ?? policy.count, advantages.count]
        precondition(
            counts.allSatisfy { $0 == policy.count } && isLearnt.count == policy.count,
            "\(policy.count) tokens, arrays of \(counts), a mask of \(isLearnt.count)")
        self.policy = policy
        self.sampled = sampled
        self.reference = reference
        self.advantages = advantages
        self.isLearnt = isLearnt
    }

    /// The same advantage for all tokens; all are learnt if no mask is given.
    package init(
        policy: [Double], sampled: [Double], reference: [Double]? = nil, advantage: Double,
        isLearnt: [Bool]? = nil
    ) {
        self.init(
            policy: policy, sampled: sampled, reference: reference,
            advantages: .init(repeating: advantage, count: policy.count),
            isLearnt: isLearnt ?? .init(repeating: true, count: policy.count))
    }

    /// Tokens that the loss is taken over.
    package var learntCount: Int { isLearnt.count { $0 } }
}
