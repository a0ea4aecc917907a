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
    /// What else a method reports, in the order in which the names first came.
    public var named: [NamedSum] = []

    /// A quantity that is reported as a mean.
    public struct NamedSum: Sendable, Hashable {
        /// As it is logged: TRL's name, where TRL has one.
        public let name: String
        /// Sum of the values, each times its weight.
        public var sum: Double
        /// Sum of their weights.
        public var weight: Double

        /// A sum that other values may be added to.
        public init(name: String, sum: Double, weight: Double) {
            self.name = name
            self.sum = sum
            self.weight = weight
        }

        /// Zero if nothing was added.
        public var mean: Double { weight == 0 ? 0 : sum / weight }
    }

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

    /// Adds to the mean of a named quantity.
    public mutating func add(_ name: String, _ value: Double, weight: Double = 1) {
        add(NamedSum(name: name, sum: value * weight, weight: weight))
    }

    private mutating func add(_ sum: NamedSum) {
        guard let index = named.firstIndex(where: { $0.name == sum.name }) else {
            named.append(sum)
            return
        }
        named[index].sum += sum.sum
        named[index].weight += sum.weight
    }

    /// Adds the sums of later tokens.
    public mutating func add(_ later: LossStatistics) {
        lossSum += later.lossSum
        weightSum += later.weightSum
        tokenCount += later.tokenCount
        correctCount += later.correctCount
        entropySum += later.entropySum
        for sum in later.named { add(sum) }
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
