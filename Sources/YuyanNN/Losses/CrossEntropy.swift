import YuyanTensor

/// Cross-entropy of the head's logits, `-log p(target)`, and its gradient in the same sweep.
///
/// Logits live a stretch of rows at a time; each row becomes its own gradient in place,
/// `(softmax - onehot) weight / normalizer`, and goes back through the head before the next stretch.
/// Log-probabilities are the engine's (`LogSoftmax`). The idea of never holding all logits: Wijmans et
/// al., "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009.
///
/// - Parameters:
///   - x: Rows `[S, C]` that the head reads, one for each supervised token.
///   - targets: The tokens to predict, `[S]`.
///   - weights: Of each row's loss, `[S]`.
///   - normalizer: What the sum of weighted losses is divided by: the sum of weights over the whole
///     optimiser step, so that accumulation does not depend on how the step is cut.
///   - statistics: Is added to, in the order of rows.
/// - Returns: The gradient of `x`, `[S, C]`; nil if nobody wants it or the device does not train.
package func crossEntropy(
    _ x: Tensor, targets: [Int32], weights: [Float], normalizer: Double, head: OutputHead,
    statistics: inout LossStatistics, on device: Device
) -> Tensor? {
    precondition(weights.count == x.rowCount, "\(weights.count) weights for \(x.shape)")
    let (scores, gradient) = tokenScores(x, targets: targets, head: head, on: device) { row, _ in
        TokenSlope(logProbability: -(Double(weights[row]) / normalizer))
    }
    for (score, weight) in zip(scores, weights) { statistics.add(score, weight: weight) }
    return gradient
}

/// What the head thinks of tokens, and the gradient of any loss that is a sum over them.
///
/// Each row of logits is scored, asked for the loss's slope there, and goes back through the head
/// before the next stretch of rows: the head is computed once, not again in the backward.
///
/// - Parameters:
///   - x: Rows `[S, C]` that the head reads.
///   - targets: A token for each row, `[S]`.
///   - distribution: What the tokens were drawn from.
///   - slope: Gets a row's number and score; called from several threads.
/// - Returns: Scores `[S]`, and the gradient of `x`, `[S, C]`, nil if nobody wants it or the device
///   does not train.
package func tokenScores(
    _ x: Tensor, targets: [Int32], distribution: TokenDistribution = TokenDistribution(),
    head: OutputHead, on device: Device, slope: @escaping (Int, TokenScore) -> TokenSlope
) -> (scores: [TokenScore], gradient: Tensor?) {
    precondition(targets.count == x.rowCount, "\(targets.count) targets for \(x.shape)")
    var scores: [TokenScore] = []
    scores.reserveCapacity(targets.count)
    func compute(_ range: Range<Int>, _ logits: Tensor, gradient: Bool) {
        scores += rowsInParallel(range.count, on: device) { index in
            let row = range.lowerBound + index
            return logits.withMutableRow(index) { values in
                TokenScore(
                    &values, target: Int(targets[row]), support: distribution.support(row),
                    temperature: distribution.temperature, on: device,
                    slope: gradient ? { slope(row, $0) } : nil)
            }
        }
    }
    guard let pass = device.training, pass.tape != nil else {
        _ = head.forEachChunk(of: x, on: device) { compute($0, $1, gradient: false) }
        return (scores, nil)
    }
    let gradient = head.backward(of: x, wanted: x.source != nil, pass: pass, on: device) {
        compute($0, $1, gradient: $1.source != nil)
    }
    return (scores, gradient)
}
