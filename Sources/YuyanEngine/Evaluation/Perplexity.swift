import YuyanNN
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How well a model predicts a text: `exp` of the mean negative log-probability of its tokens.
public struct Perplexity: Sendable, Hashable {
    /// Mean negative log-probability, in nats.
    public let meanLoss: Double
    /// Standard error of `meanLoss`, as if tokens were independent.
    public let lossError: Double
    /// Predictions scored.
    public let scoredTokens: Int

    /// `exp(meanLoss)`.
    public var value: Double { exp(meanLoss) }
    /// Standard error of `value`.
    public var error: Double { value * lossError }

    /// Sums the losses in order, in float64, so that threads cannot change the result.
    init(losses: [Double]) {
        let statistics = MeanWithError(losses)
        meanLoss = statistics.mean
        lossError = statistics.error
        scoredTokens = losses.count
    }
}

/// Measures a model's perplexity on windows of text.
///
/// Windows, scored positions and the error estimate are those of llama.cpp's `llama-perplexity`.
///
/// - Parameters:
///   - keyValueType: Storage of the cache.
///   - adapter: Loaded for the model; nil for the model as it is.
///   - onWindow: Called after each window with how many are done and the perplexity so far.
/// - Throws: `EvaluationError` if the windows do not fit the model.
public func perplexity(
    of windows: EvaluationWindows, model: Decoder, device: Device,
    keyValueType: KeyValueType = .f16, adapter: LowRankAdapter? = nil,
    onWindow: (Int, Perplexity) -> Void = { _, _ in }
) throws(EvaluationError) -> Perplexity {
    let runner = WindowRunner(
        EvaluatedModel(
            model: model, device: device, keyValueType: keyValueType, adapter: adapter),
        context: windows.context)
    try runner.check(windows)
    var losses: [Double] = []
    losses.reserveCapacity(windows.count * windows.scoredPerWindow)
    for index in 0..<windows.count {
        for stretch in runner.stretches(
            windows.input(index), firstScored: windows.firstScored)
        {
            let logits = runner.logits(stretch)
            losses += rowsInParallel(stretch.rows.count, on: device) { row in
                let target = windows.target(index, after: stretch.firstPosition + row)
                return logits.withRow(row) { device.loss($0, target: target) }
            }
        }
        onWindow(index + 1, Perplexity(losses: losses))
    }
    return Perplexity(losses: losses)
}

extension Device {
    /// Negative log-probability of `target` under a row of logits, in nats.
    func loss(_ logits: UnsafeBufferPointer<Float>, target: Int) -> Double {
        let (largest, sum) = sumOfExponentials(logits)
        return deterministicLog(Double(sum)) - (Double(logits[target]) - Double(largest))
    }
}

/// A mean and its standard error.
struct MeanWithError {
    let mean: Double
    let error: Double

    init(_ values: [Double]) {
        let count = Double(values.count)
        guard count > 1 else {
            mean = values.first ?? 0
            error = 0
            return
        }
        let mean = values.reduce(0, +) / count
        let variance = values.reduce(0) { $0 + $1 * $1 } / count - mean * mean
        self.mean = mean
        error = (max(0, variance) / (count - 1)).squareRoot()
    }
}
