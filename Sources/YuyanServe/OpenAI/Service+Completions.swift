import YuyanEngine
import YuyanFormats
import YuyanText

extension Service {
    /// Answers `/v1/completions`.
    func completions(
        _ request: ServiceRequest, _ timer: RequestTimer
    ) async throws -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.completions)
        timer.update { $0.ignoredFields = body.ignored }
        let job = try completionJob(body, client: request.client)
        timer.update {
            $0.model = job.model
            $0.isStream = job.options.isStream
        }
        let writer = CompletionWriter(job, tokenizer: text.tokenizer)
        let headers = truncationHeaders(job.jobs.map(\.truncatedTokens).reduce(0, +))
        guard job.options.isStream else {
            return .json(writer.completion(try await answers(job, timer)), headers: headers)
        }
        // A refusal of the first prompt can still be a status code.
        let first = Handoff(try submit(job.jobs[0], timer: timer))
        return .events(headers: headers) {
            CompletionStream(writer: writer, service: self, first: first.take(), timer: timer)
                .producer
        }
    }

    /// Runs all prompts, a few at a time.
    private func answers(
        _ job: CompletionJob, _ timer: RequestTimer
    ) async throws -> [CollectedAnswer] {
        if job.jobs.count == 1 { return [try await collect(try submit(job.jobs[0], timer: timer))] }
        return try await withThrowingTaskGroup(of: (Int, CollectedAnswer).self) { group in
            var answers = job.jobs.map { CollectedAnswer(sampleCount: $0.request.sampleCount) }
            var next = 0
            func add() throws {
                let index = next
                next += 1
                let submission = try submit(job.jobs[index], timer: timer)
                group.addTask { (index, try await self.collect(submission)) }
            }
            while next < min(job.jobs.count, configuration.promptsInFlight) { try add() }
            while let (index, answer) = try await group.next() {
                answers[index] = answer
                if next < job.jobs.count { try add() }
            }
            return answers
        }
    }
}

/// Streams the prompts of a body one after the other.
final class CompletionStream {
    private let writer: CompletionWriter
    private let service: Service
    private let timer: RequestTimer
    private var run: ChatRun?
    private var prompt = 0
    private var finished = Usage()
    private var scores: [TokenLogProbabilities?] = []
    /// Per sample of the present prompt: whether it was echoed, and where its next token begins.
    private var hasBegun: [Bool] = []
    private var offsets: [Int] = []
    private var isOver = false

    init(
        writer: CompletionWriter, service: Service, first: ChatSubmission?, timer: RequestTimer
    ) {
        self.writer = writer
        self.service = service
        self.timer = timer
        if let first { begin(first) } else { isOver = true }
    }

    var producer: ServiceEvents.Producer {
        {
            if self.isOver { return nil }
            do {
                return try await self.next()
            } catch {
                self.isOver = true
                self.run = nil
                if error is CancellationError { return nil }
                let error = RequestError(error)
                self.timer.report(status: error.status, error: error.logged)
                return ServerEvents.failure(error)
            }
        }
    }

    private func begin(_ submission: ChatSubmission) {
        run = ChatRun(submission, tokenizer: service.text.tokenizer)
        hasBegun = Array(repeating: false, count: submission.job.request.sampleCount)
        offsets = Array(repeating: 0, count: hasBegun.count)
        scores = []
    }

    private func next() async throws -> [UInt8]? {
        while let run {
            while let event = try await run.next() {
                if let bytes = write(event, run) { return bytes }
            }
            finished += Usage(run)
            self.run = nil
            prompt += 1
            if prompt < writer.job.jobs.count {
                begin(try service.submit(writer.job.jobs[prompt], timer: timer))
            }
        }
        isOver = true
        timer.report(status: 200)
        return writer.finish(finished)
    }

    private func write(_ event: ChatEvent, _ run: ChatRun) -> [UInt8]? {
        switch event {
        case .scored(let scores):
            self.scores = scores
            return nil
        case .delta(let sample, let parts, let tokens):
            return chunk(sample, parts, tokens, nil, run)
        case .finished(let sample, let parts, let tokens, let end):
            return chunk(sample, parts, tokens, end, run)
        }
    }

    private func chunk(
        _ sample: Int, _ parts: [AnswerPart], _ tokens: [AnswerToken], _ end: AnswerEnd?,
        _ run: ChatRun
    ) -> [UInt8] {
        let job = writer.job
        var text = ""
        for case .content(let piece) in parts { text += piece }
        var shown = tokens
        if !hasBegun[sample], job.echoes {
            text = job.prompts[prompt] + text
            shown = CompletionWriter.scored(job.jobs[prompt].request.prompt, scores) + shown
        }
        hasBegun[sample] = true
        let scores = job.logProbabilities.map {
            writer.logProbabilities.completion(shown, top: $0, offset: &offsets[sample])
        }
        var usage = finished
        usage += Usage(run)
        return writer.chunk(
            choice: prompt * job.sampleCount + sample, text: text, scores: scores, end: end,
            ids: job.options.returnsTokenIDs ? tokens.map(\.id) : nil, usage: usage)
    }
}
