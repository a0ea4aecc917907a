/// How the next token is chosen, and when the text ends.
///
/// The defaults change nothing: plain sampling from the model's own distribution. Names follow
/// vLLM and transformers; `Sampler` says in which order the steps are applied.
public struct SamplingParameters: Codable, Hashable, Sendable {
    /// Divides the logits; below 0.00001 the most likely token is taken. 0...100, default 1.
    public var temperature: Float = 1
    /// Keeps only this many of the most likely tokens; 0 keeps all. 0 or more, default 0.
    public var topK = 0
    /// Keeps the fewest most likely tokens that reach this probability. 0...1, default 1 (off).
    public var topP: Float = 1
    /// Drops tokens less likely than this fraction of the best. 0...1, default 0 (off).
    public var minP: Float = 0
    /// Keeps the most typical tokens up to this probability. Above 0...1, default 1 (off).
    public var typicalP: Float = 1
    /// Divides positive and multiplies negative logits of seen tokens. 0.01...100, default 1 (off).
    public var repetitionPenalty: Float = 1
    /// Subtracted once from the logit of each generated token. -100...100, default 0 (off).
    public var presencePenalty: Float = 0
    /// Subtracted from a logit for every time the token was generated. -100...100, default 0 (off).
    public var frequencyPenalty: Float = 0
    /// How many of the last tokens the three penalties see; `nil`, the default, is all of them.
    ///
    /// transformers and vLLM always use all; llama.cpp's default is 64. 1 or more.
    public var penaltyWindow: Int?
    /// Forbids a sequence of this many tokens to appear twice. 0 or more, default 0 (off).
    public var noRepeatNgramSize = 0
    /// The penalty on continuing a repeated passage; off by default.
    public var dry = DRYParameters()
    /// Added to the logits by token id. -10000...10000, or minus infinity to forbid; default none.
    public var logitBias: [Int32: Float] = [:]
    /// Key of the random numbers; the same seed gives the same tokens. Any value, default 0.
    public var seed: UInt64 = 0
    /// Texts that end the answer, cut from it unless `includeStop`. Not empty each, default none.
    public var stop: [String] = []
    /// Whether the stop string that ended the answer stays at its end. Default false.
    public var includeStop = false
    /// Tokens that end the answer beside the model's own. Token ids, default none.
    public var stopTokens: [Int32] = []
    /// Tokens to generate before a stop token is allowed. 0 or more, default 0.
    public var minTokens = 0
    /// Most tokens to generate; `nil`, the default, is as many as the context holds. 1 or more.
    public var maxTokens: Int?
    /// Whether the model's end-of-sequence tokens are ordinary tokens, as in vLLM. Default false.
    public var ignoreEndOfSequence = false
    /// How many of the best tokens to report with their log-probabilities. 0...1000, or `nil`,
    /// the default, for no log-probabilities at all; 0 reports the chosen token only.
    public var logprobs: Int?

    /// Makes parameters that leave the model's distribution alone.
    public init() {}

    /// Whether the most likely token is taken without drawing a random number.
    public var isGreedy: Bool { temperature < 1e-5 || topK == 1 }

    /// Checks every field against its documented range and the vocabulary.
    ///
    /// - Throws: `SamplingError.parameter` for the first field out of range, in declaration order.
    public func validate(vocabularySize: Int? = nil) throws(SamplingError) {
        try check("temperature", temperature, within: 0...100)
        try check("topK", topK, atLeast: 0)
        try check("topP", topP, within: 0...1)
        try check("minP", minP, within: 0...1)
        guard typicalP > 0, typicalP <= 1 else {
            throw .parameter(name: "typicalP", value: "\(typicalP)", expected: "above 0 to 1")
        }
        try check("repetitionPenalty", repetitionPenalty, within: 0.01...100)
        try check("presencePenalty", presencePenalty, within: -100...100)
        try check("frequencyPenalty", frequencyPenalty, within: -100...100)
        if let penaltyWindow { try check("penaltyWindow", penaltyWindow, atLeast: 1) }
        try check("noRepeatNgramSize", noRepeatNgramSize, atLeast: 0)
        try dry.validate(vocabularySize: vocabularySize)
        for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
            try check(token: token, in: "logitBias", vocabularySize: vocabularySize)
            if bias != -.infinity { try check("logitBias[\(token)]", bias, within: -10000...10000) }
        }
        for (index, text) in stop.enumerated() where text.isEmpty {
            throw .parameter(name: "stop[\(index)]", value: "\"\"", expected: "a text to stop at")
        }
        for token in stopTokens {
            try check(token: token, in: "stopTokens", vocabularySize: vocabularySize)
        }
        try check("minTokens", minTokens, atLeast: 0)
        if let maxTokens {
            try check("maxTokens", maxTokens, atLeast: 0)
            guard minTokens <= maxTokens else {
                throw .parameter(
                    name: "minTokens", value: "\(minTokens)",
                    expected: "at most maxTokens, \(maxTokens)")
            }
        }
        if let logprobs, !(0...1000).contains(logprobs) {
            throw .parameter(name: "logprobs", value: "\(logprobs)", expected: "0 to 1000")
        }
    }
}

extension SamplingParameters {
    private enum CodingKeys: CodingKey {
        case temperature, topK, topP, minP, typicalP, repetitionPenalty, presencePenalty
        case frequencyPenalty, penaltyWindow, noRepeatNgramSize, dry, logitBias, seed, stop
        case includeStop, stopTokens, minTokens, maxTokens, ignoreEndOfSequence, logprobs
    }

    /// Reads parameters; a missing field keeps its default. Call `validate` on the result.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        func read<T: Decodable>(_ value: inout T, _ key: CodingKeys) throws {
            value = try fields.decodeIfPresent(T.self, forKey: key) ?? value
        }
        try read(&temperature, .temperature)
        try read(&topK, .topK)
        try read(&topP, .topP)
        try read(&minP, .minP)
        try read(&typicalP, .typicalP)
        try read(&repetitionPenalty, .repetitionPenalty)
        try read(&presencePenalty, .presencePenalty)
        try read(&frequencyPenalty, .frequencyPenalty)
        penaltyWindow = try fields.decodeIfPresent(Int.self, forKey: .penaltyWindow)
        try read(&noRepeatNgramSize, .noRepeatNgramSize)
        try read(&dry, .dry)
        // Int keys, unlike Int32, are written as the keys of an object: {"50256": -100}.
        for (token, bias) in try fields.decodeIfPresent([Int: Float].self, forKey: .logitBias)
            ?? [:]
        {
            guard let token = Int32(exactly: token) else {
                throw SamplingError.parameter(
                    name: "logitBias", value: "\(token)", expected: "a token id")
            }
            logitBias[token] = bias
        }
        try read(&seed, .seed)
        try read(&stop, .stop)
        try read(&includeStop, .includeStop)
        try read(&stopTokens, .stopTokens)
        try read(&minTokens, .minTokens)
        maxTokens = try fields.decodeIfPresent(Int.self, forKey: .maxTokens)
        try read(&ignoreEndOfSequence, .ignoreEndOfSequence)
        logprobs = try fields.decodeIfPresent(Int.self, forKey: .logprobs)
    }

    /// Writes every field that is set, under its own name.
    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(temperature, forKey: .temperature)
        try fields.encode(topK, forKey: .topK)
        try fields.encode(topP, forKey: .topP)
        try fields.encode(minP, forKey: .minP)
        try fields.encode(typicalP, forKey: .typicalP)
        try fields.encode(repetitionPenalty, forKey: .repetitionPenalty)
        try fields.encode(presencePenalty, forKey: .presencePenalty)
        try fields.encode(frequencyPenalty, forKey: .frequencyPenalty)
        try fields.encodeIfPresent(penaltyWindow, forKey: .penaltyWindow)
        try fields.encode(noRepeatNgramSize, forKey: .noRepeatNgramSize)
        try fields.encode(dry, forKey: .dry)
        let bias = Dictionary(uniqueKeysWithValues: logitBias.map { (Int($0.key), $0.value) })
        try fields.encode(bias, forKey: .logitBias)
        try fields.encode(seed, forKey: .seed)
        try fields.encode(stop, forKey: .stop)
        try fields.encode(includeStop, forKey: .includeStop)
        try fields.encode(stopTokens, forKey: .stopTokens)
        try fields.encode(minTokens, forKey: .minTokens)
        try fields.encodeIfPresent(maxTokens, forKey: .maxTokens)
        try fields.encode(ignoreEndOfSequence, forKey: .ignoreEndOfSequence)
        try fields.encodeIfPresent(logprobs, forKey: .logprobs)
    }
}

func check(_ name: String, _ value: Float, within range: ClosedRange<Float>) throws(SamplingError) {
    guard range.contains(value) else {
        throw .parameter(
            name: name, value: "\(value)",
            expected: "\(range.lowerBound) to \(range.upperBound)")
    }
}

func check(_ name: String, _ value: Int, atLeast minimum: Int) throws(SamplingError) {
    guard value >= minimum else {
        throw .parameter(name: name, value: "\(value)", expected: "\(minimum) or more")
    }
}

func check(token: Int32, in name: String, vocabularySize: Int?) throws(SamplingError) {
    guard token >= 0, Int(token) < vocabularySize ?? .max else {
        let expected = vocabularySize.map { "a token id from 0 to \($0 - 1)" } ?? "0 or more"
        throw .parameter(name: name, value: "\(token)", expected: expected)
    }
}
