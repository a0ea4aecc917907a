import YuyanNN
import YuyanTensor

/// What guessing ahead did to one piece of work, against the same work without.
public struct SpeculationSpeed: Sendable {
    /// Tokens per second after the first, of each run, one pass a token.
    public var plain: [Double] = []
    /// The same with guesses.
    public var guessed: [Double] = []
    /// Guessed tokens, and how many of them were right, in all runs.
    public var drafted = 0
    /// Guessed tokens that were right.
    public var accepted = 0
    /// The controller's last words.
    public var explanation = ""
    /// Whether both gave the same tokens, as they must.
    public var agrees = true
}

/// Decodes the same prompts with and without guesses, in turn, and compares.
///
/// - Parameters:
///   - prompts: Sequences that run at once.
///   - parameters: How tokens are chosen; `maxTokens` bounds each answer.
///   - draftModel: The model that guesses, if `speculation` is `.draft`.
///   - repeats: Counted pairs of runs; one pair more comes first.
/// - Throws: `EngineError`.
public func measuredSpeculation(
    of model: EvaluatedModel, _ speculation: Speculation, draftModel: Decoder?,
    prompts: [[Int32]], parameters: SamplingParameters, endOfSequence: [Int32], maxLength: Int,
    repeats: Int
) async throws -> SpeculationSpeed {
    var configuration = EngineConfiguration()
    configuration.keyValueType = model.keyValueType
    configuration.keyValueBytes = 512 << 20
    let plain = try Engine(
        model: model.model, device: model.device, configuration: configuration,
        endOfSequence: endOfSequence)
    configuration.speculation = speculation
    configuration.maxDraftLength = maxLength
    let guessing = try Engine(
        model: model.model, device: model.device, configuration: configuration,
        endOfSequence: endOfSequence, draftModel: draftModel)
    var result = SpeculationSpeed()
    for run in 0...repeats {
        let (rate, tokens) = try await decoded(prompts, parameters, by: plain)
        let (guessedRate, guessedTokens) = try await decoded(prompts, parameters, by: guessing)
        result.agrees = result.agrees && tokens == guessedTokens
        if run > 0 {
            result.plain.append(rate)
            result.guessed.append(guessedRate)
        }
    }
    let statistics = guessing.statistics()
    result.drafted = statistics.draftedTokens
    result.accepted = statistics.acceptedTokens
    result.explanation = statistics.speculation?.explanation ?? ""
    return result
}

/// Tokens per second of all sequences together, from the last one's first token on.
private func decoded(
    _ prompts: [[Int32]], _ parameters: SamplingParameters, by engine: Engine
) async throws -> (rate: Double, tokens: [[Int32]]) {
    let streams = try prompts.enumerated().map { index, prompt in
        var parameters = parameters
        parameters.seed = UInt64(index)
        return try engine.submit(GenerationRequest(prompt: prompt, parameters: parameters))
    }
    var tokens: [[Int32]] = []
    var first: ContinuousClock.Instant?
    for stream in streams {
        var answer: [Int32] = []
        for try await case .token(_, let token, _) in stream {
            if first == nil { first = ContinuousClock.now }
            answer.append(token)
        }
        tokens.append(answer)
    }
    let count = tokens.reduce(0) { $0 + $1.count } - prompts.count
    let time = first.map { (ContinuousClock.now - $0) / .seconds(1) } ?? 0
    return (count > 0 && time > 0 ? Double(count) / time : 0, tokens)
}
