import YuyanModels
import YuyanNN

/// Answers that the model wrote to one prompt, with everything that learning from them needs.
package struct Rollout: Sendable {
    /// Ids of the prompt.
    package let prompt: [Int32]
    /// As many as a group has.
    package let answers: [WrittenAnswer]

    package var group: AnswerGroup {
        AnswerGroup(prompt: prompt, answers: answers.map(\.tokens))
    }
}

/// One answer as it was drawn, token by token.
package struct WrittenAnswer: Sendable, Hashable {
    /// Ids, the one that ended the answer included.
    package var tokens: [Int32] = []
    /// Log-probability of each in the distribution that it was drawn from.
    package var logProbabilities: [Float] = []
    /// For each the tokens that could be drawn; empty for all.
    package var supports: [[Int32]] = []
    /// Whether the model ended it; false if it was cut.
    package var hasEnded = false
    /// Updates of the weights before each token was drawn: how stale it is.
    package var weightVersions: [Int] = []
}
