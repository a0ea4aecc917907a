import YuyanNN
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How far a model's predictions are from those of a base model on the same text.
///
/// The quantities that llama.cpp's `llama-perplexity --kl-divergence` reports, but from logits as
/// they are: llama.cpp stores the base's log-probabilities in 16 bits and skips those below -16.
public struct Divergence: Sendable {
    /// Perplexity of the model.
    public let perplexity: Perplexity
    /// Perplexity of the base model.
    public let basePerplexity: Perplexity
    /// KL(base ‖ model) in nats at every scored position, ascending.
    public let sortedDivergences: [Double]
    /// Mean KL(base ‖ model), in nats.
    public let mean: Double
    /// Standard error of `mean`.
    public let meanError: Double
    /// `ln(PPL / PPL_base)`.
    public let logRatio: Double
    /// Standard error of `logRatio`, which counts that both saw the same text.
    public let logRatioError: Double
    /// Share of positions at which both put the same token first.
    public let sameTop: Double
    /// Mean change of the probability of the token that follows.
    public let meanProbabilityChange: Double
    /// Mean magnitude of that change.
    public let meanAbsoluteProbabilityChange: Double
    /// Root of the mean square of that change.
    public let rmsProbabilityChange: Double
    /// Largest magnitude of that change.
    public let largestProbabilityChange: Double
    /// Largest difference of two logits of one token at one position.
    public let largestLogitChange: Float

    /// Standard error of `sameTop`.
    public var sameTopError: Double {
        (sameTop * (1 - sameTop) / Double(max(1, sortedDivergences.count - 1))).squareRoot()
    }

    /// The divergence that this share of positions does not exceed, interpolated.
    public func quantile(_ share: Double) -> Double {
        precondition((0...1).contains(share), "a share of \(share)")
        guard let last = sortedDivergences.last else { return 0 }
        let place = share * Double(sortedDivergences.count - 1)
        let index = Int(place)
        guard index + 1 < sortedDivergences.count else { return last }
        let part = place - Double(index)
        return (1 - part) * sortedDivergences[index] + part * sortedDivergences[index + 1]
    }

    init(_ rows: [RowDivergence]) {
        let losses = rows.map(\.loss)
        let baseLosses = rows.map(\.baseLoss)
        perplexity = Perplexity(losses: losses)
        basePerplexity = Perplexity(losses: baseLosses)
        let divergence = MeanWithError(rows.map(\.divergence))
        mean = divergence.mean
        meanError = divergence.error
        let ratio = MeanWithError(zip(losses, baseLosses).map { $0 - $1 })
        logRatio = ratio.mean
        logRatioError = ratio.error
        let count = Double(max(1, rows.count))
        sameTop = Double(rows.count { $0.sameTop }) / count
        let changes = rows.map { exp(-$0.loss) - exp(-$0.baseLoss) }
        meanProbabilityChange = changes.reduce(0, +) / count
        meanAbsoluteProbabilityChange = changes.reduce(0) { $0 + $1.magnitude } / count
        rmsProbabilityChange = (changes.reduce(0) { $0 + $1 * $1 } / count).squareRoot()
        largestProbabilityChange = changes.reduce(0) { max($0, $1.magnitude) }
        largestLogitChange = rows.reduce(0) { max($0, $1.logitChange) }
        sortedDivergences = rows.map(\.divergence).sorted()
    }
}

/// A model with the device, cache storage and adapter that it is evaluated with.
public struct EvaluatedModel: Sendable {
    /// The weights.
    public let model: Decoder
    /// Where it runs, and at which precision.
    public let device: Device
    /// Storage of the cache.
    public let keyValueType: KeyValueType
    /// Low-rank update that it is evaluated with; nil for the model as it is.
    public let adapter: LowRankAdapter?

    /// Puts them together; the adapter must be loaded for the model.
    public init(
        model: Decoder, device: Device, keyValueType: KeyValueType = .f16,
        adapter: LowRankAdapter? = nil
    ) {
        self.model = model
        self.device = device
        self.keyValueType = keyValueType
        self.adapter = adapter
    }
}

/// Measures how far a model's predictions are from a base model's on windows of text.
///
/// Both may be one `Decoder` on two devices of different precision, which shares the weights.
///
/// - Parameters:
///   - base: What counts as right.
///   - onWindow: Called after each window with how many are done and the result so far.
/// - Throws: `EvaluationError` if the vocabularies differ or the windows do not fit a model.
public func divergence(
    of model: EvaluatedModel, from base: EvaluatedModel, on windows: EvaluationWindows,
    onWindow: (Int, Divergence) -> Void = { _, _ in }
) throws(EvaluationError) -> Divergence {
    let sizes = (model.model.shape.vocabularySize, base.model.shape.vocabularySize)
    guard sizes.0 == sizes.1 else { throw .vocabularies(sizes.0, base: sizes.1) }
    let runners = [model, base].map {
        WindowRunner($0, context: windows.context)
    }
    for runner in runners { try runner.check(windows) }
    var rows: [RowDivergence] = []
    for index in 0..<windows.count {
        let stretches = runners.map {
            $0.stretches(windows.input(index), firstScored: windows.firstScored)
        }
        for (own, other) in zip(stretches[0], stretches[1]) {
            let logits = runners[0].logits(own)
            let baseLogits = runners[1].logits(other)
            rows += rowsInParallel(own.rows.count, on: model.device) { row in
                let target = windows.target(index, after: own.firstPosition + row)
                return logits.withRow(row) { logits in
                    baseLogits.withRow(row) {
                        RowDivergence(logits, base: $0, target: target, on: model.device)
                    }
                }
            }
        }
        onWindow(index + 1, Divergence(rows))
    }
    return Divergence(rows)
}

/// The comparison of two rows of logits.
struct RowDivergence: BitwiseCopyable {
    let loss: Double
    let baseLoss: Double
    /// KL(base ‖ model), in nats.
    let divergence: Double
    let sameTop: Bool
    /// Largest difference of two logits.
    let logitChange: Float
}

extension RowDivergence {
    /// In float64 throughout: a divergence of 1e-6 is what is left when sums of order 10 cancel.
    init(
        _ logits: UnsafeBufferPointer<Float>, base: UnsafeBufferPointer<Float>, target: Int,
        on device: Device
    ) {
        let (top, baseTop) = (device.argmax(logits), device.argmax(base))
        let (largest, baseLargest) = (Double(logits[top]), Double(base[baseTop]))
        var (sum, baseSum, weighted) = (0.0, 0.0, 0.0)
        var change: Float = 0
        for index in base.indices {
            let (x, y) = (Double(logits[index]), Double(base[index]))
            let mass = exp(y - baseLargest)
            sum += exp(x - largest)
            baseSum += mass
            if mass > 0 { weighted += mass * (y - x) }
            change = max(change, (logits[index] - base[index]).magnitude)
        }
        logitChange = change
        let logSum = largest + log(sum)
        let baseLogSum = baseLargest + log(baseSum)
        loss = logSum - Double(logits[target])
        baseLoss = baseLogSum - Double(base[target])
        divergence = max(0, weighted / baseSum + logSum - baseLogSum)
        sameTop = top == baseTop
    }
}
