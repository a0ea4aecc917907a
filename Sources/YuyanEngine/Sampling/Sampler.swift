import YuyanTensor

/// Chooses the next token of one sequence.
///
/// The steps, in order: logit bias; repetition, then frequency and presence penalty; DRY; the
/// n-gram ban and the ban on early stops; temperature; top-k; typical; top-p; min-p; a draw. This
/// is the order of transformers and vLLM, which scale by temperature before they truncate;
/// llama.cpp truncates first and applies temperature last, and DRY before its other penalties.
/// transformers runs typical after min-p; vLLM runs min-p before top-k. With the temperature at 1
/// and one truncation at a time, all agree.
///
/// The draw is a pure function of seed, stream, position and logits (`CounterRandom`), and every
/// sum has a fixed order, so batches, threads and machines do not change the text. A temperature
/// below 0.00001 takes the largest logit after penalties, of equal ones the lowest id.
///
/// Minus infinity in the logits forbids a token, which is how callers apply a grammar. NaN and
/// plus infinity throw. At least one token always survives: bans of the sampler's own that would
/// forbid everything are lifted for that token.
public struct Sampler: Sendable {
    /// The parameters, as validated by `init`.
    public let parameters: SamplingParameters
    /// The length of each row of logits.
    public let vocabularySize: Int
    /// How many tokens were generated so far.
    public var generatedCount: Int { acceptedCount - promptCount }

    private let stream: UInt64
    private let endOfSequence: [Int32]
    private let bias: [(token: Int32, value: Float)]
    private let random: CounterRandom
    private let keepsHistory: Bool
    private var history: [Int32] = []
    private var acceptedCount = 0
    private var promptCount = 0
    private var penalties: Penalties?
    private var dry: DRY?
    private var ngrams: NgramBan?
    private var truncation = Truncation()
    private var rawLogits: [Float] = []

    /// Makes the sampler of one sequence.
    ///
    /// - Parameters:
    ///   - vocabularySize: Entries in a row of logits.
    ///   - endOfSequence: The model's own stop tokens.
    ///   - stream: Tells apart the sequences of one request that share a seed.
    /// - Throws: `SamplingError.parameter` if a field is out of its range.
    public init(
        parameters: SamplingParameters, vocabularySize: Int, endOfSequence: [Int32] = [],
        stream: UInt64 = 0
    ) throws(SamplingError) {
        precondition(
            vocabularySize > 0 && vocabularySize <= Int(Int32.max),
            "vocabulary of \(vocabularySize) tokens; expected 1 to 2^31 - 1")
        try parameters.validate(vocabularySize: vocabularySize)
        for token in endOfSequence {
            try check(token: token, in: "endOfSequence", vocabularySize: vocabularySize)
        }
        self.parameters = parameters
        self.vocabularySize = vocabularySize
        self.endOfSequence = endOfSequence
        self.stream = stream
        bias = parameters.logitBias.map { ($0.key, $0.value) }
        random = CounterRandom(seed: parameters.seed)
        penalties = Penalties(parameters)
        dry = DRY(parameters.dry)
        ngrams = NgramBan(parameters)
        keepsHistory = penalties != nil || dry != nil || ngrams != nil
    }

    /// Counts the tokens before the answer; may be called in pieces, before the first `sample`.
    public mutating func accept(prompt: [Int32]) {
        precondition(generatedCount == 0, "a prompt after \(generatedCount) generated tokens")
        promptCount += prompt.count
        for token in prompt { record(token) }
    }

    /// Counts a generated token that was not drawn here, such as one a grammar forces.
    public mutating func accept(generated token: Int32) { record(token) }

    /// Chooses a token and counts it.
    ///
    /// - Parameters:
    ///   - logits: The model's output, `[V]`; holds the penalised logits afterwards.
    ///   - position: Index of the token in the sequence; the counter of the random number.
    /// - Throws: `.notFinite` on NaN or plus infinity, `.noCandidates` if nothing is allowed.
    /// - Complexity: O(V) with no sort of the vocabulary; greedy without penalties, one pass.
    public mutating func sample(
        logits: inout MutableSpan<Float>, position: Int
    ) throws(SamplingError) -> Int32 {
        let peak = try prepare(&logits)
        let token: Int32
        if parameters.isGreedy {
            token = Int32(truncatingIfNeeded: peak.token)
        } else {
            truncation.apply(logits.span, peak: peak, parameters)
            let counter = UInt64(truncatingIfNeeded: position)
            token = truncation.draw(random.uniformDouble(stream: stream, position: counter))
        }
        record(token)
        return token
    }

    /// Chooses a token from an array of logits and counts it.
    public mutating func sample(
        logits: inout [Float], position: Int
    ) throws(SamplingError) -> Int32 {
        var span = logits.mutableSpan
        return try sample(logits: &span, position: position)
    }

    /// Chooses a token and reports what the unpenalised model thought of it.
    ///
    /// Lists `parameters.logprobs` of the best tokens, or none.
    ///
    /// - Parameter recordsDraw: Whether to tell what the token was drawn from, too. Meant for samplers
    ///   without penalties and bans, whose distribution follows from the model's own.
    public mutating func sampleWithLogProbabilities(
        logits: inout MutableSpan<Float>, position: Int, recordsDraw: Bool = false
    ) throws(SamplingError) -> TokenLogProbabilities {
        rawLogits.removeAll(keepingCapacity: true)
        for index in 0..<logits.count { rawLogits.append(logits[unchecked: index]) }
        let token = try sample(logits: &logits, position: position)
        var scored = try logProbabilities(
            of: rawLogits.span, token: token, topCount: parameters.logprobs ?? 0)
        if recordsDraw {
            // The most likely token is certain, whatever its probability.
            let support = parameters.isGreedy ? [token] : truncation.support
            scored.draw = TokenDraw(
                logProbability: try drawLogProbability(
                    of: rawLogits.span, token: token, support: support,
                    temperature: parameters.isGreedy ? 1 : parameters.temperature),
                support: support)
        }
        return scored
    }

    /// Whether this token, the last one counted, ends the answer.
    public func finish(after token: Int32) -> Finish? {
        if generatedCount > parameters.minTokens || parameters.minTokens == 0 {
            if parameters.stopTokens.contains(token) { return .stop(.token(token)) }
            if !parameters.ignoreEndOfSequence, endOfSequence.contains(token) {
                return .stop(.endOfSequence(token))
            }
        }
        if let limit = parameters.maxTokens, generatedCount >= limit { return .length }
        return nil
    }

    /// The tokens that could be drawn now, in ascending id, with their probabilities.
    ///
    /// Counts nothing; `logits` holds the penalised logits afterwards.
    package mutating func distribution(
        logits: inout [Float]
    ) throws(SamplingError) -> [(token: Int32, probability: Double)] {
        var span = logits.mutableSpan
        let peak = try prepare(&span)
        if parameters.isGreedy { return [(Int32(truncatingIfNeeded: peak.token), 1)] }
        truncation.apply(span.span, peak: peak, parameters)
        var blocks: [Double] = []
        let total = orderedSum(truncation.weights, blocks: &blocks)
        return (0..<truncation.count).compactMap { index in
            let weight = truncation.weights[index]
            return weight > 0 ? (truncation.token(index), Double(weight) / total) : nil
        }
    }

    /// Bias, penalties and bans, in place; returns the best of what is left.
    private func prepare(_ logits: inout MutableSpan<Float>) throws(SamplingError) -> Peak {
        precondition(
            logits.count == vocabularySize,
            "\(logits.count) logits for a vocabulary of \(vocabularySize)")
        for (token, value) in bias { logits[Int(token)] += value }
        penalties?.apply(to: &logits)
        dry?.apply(to: &logits, history)
        let banned = banned()
        if banned.isEmpty { return try allowedPeak(logits.span) }
        let saved = banned.map { logits[Int($0)] }
        for (token, logit) in zip(banned, saved) where !logit.isNaN && logit < .infinity {
            logits[Int(token)] = -.infinity
        }
        let peak = try Peak(logits.span)
        if peak.logit > -.infinity { return peak }
        for (token, logit) in zip(banned, saved) { logits[Int(token)] = logit }
        return try allowedPeak(logits.span)
    }

    private func allowedPeak(_ logits: Span<Float>) throws(SamplingError) -> Peak {
        let peak = try Peak(logits)
        guard peak.logit > -.infinity else { throw .noCandidates(vocabularySize: logits.count) }
        return peak
    }

    /// Tokens that would repeat an n-gram or stop too early, each once.
    private func banned() -> Set<Int32> {
        var banned: Set<Int32> = []
        ngrams?.forEachBanned(history) { banned.insert($0) }
        if generatedCount < parameters.minTokens {
            banned.formUnion(parameters.stopTokens)
            if !parameters.ignoreEndOfSequence { banned.formUnion(endOfSequence) }
        }
        return banned
    }

    private mutating func record(_ token: Int32) {
        precondition(
            token >= 0 && Int(token) < vocabularySize,
            "token \(token) is outside a vocabulary of \(vocabularySize)")
        acceptedCount += 1
        guard keepsHistory else { return }
        history.append(token)
        penalties?.accept(history, promptCount: promptCount)
        dry?.accept(history)
        ngrams?.accept(history)
    }
}
