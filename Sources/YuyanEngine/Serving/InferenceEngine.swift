/// The engine as those who talk to clients see it; tests put a scripted one in its place.
public protocol InferenceEngine: Sendable {
    /// Queues a request; its events come as the engine makes them.
    ///
    /// Dropping the sequence's iterator, or cancelling the task that iterates, cancels the request
    /// and frees its blocks before the next step. The sequence throws `EngineError`.
    ///
    /// - Throws: `EngineError` if the request is refused; nothing was queued then.
    func submit(_ request: GenerationRequest) throws(EngineError) -> GenerationEvents
    /// Hidden states of texts, pooled: one vector `[C]` for each text.
    ///
    /// - Throws: `EngineError`.
    func embed(_ request: EmbeddingRequest) async throws -> [[Float]]
    /// What the engine is doing now and has done so far.
    func statistics() -> EngineStatistics
    /// Takes no new requests from now on and returns when the last one has ended.
    func drain() async
    /// Most tokens of prompt and answer.
    var contextLimit: Int { get }
    /// Entries in a row of logits.
    var vocabularySize: Int { get }
    /// Why a prompt of so many tokens does not fit: the model's limit, or the cache's.
    func tooLong(promptTokens: Int) -> EngineError
}

extension InferenceEngine {
    /// Blames the context.
    public func tooLong(promptTokens: Int) -> EngineError {
        .contextExceeded(promptTokens: promptTokens, limit: contextLimit)
    }
}
