import YuyanEngine
import YuyanFormats

extension Service {
    /// Answers `/v1/responses`.
    func responses(
        _ request: ServiceRequest, _ timer: RequestTimer
    ) async throws -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.responses)
        let isStream = body.bool("stream")
        let job = try job(try responseInput(body), client: request.client)
        timer.update {
            $0.ignoredFields = body.ignored
            $0.model = job.model
            $0.isStream = isStream
        }
        let scores =
            job.request.parameters.logprobs == nil
            ? nil : LogProbabilityOutput(tokenizer: text.tokenizer)
        let submission = try submit(job, timer: timer)
        let headers = truncationHeaders(job.truncatedTokens)
        let start = ResponseWriter(
            model: job.model, body: body, parameters: job.request.parameters, scores: scores)
        guard isStream else {
            var writer = start
            let run = ChatRun(submission, tokenizer: text.tokenizer)
            while let event = try await run.next() { _ = writer.write(event, usage: Usage(run)) }
            return .json(writer.response(Usage(run)), headers: headers)
        }
        let handoff = Handoff(submission)
        let tokenizer = text.tokenizer
        return .events(headers: headers) {
            let writer = ResponseStream(start)
            return ServiceEvents.producer(
                handoff, tokenizer: tokenizer,
                each: { event, run in writer.writer.write(event, usage: Usage(run)) },
                last: { run in writer.writer.finish(Usage(run)) },
                failure: { error in writer.writer.failure(error) })
        }
    }
}

/// The writer that a stream's three closures share.
private final class ResponseStream {
    var writer: ResponseWriter
    init(_ writer: ResponseWriter) { self.writer = writer }
}
