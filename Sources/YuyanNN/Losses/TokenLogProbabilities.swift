import YuyanTensor

/// Log-probabilities `[S]` of the targets under the head's logits, for losses that need several at once.
///
/// The engine's bits (`LogSoftmax`). Logits live a stretch of rows at a time and are computed again by
/// the backward: `dlogits = dy (onehot - softmax)`. A loss that is a sum over tokens is cheaper through
/// `tokenScores`.
///
/// - Parameters:
///   - x: Rows `[S, C]` that the head reads.
///   - targets: A token for each row, `[S]`.
///   - distribution: What the tokens were drawn from.
package func tokenLogProbabilities(
    _ x: Tensor, targets: [Int32], distribution: TokenDistribution = TokenDistribution(),
    head: OutputHead, on device: Device
) -> Tensor {
    tokenLogProbabilities(
        x, targets: targets, distribution: distribution, head: head, on: device
    ) { _, _ in }
}

/// The same, and the mean of each row's logits as the head gave them, `[S]`.
///
/// - Parameter meanLogits: Is added to, row by row.
package func tokenLogProbabilities(
    _ x: Tensor, targets: [Int32], distribution: TokenDistribution = TokenDistribution(),
    head: OutputHead, meanLogits: inout [Float], on device: Device
) -> Tensor {
    var means: [Float] = []
    let values = tokenLogProbabilities(
        x, targets: targets, distribution: distribution, head: head, on: device
    ) { count, logits in
        means += rowsInParallel(count, on: device) { logits.withRow($0) { mean(of: $0) } }
    }
    meanLogits += means
    return values
}

/// The mean of a row, summed in float64 over blocks of 256, each in eight float32 chains.
private func mean(of row: UnsafeBufferPointer<Float>) -> Float {
    var (sum, start) = (0.0, 0)
    while start < row.count {
        let end = min(start + 256, row.count)
        var block = SIMD8<Float>.zero
        while start + 8 <= end {
            for lane in 0..<8 { block[lane] += row[start + lane] }
            start += 8
        }
        while start < end {
            block[start % 8] += row[start]
            start += 1
        }
        sum += Double(block.sum())
    }
    return Float(sum / Double(row.count))
}

/// - Parameter look: Gets each stretch of logits before anything is done with it.
private func tokenLogProbabilities(
    _ x: Tensor, targets: [Int32], distribution: TokenDistribution, head: OutputHead,
    on device: Device, look: (_ count: Int, _ logits: Tensor) -> Void
) -> Tensor {
    precondition(targets.count == x.rowCount, "\(targets.count) targets for \(x.shape)")
    func score(
        _ row: Int, _ values: inout MutableSpan<Float>, slope: Double?, on device: Device
    ) -> Float {
        TokenScore(
            &values, target: Int(targets[row]), support: distribution.support(row),
            temperature: distribution.temperature, on: device,
            slope: slope.map { slope in { _ in TokenSlope(logProbability: slope) } }
        ).logProbability
    }
    var found: [Float] = []
    found.reserveCapacity(targets.count)
    let isReached = head.forEachChunk(of: x, on: device) { range, logits in
        look(range.count, logits)
        found += rowsInParallel(range.count, on: device) { index in
            logits.withMutableRow(index) {
                score(range.lowerBound + index, &$0, slope: nil, on: device)
            }
        }
    }
    var out = Tensor(found, shape: [found.count])
    guard let pass = device.training else { return out }
    device.record("tokenLogProbabilities", &out, isReached: isReached) { dy, gradients in
        let (dy, device) = (dy.values, gradients.device)
        let dx = head.backward(of: x, wanted: x.source != nil, pass: pass, on: device) {
            range, logits in
            _ = rowsInParallel(range.count, on: device) { index in
                let row = range.lowerBound + index
                return logits.withMutableRow(index) {
                    score(row, &$0, slope: Double(dy[row]), on: device)
                }
            }
        }
        if let dx { gradients.add(dx, to: x.source) }
    }
    return out
}
