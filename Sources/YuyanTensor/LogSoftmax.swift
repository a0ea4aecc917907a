/// What turns a row of logits into log-probabilities, by the sampler's definition.
///
/// `log p = (x - maximum) / temperature - logSum`. The exponentials and their sum are those of docs/numerics.md,
/// "Sampling": so a trainer and an engine agree bit for bit.
package struct LogSoftmax: Sendable {
    package let maximum: Float
    /// What differences are divided by before they are raised; 1 for the model's own distribution.
    package let temperature: Float
    /// The sum of `exp((x - maximum) / temperature)`.
    package let sum: Double
    /// Its logarithm in float64, rounded once; NaN if a logit is NaN or infinite.
    package let logSum: Float

    /// - Parameters:
    ///   - logits: One row, `[V]`.
    ///   - maximum: The largest of them.
    ///   - keeps: Where `exp((x - maximum) / temperature)` is left, `[V]`; may be the logits' own memory.
    ///   - onBlock: Sees each block's logits and exponentials before the former are overwritten.
    package init(
        of logits: UnsafeBufferPointer<Float>, maximum: Float, temperature: Float = 1,
        keeps: UnsafeMutablePointer<Float>? = nil,
        onBlock: (UnsafeBufferPointer<Float>, Span<Float>) -> Void = { _, _ in }
    ) {
        self.maximum = maximum
        self.temperature = temperature
        var sum = 0.0
        withUnsafeTemporaryAllocation(of: Float.self, capacity: sumBlock) { scratch in
            for start in stride(from: 0, to: logits.count, by: sumBlock) {
                let count = min(sumBlock, logits.count - start)
                let block = UnsafeBufferPointer(rebasing: logits[start..<start + count])
                LogitRows.exponentials(of: block, minus: maximum, over: temperature, into: scratch)
                let exponentials = UnsafeBufferPointer(rebasing: scratch[..<count]).span
                sum += Double(blockSum(exponentials, 0..<count))
                onBlock(block, exponentials)
                if let keeps, let from = scratch.baseAddress {
                    (keeps + start).update(from: from, count: count)
                }
            }
        }
        self.sum = sum
        // A sum of exponentials is at least 1, unless a logit is not a number.
        logSum = sum > 0 && sum < .infinity ? Float(deterministicLog(sum)) : .nan
    }

    /// The log-probability of a token with this logit.
    package func logProbability(_ logit: Float) -> Float {
        (logit - maximum) / temperature - logSum
    }
}
