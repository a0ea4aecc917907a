/// How likely one answer is to the trained model, and to the reference.
package struct SequenceScore: Sendable, Hashable {
    /// Sum of its tokens' log-probabilities under the trained model.
    package var sum: Double
    /// The same under the reference; nothing where no loss asks for it.
    package var reference: Double?
    /// The number of these tokens.
    package let tokenCount: Int

    /// - Precondition: There is a token.
    package init(sum: Double, reference: Double? = nil, tokenCount: Int) {
        precondition(tokenCount > 0, "an answer of \(tokenCount) tokens; drop empty answers")
        self.sum = sum
        self.reference = reference
        self.tokenCount = tokenCount
    }

    /// Mean log-probability of a token.
    package var mean: Double { sum / Double(tokenCount) }

    /// Log of how much likelier the answer is than under the reference.
    ///
    /// - Precondition: There is a `reference`.
    package var logRatio: Double {
        guard let reference else {
            preconditionFailure("this loss needs the reference's log-probability, found none")
        }
        return sum - reference
    }
}

/// A chosen and a rejected answer to one prompt.
package struct PairScores: Sendable, Hashable {
    package var chosen: SequenceScore
    package var rejected: SequenceScore
    /// What the chosen answer's negative log-likelihood is divided by, in losses that bring their own.
    ///
    /// Nothing: its own number of tokens, as LLaMA-Factory does. The mean number of tokens of a step's
    /// chosen answers makes the step's mean that over tokens which TRL takes.
    package var likelihoodLength: Double?

    package init(
        chosen: SequenceScore, rejected: SequenceScore, likelihoodLength: Double? = nil
    ) {
        self.chosen = chosen
        self.rejected = rejected
        self.likelihoodLength = likelihoodLength
    }
}
