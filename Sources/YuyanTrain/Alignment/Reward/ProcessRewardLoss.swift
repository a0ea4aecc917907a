/// The loss of a process reward model: binary cross-entropy of each step of an answer.
///
/// Lightman et al., "Let's Verify Step by Step", arXiv:2305.20050. One score a step instead of a
/// token's two: `sigmoid(score)` is the chance that the step is right.
package enum ProcessRewardLoss {
    /// The loss of an answer's steps and its derivative by each score.
    ///
    /// - Parameters:
    ///   - labels: 1 where a step is right, 0 where it is wrong; shares of judges lie between.
    ///   - stepCount: Steps of all answers that the training step takes the mean over.
    package static func evaluated(
        scores: [Double], labels: [Double], stepCount: Int
    ) -> (loss: Double, gradients: [Double]) {
        precondition(
            scores.count == labels.count && stepCount >= scores.count,
            "\(scores.count) scores, \(labels.count) labels, a mean over \(stepCount) steps")
        var loss = 0.0
        let gradients = zip(scores, labels).map { score, label in
            let (value, derivative) = binaryCrossEntropy(score, label: label)
            loss += value / Double(stepCount)
            return derivative / Double(stepCount)
        }
        return (loss, gradients)
    }
}
