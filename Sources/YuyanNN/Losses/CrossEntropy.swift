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
    precondition(
        targets.count == x.rowCount && weights.count == x.rowCount,
        "\(targets.count) targets and \(weights.count) weights for \(x.shape)")
    var rows: [RowLoss] = []
    rows.reserveCapacity(targets.count)
    func compute(_ range: Range<Int>, _ logits: Tensor, gradient: Bool) {
        rows += rowsInParallel(range.count, on: device) { index in
            let row = range.lowerBound + index
            return logits.withMutableRow(index) { values in
                RowLoss(
                    &values, target: Int(targets[row]),
                    factor: gradient ? Double(weights[row]) / normalizer : nil, on: device)
            }
        }
    }
    var gradient: Tensor?
    if let pass = device.training, pass.tape != nil {
        gradient = head.backward(of: x, wanted: x.source != nil, pass: pass, on: device) {
            compute($0, $1, gradient: $1.source != nil)
        }
    } else {
        _ = head.forEachChunk(of: x, on: device) { compute($0, $1, gradient: false) }
    }
    for (row, weight) in zip(rows, weights) {
        statistics.lossSum += Double(weight) * -Double(row.logProbability)
        statistics.weightSum += Double(weight)
        statistics.tokenCount += 1
        statistics.correctCount += row.isCorrect ? 1 : 0
        statistics.entropySum += row.entropy
    }
    return gradient
}

/// What one row of logits says of its target.
private struct RowLoss: BitwiseCopyable {
    let logProbability: Float
    let isCorrect: Bool
    let entropy: Double

    /// - Parameters:
    ///   - logits: Replaced by the loss's gradient if there is a `factor`, else undefined afterwards.
    ///   - factor: Multiplies the gradient.
    init(
        _ logits: inout MutableSpan<Float>, target: Int, factor: Double?, on device: Device
    ) {
        self = logits.withUnsafeMutableBufferPointer { row in
            precondition(row.indices.contains(target), "token \(target) of \(row.count)")
            let best = device.argmax(UnsafeBufferPointer(row))
            let (maximum, logit) = (row[best], row[target])
            var weighted = 0.0
            let softmax = LogSoftmax(
                of: UnsafeBufferPointer(row), maximum: maximum, keeps: row.baseAddress
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
            if let factor {
                let scale = Float(factor / softmax.sum)
                for index in row.indices { row[index] *= scale }
                row[target] -= Float(factor)
            }
            return RowLoss(
                logProbability: softmax.logProbability(logit), isCorrect: best == target,
                entropy: Double(softmax.logSum) - weighted / softmax.sum)
        }
    }

    private init(logProbability: Float, isCorrect: Bool, entropy: Double) {
        self.logProbability = logProbability
        self.isCorrect = isCorrect
        self.entropy = entropy
    }
}
