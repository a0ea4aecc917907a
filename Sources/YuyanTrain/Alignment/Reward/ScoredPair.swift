/// What a reward model says of a pair of answers, and how long they are.
package struct ScoredPair: Sendable, Hashable {
    package let chosenScore: Double
    package let rejectedScore: Double
    /// Tokens of the chosen answer.
    package let chosenLength: Int
    package let rejectedLength: Int

    package init(
        chosenScore: Double, rejectedScore: Double, chosenLength: Int, rejectedLength: Int
    ) {
        self.chosenScore = chosenScore
        self.rejectedScore = rejectedScore
        self.chosenLength = chosenLength
        self.rejectedLength = rejectedLength
    }

    var scoreDifference: Double { chosenScore - rejectedScore }
    var lengthDifference: Double { Double(chosenLength - rejectedLength) }
    /// Whether the model ranks the pair as people did; equal scores do not.
    var isRanked: Bool { chosenScore > rejectedScore }
}

extension Collection where Element == ScoredPair {
    /// Share of pairs that are ranked as people did; nothing of no pairs.
    var accuracy: Double? {
        isEmpty ? nil : Double(count(where: \.isRanked)) / Double(count)
    }
}
