import YuyanEngine
import YuyanFormats

extension Service {
    /// Answers `/v1/messages`.
    func messages(
        _ request: ServiceRequest, _ timer: RequestTimer
    ) async throws -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.messages)
        let isStream = body.bool("stream")
        let job = try job(try messageInput(body), client: request.client)
        timer.update {
            $0.ignoredFields = body.ignored
            $0.model = job.model
            $0.isStream = isStream
        }
        let submission = try submit(job, timer: timer)
        guard isStream else {
            let answer = try await collect(submission)
            return .json(MessageWriter(model: job.model).message(answer))
        }
        let handoff = Handoff(submission)
        let tokenizer = text.tokenizer
        return .events {
            var writer = MessageWriter(model: job.model)
            return ServiceEvents.producer(
                handoff, tokenizer: tokenizer,
                each: { event, run in writer.write(event, usage: Usage(run)) },
                last: { _ in writer.finish() }, failure: MessageWriter.failure)
        }
    }

    /// Answers `/v1/messages/count_tokens`.
    func countTokens(_ request: ServiceRequest) throws(RequestError) -> JSONOutput {
        let body = try RequestBody(bytes: request.body, tables.countTokens)
        let input = try messageInput(body)
        _ = try adapter(named: input.model)
        return ["input_tokens": .integer(try prompt(input).ids.count)]
    }
}
