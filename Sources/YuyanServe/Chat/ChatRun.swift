import YuyanEngine
import YuyanText

/// A token of an answer, for log-probabilities and lists of ids.
struct AnswerToken: Sendable {
    var id: Int32
    var logProbabilities: TokenLogProbabilities?
}

/// How a sample ended, as clients are told.
struct AnswerEnd: Sendable, Hashable {
    enum Reason: String, Sendable {
        case stop
        case length
        case calls = "tool_calls"
    }
    var reason: Reason
    var match: Finish.Match?
}

/// What happens in a chat request, in the order in which clients hear of it.
enum ChatEvent: Sendable {
    case scored([TokenLogProbabilities?])
    /// The next parts of a sample; the tokens they came from, since the last event of the sample.
    case delta(sample: Int, parts: [AnswerPart], tokens: [AnswerToken])
    /// A sample's end, with what was held back.
    case finished(sample: Int, parts: [AnswerPart], tokens: [AnswerToken], AnswerEnd)
}

/// A job that the engine has taken; dropping it cancels the request.
struct ChatSubmission: Sendable {
    let job: ChatJob
    let events: GenerationEvents
    let timer: RequestTimer
}

/// Reads the events of a request and turns ids into the parts of an answer.
///
/// Nothing is read ahead; when the last sample has ended, by a stop string or in the engine, the
/// engine's events are let go, which cancels what still runs.
final class ChatRun {
    private struct Sample {
        var text: SampleText
        var parser: AnswerParser
        var tokens: [AnswerToken] = []
        var lastToken: ContinuousClock.Instant?
        var isDone = false
    }

    private var events: GenerationEvents.AsyncIterator?
    private var samples: [Sample]
    private var openSamples: Int
    private let timer: RequestTimer
    /// Tokens of the prompt, and how many of them were in the cache.
    let promptTokens: Int
    private(set) var cachedTokens = 0
    /// Tokens of all samples so far.
    private(set) var generatedTokens = 0
    /// Those of them that were thoughts.
    private(set) var reasoningTokens = 0

    init(_ submission: ChatSubmission, tokenizer: Tokenizer) {
        let job = submission.job
        let calls =
            job.toolNames.isEmpty
            ? nil
            : ToolCallParser(format: job.toolFormat, names: job.toolNames) {
                Identifier.make("call_")
            }
        let sample = Sample(
            text: SampleText(
                job.request.parameters, tokenizer: tokenizer, skipSpecial: job.skipsSpecial),
            parser: AnswerParser(reasoning: job.reasoning, calls: calls))
        samples = Array(repeating: sample, count: job.request.sampleCount)
        openSamples = samples.count
        promptTokens = job.request.prompt.count
        timer = submission.timer
        events = submission.events.makeAsyncIterator()
    }

    /// The next event, or nil after the last sample's end.
    ///
    /// - Throws: What the engine throws, and `CancellationError` if the reader went away.
    func next() async throws -> ChatEvent? {
        while openSamples > 0, let event = try await events?.next() {
            if let made = handle(event) { return made }
        }
        events = nil
        if openSamples > 0 {
            try Task.checkCancellation()
            throw EngineError.failed("the engine ended the request before its answer")
        }
        return nil
    }

    private func handle(_ event: GenerationEvent) -> ChatEvent? {
        switch event {
        case .started(let queued, let cachedTokens):
            self.cachedTokens += cachedTokens
            timer.update { record in
                record.queueTime = max(queued, record.queueTime ?? .zero)
                record.cachedTokens += cachedTokens
            }
            return nil
        case .scored(let scores): return .scored(scores)
        case .token(let index, let token, let logProbabilities):
            guard samples.indices.contains(index), !samples[index].isDone else { return nil }
            samples[index].lastToken = timer.token(after: samples[index].lastToken)
            generatedTokens += 1
            samples[index].tokens.append(
                AnswerToken(id: token, logProbabilities: logProbabilities))
            let wasThinking = samples[index].parser.isThinking
            defer {
                if wasThinking || samples[index].parser.isThinking { reasoningTokens += 1 }
            }
            let release = samples[index].text.append(token)
            if let stop = release.stop {
                return end(index, text: release.text, .stop(.string(stop)))
            }
            guard !release.text.isEmpty else { return nil }
            let parts = samples[index].parser.push(release.text)
            guard !parts.isEmpty else { return nil }
            return .delta(sample: index, parts: parts, tokens: takeTokens(index))
        case .finished(let index, let finish):
            guard samples.indices.contains(index), !samples[index].isDone else { return nil }
            return end(index, text: samples[index].text.finish(), finish)
        }
    }

    private func end(_ index: Int, text: String, _ finish: Finish) -> ChatEvent {
        samples[index].isDone = true
        openSamples -= 1
        // The engine is told at once that nobody waits for the rest.
        if openSamples == 0 {
            events?.hasEnough()
            events = nil
        }
        var parts = samples[index].parser.push(text)
        parts += samples[index].parser.finish()
        var end = AnswerEnd(
            reason: finish.reason == .length ? .length : .stop, match: finish.match)
        if end.reason == .stop, samples[index].parser.hasCalls { end.reason = .calls }
        timer.update { $0.finishReasons.append(end.reason.rawValue) }
        return .finished(sample: index, parts: parts, tokens: takeTokens(index), end)
    }

    private func takeTokens(_ index: Int) -> [AnswerToken] {
        defer { samples[index].tokens.removeAll(keepingCapacity: true) }
        return samples[index].tokens
    }
}
