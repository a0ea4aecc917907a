import YuyanNN
import YuyanTensor

/// How fast a model reads a prompt and writes an answer, run by run.
public struct Speed: Sendable {
    /// Prompt tokens per second of each run, the last row of logits included.
    public let prefill: [Double]
    /// Tokens per second of each run, one at a time from an empty context.
    public let decode: [Double]
}

/// The least, the middle and the greatest of some numbers.
public struct Spread: Sendable, Hashable {
    /// The smallest.
    public let least: Double
    /// The middle one, or the mean of the two in the middle.
    public let median: Double
    /// The largest.
    public let greatest: Double

    /// - Parameter values: At least one.
    public init(_ values: [Double]) {
        precondition(!values.isEmpty, "nothing to summarise")
        let sorted = values.sorted()
        least = sorted[0]
        greatest = sorted[sorted.count - 1]
        median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}

/// Measures prefill and decode the way `llama-bench` does with `-p` and `-n`.
///
/// Prefill is a prompt of fixed pseudo-random tokens in an empty cache; decode starts from nothing
/// as well, one token at a time, the likeliest each. One run of each is not counted.
///
/// - Parameters:
///   - promptTokens: Length of the prompt; 0 leaves prefill out.
///   - generateTokens: Tokens to decode; 0 leaves decode out.
///   - repeats: Counted runs, at least 1.
///   - chunkSize: Tokens to a prefill pass.
///   - onRun: Called after each counted run with how many are done.
/// - Throws: `GenerationError` if the model's context is too short.
public func measuredSpeed(
    of model: EvaluatedModel, promptTokens: Int, generateTokens: Int, repeats: Int,
    chunkSize: Int = 512, onRun: (Int) -> Void = { _ in }
) throws -> Speed {
    precondition(repeats > 0, "no runs to measure")
    let session = Session(
        model: model.model, device: model.device, keyValueType: model.keyValueType,
        chunkSize: chunkSize)
    let random = CounterRandom(seed: 0)
    let prompt = (0..<max(promptTokens, 0)).map {
        Int32(random.word64(position: UInt64($0)) % UInt64(session.vocabularySize))
    }
    var (prefill, decode): ([Double], [Double]) = ([], [])
    for run in 0...repeats {
        if !prompt.isEmpty {
            let rate = try rate(tokens: prompt.count) {
                session.truncate(to: 0)
                _ = try session.prefill(prompt)
            }
            if run > 0 { prefill.append(rate) }
        }
        if generateTokens > 0 {
            let rate = try rate(tokens: generateTokens) {
                session.truncate(to: 0)
                var token: Int32 = 0
                for _ in 0..<generateTokens {
                    let logits = try session.decode(token)
                    token = logits.withRow(0) { Int32(model.device.argmax($0)) }
                }
            }
            if run > 0 { decode.append(rate) }
        }
        if run > 0 { onRun(run) }
    }
    return Speed(prefill: prefill, decode: decode)
}

private func rate(tokens: Int, _ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try body()
    return Double(tokens) / ((clock.now - start) / .seconds(1))
}
