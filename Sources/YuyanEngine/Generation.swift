import YuyanNN
import YuyanTensor

/// What a generation produced, and how fast.
public struct Generation: Sendable {
    /// The prompt's tokens.
    public var promptTokens: [Int32]
    /// Generated tokens; the last is the end token if one ended it.
    public var tokens: [Int32] = []
    /// Why the generation ended; `.length` for the token limit and for a full context.
    public var finish: Finish = .length
    /// Log-probability of every prompt token given those before it, if asked for; the first has none.
    public var promptLogProbabilities: [TokenLogProbabilities?] = []
    /// Raw log-probabilities of the generated tokens, if asked for.
    public var logProbabilities: [TokenLogProbabilities] = []
    /// Prompt tokens that had to be computed (the rest were cached).
    public var prefilledTokens = 0
    /// Wall-clock time from the start to the first logits.
    public var prefillTime = Duration.zero
    /// Wall-clock time of the forward passes after the first logits, sampling left out.
    public var decodeTime = Duration.zero

    /// Prompt tokens computed per second.
    public var prefillRate: Double { rate(prefilledTokens, prefillTime) }
    /// Generated tokens per second after the first, which belongs to prefill.
    public var decodeRate: Double { rate(tokens.count - 1, decodeTime) }

    private func rate(_ count: Int, _ time: Duration) -> Double {
        count > 0 && time > .zero ? Double(count) / (time / .seconds(1)) : 0
    }
}

extension Session {
    /// Continues a prompt token by token until an end token, a limit, or the caller stops it.
    ///
    /// - Parameters:
    ///   - parameters: Sampling settings; `logprobs` asks for log-probabilities.
    ///   - endOfSequence: The model's own stop tokens.
    ///   - promptLogProbabilities: Also score the prompt, which computes its logits at every position.
    ///   - onToken: Called with each token as it comes; returning a finish ends the generation.
    /// - Throws: `GenerationError`, `SamplingError`.
    public func generate(
        prompt: [Int32], parameters: SamplingParameters, endOfSequence: [Int32],
        promptLogProbabilities: Bool = false, onToken: (Int32) -> Finish? = { _ in nil }
    ) throws -> Generation {
        try check(prompt)
        var result = Generation(promptTokens: prompt)
        var sampler = try Sampler(
            parameters: parameters, vocabularySize: vocabularySize, endOfSequence: endOfSequence)
        sampler.accept(prompt: prompt)
        let clock = ContinuousClock()
        let start = clock.now
        var logits: Tensor
        if promptLogProbabilities {
            let top = parameters.logprobs ?? 0
            result.promptLogProbabilities = [nil]
            logits = try prefill(prompt) { position, row in
                guard position + 1 < prompt.count else { return }
                result.promptLogProbabilities.append(
                    try YuyanEngine.logProbabilities(
                        of: row.span, token: prompt[position + 1], topCount: top))
            }
            result.prefilledTokens = prompt.count
        } else {
            result.prefilledTokens = prompt.count - reusableTokens(of: prompt)
            logits = try prefill(prompt)
        }
        result.prefillTime = clock.now - start
        let limit = parameters.maxTokens ?? .max
        var values = [Float](repeating: 0, count: vocabularySize)
        while result.tokens.count < limit {
            let token = try next(
                &sampler, logits, &values, position: prompt.count + result.tokens.count, &result)
            result.tokens.append(token)
            if let finish = onToken(token) ?? sampler.finish(after: token) {
                result.finish = finish
                break
            }
            if isFull || result.tokens.count == limit { break }
            let step = clock.now
            logits = try decode(token)
            result.decodeTime += clock.now - step
        }
        return result
    }

    private func next(
        _ sampler: inout Sampler, _ logits: Tensor, _ values: inout [Float], position: Int,
        _ result: inout Generation
    ) throws -> Int32 {
        logits.withRow(0) { row in
            for index in row.indices { values[index] = row[index] }
        }
        guard sampler.parameters.logprobs != nil else {
            return try sampler.sample(logits: &values, position: position)
        }
        var span = values.mutableSpan
        let scored = try sampler.sampleWithLogProbabilities(logits: &span, position: position)
        result.logProbabilities.append(scored)
        return scored.chosen.token
    }
}
