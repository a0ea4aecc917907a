/// What tokens' losses are divided by, under TRL's names.
package enum LossNormalization: Sendable, Hashable {
    /// The mean over a step's completions of the mean over their tokens.
    ///
    /// Shao et al., "DeepSeekMath", arXiv:2402.03300; long completions weigh less a token.
    case grpo
    /// The mean over a micro-batch's tokens, then over a step's micro-batches.
    case bnpo
    /// The sum over tokens by completions times the most tokens that one may have.
    ///
    /// Liu et al., "Understanding R1-Zero-Like Training", arXiv:2503.20783.
    case drGRPO(maximumLength: Int)
    /// The mean over all tokens of a step.
    ///
    /// Yu et al., "DAPO", arXiv:2503.14476.
    case dapo

    /// The weight of each learnt token of a completion that has `learntCount` of them.
    func weight(learntCount: Int, step: StepTotals) -> Double {
        switch self {
        case .grpo: 1 / (Double(step.completions) * Double(max(1, learntCount)))
        case .bnpo: 1 / (Double(step.microBatches) * Double(max(1, step.microBatchTokens)))
        case .drGRPO(let length): 1 / (Double(step.completions) * Double(length))
        case .dapo: 1 / Double(max(1, step.tokens))
        }
    }
}

/// What a step holds in all, known before its first pass: so its cut into passes changes no bit.
package struct StepTotals: Sendable, Hashable {
    package let completions: Int
    /// Learnt tokens of all completions.
    package let tokens: Int
    /// Micro-batches of the step, which `bnpo` alone asks for.
    package let microBatches: Int
    /// Learnt tokens of the micro-batch that a completion belongs to, likewise.
    package let microBatchTokens: Int

    /// - Precondition: There is a completion and a micro-batch.
    package init(
        completions: Int, tokens: Int, microBatches: Int = 1, microBatchTokens: Int? = nil
    ) {
        precondition(
            completions > 0 && microBatches > 0,
            "a step of \(completions) completions and \(microBatches) micro-batches")
        self.completions = completions
        self.tokens = tokens
        self.microBatches = microBatches
        self.microBatchTokens = microBatchTokens ?? tokens
    }

    /// The totals of a step that is one micro-batch.
    package init(of completions: [CompletionTokens]) {
        self.init(
            completions: completions.count, tokens: completions.reduce(0) { $0 + $1.learntCount })
    }
}
