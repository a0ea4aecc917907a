import YuyanEngine
import YuyanFormats
import YuyanText

/// A body of `/v1/completions`, ready to be run prompt by prompt.
struct CompletionJob: Sendable {
    var jobs: [ChatJob]
    /// Texts of the prompts, which `echo` repeats.
    var prompts: [String]
    var model: String
    /// Samples to answer with; the rest of what is generated competes for the places.
    var sampleCount: Int
    var echoes: Bool
    var logProbabilities: Int?
    var options: ChatOptions
}

extension Service {
    /// Reads a body of `/v1/completions`.
    func completionJob(
        _ body: RequestBody, client: String
    ) throws(RequestError) -> CompletionJob {
        let maxTokens = body.int("max_tokens") ?? 16
        var input = try input(body, turns: [], maxTokens: maxTokens)
        input.reasoning = ServiceConfiguration.ReasoningFormat.none
        let options = ChatOptions(body)
        let echoes = body.bool("echo")
        let top = body.int("logprobs")
        let best = body.int("best_of") ?? input.sampleCount
        guard best >= input.sampleCount else {
            throw .field(
                param: "best_of",
                message: "is \(best); expected at least 'n', which is \(input.sampleCount)")
        }
        guard best == input.sampleCount || !options.isStream else {
            throw .field(
                param: "best_of", message: "cannot be streamed; leave it out, or 'stream'")
        }
        // The best samples are those of the highest mean log-probability.
        input.parameters.logprobs = top ?? (best > input.sampleCount ? 0 : nil)
        guard let value = body["prompt"] else {
            throw .field(param: "prompt", message: "is missing")
        }
        let prompts = CompletionFields.prompts(
            value, tokenizer: text.tokenizer,
            addSpecial: body.optionalBool("add_special_tokens") ?? true, parseSpecial: true)
        guard prompts.count * best <= configuration.maxPrompts else {
            throw .field(
                param: best > 1 ? "n" : "prompt",
                message: "asks for \(prompts.count * best) answers; expected at most "
                    + "\(configuration.maxPrompts) from one request")
        }
        let (model, adapter) = try adapter(named: input.model, index: input.adapterIndex)
        var jobs: [ChatJob] = []
        let batch = prompts.count > 1 ? RequestBatch() : nil
        for prompt in prompts {
            var ids = prompt.ids
            if let kept = input.truncation, ids.count > kept { ids.removeFirst(ids.count - kept) }
            try check(length: ids.count, answer: maxTokens > 0)
            var request = GenerationRequest(prompt: ids, parameters: input.parameters)
            request.sampleCount = best
            request.promptLogProbabilities =
                echoes && top != nil ? top : input.promptLogProbabilities
            request.adapter = adapter
            request.priority = input.priority
            request.client = client
            request.cacheSalt = input.cacheSalt
            request.batch = batch
            if let constraint = input.constraint {
                request.constraint = try constraints.compiled(
                    constraint, maxBytes: configuration.maxSchemaBytes,
                    answerTokens: request.parameters.maxTokens)
            }
            jobs.append(
                ChatJob(
                    request: request, model: model, skipsSpecial: input.skipsSpecial,
                    reasoning: .none, toolNames: [], toolFormat: text.toolFormat,
                    truncatedTokens: prompt.ids.count - ids.count))
        }
        return CompletionJob(
            jobs: jobs, prompts: prompts.map(\.text), model: model,
            sampleCount: input.sampleCount, echoes: echoes, logProbabilities: top,
            options: options)
    }
}
