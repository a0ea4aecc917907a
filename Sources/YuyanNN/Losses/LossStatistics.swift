/// Sums over the supervised tokens of one or several passes.
///
/// Added to in the order of tokens, in float64, so that the cut into passes changes no bit.
public struct LossStatistics: Sendable, Hashable {
    /// Sum of weight times negative log-probability, in nats.
    public var lossSum = 0.0
    /// Sum of the weights.
    public var weightSum = 0.0
    /// Tokens that a loss was taken over.
    public var tokenCount = 0
    /// Of those, the tokens that were the most likely ones.
    public var correctCount = 0
    /// Sum of the entropies of their distributions, in nats.
    public var entropySum = 0.0

    /// Nothing yet.
    public init() {}

    /// Adds the cross-entropy of a token.
    package mutating func add(_ score: TokenScore, weight: Float) {
        lossSum += Double(weight) * -Double(score.logProbability)
        weightSum += Double(weight)
        tokenCount += 1
        correctCount += score.isCorrect ? 1 : 0
        entropySum += score.entropy
    }

    /// Mean loss by weight: what is reported as `loss`.
    public var meanLoss: Double { weightSum == 0 ? 0 : lossSum / weightSum }
    /// What trl reports as `mean_token_accuracy`.
    public var meanTokenAccuracy: Double {
        tokenCount == 0 ? 0 : Double(correctCount) / Double(tokenCount)
    }
    /// What trl reports as `entropy`.
    public var meanEntropy: Double { tokenCount == 0 ? 0 : entropySum / Double(tokenCount) }
}
