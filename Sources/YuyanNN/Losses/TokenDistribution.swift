import YuyanTensor

/// What rows of logits were turned into when tokens were drawn from them.
///
/// A draw from a few likely tokens, or at another temperature, has probabilities of its own. A trainer
/// that weighs such draws needs exactly those, or its importance ratios start off 1.
package struct TokenDistribution: Sendable {
    /// What logits are divided by.
    package var temperature: Float
    /// For each row the tokens that could be drawn, in ascending order; empty for all of them. No
    /// rows at all if every token could be drawn everywhere.
    package var supports: [[Int32]]

    /// The model's own distribution over all tokens, unless told otherwise.
    package init(temperature: Float = 1, supports: [[Int32]] = []) {
        precondition(temperature > 0, "temperature \(temperature)")
        self.temperature = temperature
        self.supports = supports
    }

    func support(_ row: Int) -> [Int32] { supports.isEmpty ? [] : supports[row] }
}

/// What a model thinks of a token.
package struct TokenScore: BitwiseCopyable, Hashable, Sendable {
    /// Natural logarithm of its probability.
    package let logProbability: Float
    /// Whether it was the most likely one.
    package let isCorrect: Bool
    /// Entropy of the distribution that it was drawn from, in nats.
    package let entropy: Double
}

/// How a loss changes with what a model thinks of a token.
package struct TokenSlope: BitwiseCopyable, Hashable, Sendable {
    /// Derivative with respect to the token's log-probability.
    package var logProbability: Double
    /// Derivative with respect to the distribution's entropy.
    package var entropy: Double

    package init(logProbability: Double, entropy: Double = 0) {
        self.logProbability = logProbability
        self.entropy = entropy
    }
}

extension TokenScore {
    /// Scores one row, and turns it into the gradient of a loss if there is one.
    ///
    /// `dlogits = (slope (onehot - p) - entropySlope p (log p + H)) / temperature`; nothing reaches tokens
    /// outside the support.
    ///
    /// - Parameters:
    ///   - logits: Undefined afterwards without a slope.
    ///   - support: As in `TokenDistribution`.
    ///   - slope: The loss's, once the score is known.
    init(
        _ logits: inout MutableSpan<Float>, target: Int, support: [Int32], temperature: Float,
        on device: Device, slope: ((TokenScore) -> TokenSlope)?
    ) {
        self = logits.withUnsafeMutableBufferPointer { row in
            precondition(row.indices.contains(target), "token \(target) of \(row.count)")
            let best = device.argmax(UnsafeBufferPointer(row))
            guard !support.isEmpty else {
                return TokenScore(
                    row, target: target, best: best, temperature: temperature, slope: slope)
            }
            return withUnsafeTemporaryAllocation(of: Float.self, capacity: support.count) { few in
                for (place, token) in support.enumerated() { few[place] = row[Int(token)] }
                guard let place = support.firstIndex(of: Int32(target)) else {
                    preconditionFailure("token \(target) is not among those that could be drawn")
                }
                let score = TokenScore(
                    few, target: place, best: device.argmax(UnsafeBufferPointer(few)),
                    temperature: temperature, slope: slope)
                if slope != nil {
                    row.update(repeating: 0)
                    for (place, token) in support.enumerated() { row[Int(token)] = few[place] }
                }
                return TokenScore(
                    logProbability: score.logProbability, isCorrect: best == target,
                    entropy: score.entropy)
            }
        }
    }

    private init(
        _ row: UnsafeMutableBufferPointer<Float>, target: Int, best: Int, temperature: Float,
        slope: ((TokenScore) -> TokenSlope)?
    ) {
        let (maximum, logit) = (row[best], row[target])
        var weighted = 0.0
        let softmax = LogSoftmax(
            of: UnsafeBufferPointer(row), maximum: maximum, temperature: temperature,
            keeps: row.baseAddress
        ) { x, exponentials in
            var sum = SIMD8<Float>.zero
            var index = 0
            while index + 8 <= x.count {
                for lane in 0..<8 {
                    sum[lane] += exponentials[index + lane] * (x[index + lane] - maximum)
                }
                index += 8
            }
            while index < x.count {
                sum[index % 8] += exponentials[index] * (x[index] - maximum)
                index += 1
            }
            weighted += Double(sum.sum())
        }
        let score = TokenScore(
            logProbability: softmax.logProbability(logit), isCorrect: best == target,
            entropy: Double(softmax.logSum) - weighted / Double(temperature) / softmax.sum)
        if let slope = slope?(score) {
            let (factor, bend) = (
                slope.logProbability / Double(temperature), slope.entropy / Double(temperature)
            )
            if bend == 0 {
                let scale = Float(-factor / softmax.sum)
                for index in row.indices { row[index] *= scale }
            } else {
                for index in row.indices {
                    let p = Double(row[index]) / softmax.sum
                    let logarithm = p > 0 ? deterministicLog(p) : 0
                    row[index] = Float(-p * (factor + bend * (logarithm + score.entropy)))
                }
            }
            row[target] += Float(factor)
        }
        self = score
    }
}
