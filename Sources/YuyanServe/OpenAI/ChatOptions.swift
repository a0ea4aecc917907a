import YuyanEngine
import YuyanFormats
import YuyanText

/// How a chat answer is to be written.
struct ChatOptions: Sendable {
    var isStream = false
    var includesUsage = false
    var hasContinuousUsage = false
    var topLogProbabilities: Int?
    var returnsTokenIDs = false
    var namesTokensByID = false
    var includesReasoning = true

    init() {}

    init(_ body: RequestBody) {
        isStream = body.bool("stream")
        includesUsage = body["stream_options"]?["include_usage"]?.bool ?? false
        hasContinuousUsage = body["stream_options"]?["continuous_usage_stats"]?.bool ?? false
        returnsTokenIDs = body.bool("return_token_ids")
        namesTokensByID = body.bool("return_tokens_as_token_ids")
        includesReasoning = body.optionalBool("include_reasoning") ?? true
    }
}

extension Service {
    /// Reads the fields that chat and completions share.
    func input(
        _ body: RequestBody, turns: [ChatTurn], maxTokens: Int?
    ) throws(RequestError) -> ChatInput {
        var parameters = SamplingFields.parameters(body, defaults: configuration.sampling)
        if let breakers = body.strings("dry_sequence_breakers") {
            parameters.dry.sequenceBreakers = breakers.filter { !$0.isEmpty }.map {
                text.tokenizer.encode($0, addSpecial: false)
            }
        }
        try parameters.limit(maxTokens)
        var input = ChatInput(turns: turns, parameters: parameters)
        input.model = body.string("model")
        input.sampleCount = body.int("n") ?? 1
        input.promptLogProbabilities = body.int("prompt_logprobs")
        input.priority = body.int("priority") ?? 0
        input.cacheSalt = body.string("cache_salt") ?? ""
        input.skipsSpecial = body.optionalBool("skip_special_tokens") ?? true
        if let kept = body.int("truncate_prompt_tokens") {
            input.truncation = kept < 0 ? engine.contextLimit - 1 : kept
        }
        input.adapterIndex = try adapterIndex(body)
        input.constraint = try ConstraintFields.constraint(body, configuration)
        return input
    }

    private func adapterIndex(_ body: RequestBody) throws(RequestError) -> Int? {
        // llama.cpp's clients list all adapters and give those they do not want the scale 0.
        let wanted = (body.list("lora") ?? []).enumerated().filter {
            $0.element["scale"]?.double != 0
        }
        guard let first = wanted.first else { return nil }
        guard wanted.count == 1 else {
            throw .field(param: "lora", message: "names several adapters; expected one")
        }
        guard first.element["scale"]?.double ?? 1 == 1 else {
            throw .field(
                param: "lora[\(first.offset)].scale",
                message: "is \(first.element["scale"]?.summary ?? ""); expected 0 or 1")
        }
        return first.element["id"]?.int
    }

    /// Reads a body of `/v1/chat/completions`.
    func chatInput(_ body: RequestBody) throws(RequestError) -> (ChatInput, ChatOptions) {
        var input = try input(
            body, turns: ChatFields.turns(body),
            maxTokens: body.int("max_completion_tokens") ?? body.int("max_tokens"))
        input.tools = try ChatFields.tools(body, configuration)
        input.choice = try ChatFields.choice(body, input.tools)
        input.isParallel = body.optionalBool("parallel_tool_calls") ?? true
        var options = ChatOptions(body)
        if body.bool("logprobs") {
            options.topLogProbabilities = body.int("top_logprobs") ?? 0
        } else if body["top_logprobs"] != nil, body.int("top_logprobs") != 0 {
            throw .field(param: "top_logprobs", message: "needs 'logprobs' to be true")
        }
        input.parameters.logprobs = options.topLogProbabilities
        input.addsGenerationPrompt = body.optionalBool("add_generation_prompt") ?? true
        input.continuesFinal = body.bool("continue_final_message")
        if input.continuesFinal, input.turns.last?.role != "assistant" {
            throw .field(
                param: "continue_final_message",
                message: "needs a last message of the role \"assistant\"")
        }
        switch body.string("reasoning_format") {
        case "none": input.reasoning = ServiceConfiguration.ReasoningFormat.none
        case "deepseek", "deepseek-legacy": input.reasoning = .deepseek
        case "auto": input.reasoning = .auto
        default: break
        }
        input.variables = variables(body)
        return (input, options)
    }

    private func variables(_ body: RequestBody) -> [String: TemplateValue] {
        var result: [String: TemplateValue] = [:]
        if let effort = body.string("reasoning_effort") {
            result["reasoning_effort"] = .string(effort)
            if effort == "none" { result["enable_thinking"] = false }
        }
        if let documents = body["documents"] {
            result["documents"] = TemplateValue(json: documents)
        }
        let reserved: Set = [
            "messages", "tools", "add_generation_prompt", "bos_token", "eos_token",
        ]
        for (key, value) in body["chat_template_kwargs"]?.entries ?? []
        where !reserved.contains(key) {
            result[key] = TemplateValue(json: value)
        }
        return result
    }
}
