import YuyanNN

/// A request inside the engine: what was asked, and where its answers go.
final class EngineTicket: Sendable {
    /// What a request wants to come of its tokens.
    enum Work: Sendable {
        case generate(
            GenerationRequest, AsyncThrowingStream<GenerationEvent, any Error>.Continuation)
        case embed(EmbeddingRequest, AsyncThrowingStream<EmbeddedText, any Error>.Continuation)

        /// The body that a request came in with others.
        var batch: RequestBatch? {
            if case .generate(let request, _) = self { request.batch } else { nil }
        }
    }

    /// One text's vector.
    struct EmbeddedText: Sendable {
        let index: Int
        let vector: [Float]
    }

    let id: Int
    let work: Work
    let backlog: GenerationEvents.Backlog
    let submitted = ContinuousClock.now
    /// The sequences' numbers: sample, or text, `i` has number `firstSequence + i`.
    let firstSequence: Int
    let adapter: LowRankAdapter?

    init(id: Int, work: Work, backlog: GenerationEvents.Backlog, firstSequence: Int) {
        self.id = id
        self.work = work
        self.backlog = backlog
        self.firstSequence = firstSequence
        adapter =
            switch work {
            case .generate(let request, _): request.adapter
            case .embed(let request, _): request.adapter
            }
    }

    /// Samples or texts.
    var count: Int {
        switch work {
        case .generate(let request, _): request.sampleCount
        case .embed(let request, _): request.texts.count
        }
    }

    /// Sequences that one prompt's end can end: a request's samples share theirs, texts do not.
    var sequencesAtOnce: Int {
        if case .generate = work { count } else { 1 }
    }

    func send(_ event: GenerationEvent) {
        guard case .generate(_, let continuation) = work else { return }
        backlog.produce()
        continuation.yield(event)
    }

    func send(_ text: EmbeddedText) {
        if case .embed(_, let continuation) = work { continuation.yield(text) }
    }

    /// Ends the request's events, with an error if it failed.
    func end(_ error: EngineError? = nil) {
        switch work {
        case .generate(_, let continuation): continuation.finish(throwing: error)
        case .embed(_, let continuation): continuation.finish(throwing: error)
        }
    }
}
