import Synchronization
import YuyanEngine

/// Counts what the server does: fed by records of requests, by answers and by looks at the engine.
public final class ServerMetrics: ServiceObserver {
    /// What has been counted so far.
    struct State: Sendable {
        /// Answers by route and status.
        var answers: [Answer: Int] = [:]
        /// Samples by how they ended, in vLLM's words.
        var finished: [String: Int] = [:]
        var disconnects = 0
        var promptSeconds = 0.0
        var generationSeconds = 0.0
        var promptTokens = 0
        var generatedTokens = 0

        var timeToFirstToken = Histogram(Buckets.firstToken)
        var interTokenLatency = Histogram(Buckets.interToken)
        var endToEndLatency = Histogram(Buckets.request)
        var queueTime = Histogram(Buckets.request)
        var prefillTime = Histogram(Buckets.request)
        var decodeTime = Histogram(Buckets.request)
        var inferenceTime = Histogram(Buckets.request)
        var requestPromptTokens: Histogram
        var requestGeneratedTokens: Histogram
        var requestMaxTokens: Histogram
        var requestMaxGeneratedTokens: Histogram
        var requestSamples = Histogram([1, 2, 5, 10, 20])
        var iterationTokens = Histogram(Buckets.iteration)
        var seenSteps = 0

        /// Records of requests whose answers have not ended yet, for their line in the log.
        var expected: [String: RequestRecord?] = [:]

        init(contextLimit: Int) {
            let tokens = Histogram(Histogram.tokenBounds(upTo: contextLimit))
            requestPromptTokens = tokens
            requestGeneratedTokens = tokens
            requestMaxTokens = tokens
            requestMaxGeneratedTokens = tokens
        }
    }

    /// Routes and statuses are few, whatever clients ask for.
    struct Answer: Hashable, Sendable {
        let template: String
        let method: String
        let status: Int
    }

    let state: Mutex<State>
    let started = ContinuousClock.now

    /// - Parameter contextLimit: Most tokens of a prompt, for the bounds of histograms.
    public init(contextLimit: Int = 1 << 20) {
        state = Mutex(State(contextLimit: max(1, contextLimit)))
    }

    /// A request of the service has ended.
    public func finished(_ record: RequestRecord) {
        state.withLock { state in
            state.count(record)
            // Nobody asks for the record of a request that ended before.
            if state.expected[record.requestID] != nil {
                state.expected[record.requestID] = .some(record)
            }
        }
    }

    /// Announces a request whose record will be asked for.
    func expect(_ requestID: String) {
        state.withLock { _ = $0.expected.updateValue(nil, forKey: requestID) }
    }

    /// Counts an answer and hands over the record of its request, if there was one.
    func answered(_ answer: Answer, requestID: String) -> RequestRecord? {
        state.withLock { state in
            state.answers[answer, default: 0] += 1
            if answer.status == 499 { state.disconnects += 1 }
            return state.expected.removeValue(forKey: requestID) ?? nil
        }
    }

    /// Looks at the engine; steps since the last look are counted as far as it remembers them.
    func note(_ statistics: EngineStatistics) {
        state.withLock { state in
            let new = min(statistics.steps - state.seenSteps, statistics.recentSteps.count)
            state.seenSteps = statistics.steps
            guard new > 0 else { return }
            for step in statistics.recentSteps.suffix(new) {
                state.iterationTokens.observe(Double(step.tokens))
            }
        }
    }
}

extension ServerMetrics.State {
    /// Counts a request that ended.
    mutating func count(_ record: RequestRecord) {
        for reason in record.finishReasons {
            // The engine's word: a tool call is an answer that stopped by itself.
            finished[reason == "tool_calls" ? "stop" : reason, default: 0] += 1
        }
        if record.status == 499 { finished["abort", default: 0] += 1 }
        guard record.promptTokens > 0 else { return }

        let seconds = record.duration / .seconds(1)
        let queued = record.queueTime.map { $0 / .seconds(1) } ?? 0
        promptTokens += record.promptTokens
        generatedTokens += record.generatedTokens
        endToEndLatency.observe(seconds)
        queueTime.observe(queued)
        inferenceTime.observe(max(0, seconds - queued))
        if let first = record.timeToFirstToken.map({ $0 / .seconds(1) }) {
            timeToFirstToken.observe(first)
            prefillTime.observe(max(0, first - queued))
            decodeTime.observe(max(0, seconds - first))
            promptSeconds += max(0, first - queued)
            generationSeconds += max(0, seconds - first)
        }
        for pause in record.interTokenSeconds { interTokenLatency.observe(Double(pause)) }
        requestPromptTokens.observe(Double(record.promptTokens))
        requestGeneratedTokens.observe(Double(record.generatedTokens))
        requestSamples.observe(Double(max(1, record.sampleCount)))
        if let limit = record.maxTokens {
            requestMaxTokens.observe(Double(limit))
            requestMaxGeneratedTokens.observe(Double(limit))
        }
    }
}

/// Bounds of vLLM's histograms, so that dashboards made for it fit.
enum Buckets {
    static let firstToken: [Double] = [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20,
        40, 80, 160, 640, 2560,
    ]
    static let interToken: [Double] = [
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40,
        80,
    ]
    static let request: [Double] = [
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920,
        7680,
    ]
    static let iteration: [Double] = [
        1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
    ]
}
