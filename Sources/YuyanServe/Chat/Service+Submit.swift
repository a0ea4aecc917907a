import YuyanEngine
import YuyanText

extension Service {
    /// Hands a job to the engine.
    ///
    /// - Throws: `.engine` if the engine refuses it, `.field` if the model writes no texts.
    func submit(_ job: ChatJob, timer: RequestTimer) throws(RequestError) -> ChatSubmission {
        guard text.score == nil else {
            throw .field(
                param: "model",
                message: "'\(text.modelID)' is a reward model, which writes no texts; ask "
                    + "/v1/score what it thinks of them")
        }
        let request = job.request
        timer.update { record in
            record.promptTokens += request.prompt.count
            record.sampleCount += request.sampleCount
            record.maxTokens = request.parameters.maxTokens
        }
        do throws(EngineError) {
            return ChatSubmission(job: job, events: try engine.submit(request), timer: timer)
        } catch {
            throw .engine(error)
        }
    }

    /// Everything that a request's events say, once they have ended.
    func collect(_ submission: ChatSubmission) async throws -> CollectedAnswer {
        let run = ChatRun(submission, tokenizer: text.tokenizer)
        var answer = CollectedAnswer(sampleCount: submission.job.request.sampleCount)
        while let event = try await run.next() { answer.append(event) }
        answer.usage = Usage(run)
        return answer
    }
}

/// Tokens of a request, counted.
struct Usage: Sendable, Hashable {
    var prompt = 0
    var cached = 0
    var generated = 0
    /// Generated tokens that were thoughts.
    var reasoning = 0

    init() {}

    init(_ run: ChatRun) {
        prompt = run.promptTokens
        cached = run.cachedTokens
        generated = run.generatedTokens
        reasoning = run.reasoningTokens
    }

    static func += (a: inout Usage, b: Usage) {
        a.prompt += b.prompt
        a.cached += b.cached
        a.generated += b.generated
        a.reasoning += b.reasoning
    }
}

/// All samples of an answer, complete.
struct CollectedAnswer: Sendable {
    /// One sample.
    struct Sample: Sendable {
        fileprivate(set) var answer = ParsedAnswer()
        var tokens: [AnswerToken] = []
        var end = AnswerEnd(reason: .length, match: nil)
    }

    var samples: [Sample]
    var scores: [TokenLogProbabilities?] = []
    var usage = Usage()

    init(sampleCount: Int) { samples = Array(repeating: Sample(), count: sampleCount) }

    mutating func append(_ event: ChatEvent) {
        switch event {
        case .scored(let scores): self.scores = scores
        case .delta(let index, let parts, let tokens):
            samples[index].append(parts, tokens)
        case .finished(let index, let parts, let tokens, let end):
            samples[index].append(parts, tokens)
            samples[index].end = end
        }
    }
}

extension CollectedAnswer.Sample {
    var content: String { answer.content }
    var reasoning: String { answer.reasoning }
    var calls: [ToolCall] { answer.calls }

    mutating func append(_ parts: [AnswerPart], _ tokens: [AnswerToken]) {
        self.tokens += tokens
        answer.append(parts)
    }
}
