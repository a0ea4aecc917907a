import YuyanEngine
import YuyanFormats
import YuyanText

extension Service {
    /// Answers `/v1/chat/completions`.
    func chat(_ request: ServiceRequest, _ timer: RequestTimer) async throws -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.chat)
        timer.update { $0.ignoredFields = body.ignored }
        let (input, options) = try chatInput(body)
        let job = try job(input, client: request.client)
        let head = ChatHead(
            id: Identifier.make("chatcmpl-"), created: Clock.now, model: job.model,
            truncatedTokens: job.truncatedTokens, promptIDs: job.request.prompt, options: options,
            logProbabilities: LogProbabilityOutput(
                tokenizer: text.tokenizer, namesTokensByID: options.namesTokensByID))
        timer.update {
            $0.model = job.model
            $0.isStream = options.isStream
        }
        let submission = try submit(job, timer: timer)
        let headers = truncationHeaders(job.truncatedTokens)
        guard options.isStream else {
            let answer = try await collect(submission)
            return .json(head.completion(answer), headers: headers)
        }
        let handoff = Handoff(submission)
        let tokenizer = text.tokenizer
        return .events(headers: headers) {
            var writer = ChatEventWriter(head)
            let samples = job.request.sampleCount
            return ServiceEvents.producer(
                handoff, tokenizer: tokenizer,
                each: { event, run in writer.write(event, samples: samples, usage: Usage(run)) },
                last: { run in writer.finish(Usage(run)) },
                failure: ServerEvents.failure)
        }
    }

    func truncationHeaders(_ count: Int) -> [(name: String, value: String)] {
        count > 0 ? [("x-truncated", "\(count)")] : []
    }
}

extension ServiceEvents {
    /// Makes pieces from the events of a submission.
    ///
    /// - Parameters:
    ///   - each: What an event is written as; empty for nothing.
    ///   - last: What follows the last one.
    ///   - failure: What an error is written as, the end included.
    static func producer(
        _ handoff: Handoff<ChatSubmission>, tokenizer: Tokenizer,
        each: @escaping (ChatEvent, ChatRun) -> [UInt8], last: @escaping (ChatRun) -> [UInt8],
        failure: @escaping (RequestError) -> [UInt8]
    ) -> Producer {
        guard let submission = handoff.take() else { return { nil } }
        let timer = submission.timer
        var run: ChatRun? = ChatRun(submission, tokenizer: tokenizer)
        return {
            guard let current = run else { return nil }
            do {
                while let event = try await current.next() {
                    let bytes = each(event, current)
                    if !bytes.isEmpty { return bytes }
                }
                run = nil
                timer.report(status: 200)
                return last(current)
            } catch {
                run = nil
                if error is CancellationError { return nil }
                let error = RequestError(error)
                timer.report(status: error.status, error: error.logged)
                return failure(error)
            }
        }
    }
}
