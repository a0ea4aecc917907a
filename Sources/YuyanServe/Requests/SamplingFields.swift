import YuyanEngine
import YuyanFormats

/// The fields that choose tokens and end answers, common to chat and completions.
///
/// OpenAI's own, and those that vLLM and llama.cpp add under names of their own.
enum SamplingFields {
    static func table(_ limits: ServiceConfiguration, vocabularySize: Int) -> [Field] {
        let stop = FieldKind.string(minBytes: 1, maxBytes: limits.maxStopBytes)
        let token = FieldKind.integer(0...max(0, vocabularySize - 1))
        return [
            Field("temperature", .number(0...100)),
            Field("top_p", .number(0...1)),
            Field("top_k", .integer(-1...Int(Int32.max))),
            Field("min_p", .number(0...1)),
            Field("typical_p", .above(0, upTo: 1)),
            Field("repetition_penalty", .number(0.01...100)),
            Field("repeat_penalty", .number(0.01...100)),
            Field("repeat_last_n", .integer(-1...Int(Int32.max))),
            Field("presence_penalty", .number(-100...100)),
            Field("frequency_penalty", .number(-100...100)),
            Field("no_repeat_ngram_size", .integer(0...4096)),
            Field("dry_multiplier", .number(0...100)),
            Field("dry_base", .number(1...100)),
            Field("dry_allowed_length", .integer(1...Int(Int32.max))),
            Field("dry_penalty_last_n", .integer(-1...Int(Int32.max))),
            Field("dry_sequence_breakers", .list(.string(maxBytes: 256), count: 0...64)),
            Field(
                "logit_bias",
                .tokens(.number(-100...100), below: vocabularySize, maxCount: limits.maxBiases)),
            Field("seed", .integer(Int.min...Int.max)),
            Field("stop", .either([stop, .list(stop, count: 0...limits.maxStops)])),
            Field("stop_token_ids", .list(token, count: 0...limits.maxStops)),
            Field("include_stop_str_in_output", .boolean),
            Field("ignore_eos", .boolean),
            Field("min_tokens", .integer(0...Int(Int32.max))),
            Field("skip_special_tokens", .boolean),
            Field("n", .integer(1...limits.maxSamples)),
            Field("priority", .integer(-1_000_000...1_000_000)),
            Field("cache_salt", .name),
            // -1 keeps what fits.
            Field(
                "truncate_prompt_tokens",
                .either([.integer(-1 ... -1), .integer(1...Int(Int32.max))])),
            Field("prompt_logprobs", .integer(0...100)),
            Field("logprobs_mode", .choice(["raw", "raw_logprobs"])),
            Field("return_token_ids", .boolean),
            Field("return_tokens_as_token_ids", .boolean),
            Field("lora", .list(.object(loraTable), count: 0...16)),
            Field("user", .string(maxBytes: 4096)),
            Field("model", .model),
            Field("stream", .boolean),
            Field(
                "stream_options",
                .object([
                    Field("include_usage", .boolean), Field("continuous_usage_stats", .boolean),
                ])),
            // Known, and without effect: the prefix cache is always on and always exact.
            Field("cache_prompt", .boolean),
            Field("metadata", .freeObject),
            Field("store", .boolean),
            Field("service_tier", .name),
        ]
    }

    private static let loraTable = [
        Field("id", .integer(0...Int(Int32.max)), required: true),
        Field("scale", .number(0...1)),
    ]

    /// The parameters of a body, over the server's defaults.
    static func parameters(
        _ body: RequestBody, defaults: SamplingParameters
    ) -> SamplingParameters {
        var result = defaults
        if let value = body.float("temperature") { result.temperature = value }
        if let value = body.float("top_p") { result.topP = value }
        // -1 is vLLM's way to say all.
        if let value = body.int("top_k") { result.topK = max(0, value) }
        if let value = body.float("min_p") { result.minP = value }
        if let value = body.float("typical_p") { result.typicalP = value }
        if let value = body.float("repetition_penalty") ?? body.float("repeat_penalty") {
            result.repetitionPenalty = value
        }
        if let value = body.int("repeat_last_n") {
            if value == 0 { result.repetitionPenalty = 1 }
            result.penaltyWindow = value > 0 ? value : nil
        }
        if let value = body.float("presence_penalty") { result.presencePenalty = value }
        if let value = body.float("frequency_penalty") { result.frequencyPenalty = value }
        if let value = body.int("no_repeat_ngram_size") { result.noRepeatNgramSize = value }
        if let value = body.float("dry_multiplier") { result.dry.multiplier = value }
        if let value = body.float("dry_base") { result.dry.base = value }
        if let value = body.int("dry_allowed_length") { result.dry.allowedLength = value }
        if let value = body.int("dry_penalty_last_n") {
            result.dry.penaltyLastN = value > 0 ? value : nil
        }
        result.seed =
            body.int("seed").map { UInt64(bitPattern: Int64($0)) } ?? .random(in: 0 ... .max)
        result.includeStop = body.bool("include_stop_str_in_output")
        result.ignoreEndOfSequence = body.bool("ignore_eos")
        if let value = body.int("min_tokens") { result.minTokens = value }
        result.stop = body.strings("stop") ?? []
        for (key, value) in body["logit_bias"]?.entries ?? [] {
            if let token = Int32(key) { result.logitBias[token] = Float(value.double ?? 0) }
        }
        if let tokens = body.list("stop_token_ids") {
            result.stopTokens = tokens.compactMap { $0.int.map { Int32($0) } }
        }
        return result
    }
}

extension SamplingParameters {
    /// Sets a limit on tokens, and checks it against the least number asked for.
    mutating func limit(_ maxTokens: Int?) throws(RequestError) {
        self.maxTokens = maxTokens
        if let maxTokens, minTokens > maxTokens {
            throw .field(
                param: "min_tokens",
                message: "is \(minTokens); expected at most the limit of \(maxTokens) tokens")
        }
    }
}
