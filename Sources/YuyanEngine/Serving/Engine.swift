import Synchronization
import YuyanNN
import YuyanTensor

/// Serves many requests at once with one model: continuous batching over a paged, shared cache.
///
/// Callers submit and read events; a thread of its own plans, computes and samples step by step (Yu
/// et al., "Orca", OSDI 2022; Kwon et al., arXiv:2309.06180; chunked prefill: Agrawal et al.,
/// arXiv:2308.16369). A request gets the same tokens and log-probabilities, bit for bit, alone or in
/// company, preempted or not, with a cached prefix or without.
public final class Engine: InferenceEngine {
    /// Most tokens of prompt and answer: what the model was made for and the pool can hold.
    public let contextLimit: Int
    /// Entries in a row of logits.
    public var vocabularySize: Int { model.shape.vocabularySize }
    /// How the engine was set up.
    public let configuration: EngineConfiguration
    let model: Decoder
    let endOfSequence: [Int32]
    private let loop: EngineLoop

    /// Starts the engine's thread; it ends when the engine is released.
    ///
    /// - Parameters:
    ///   - endOfSequence: The model's own stop tokens.
    ///   - draftModel: Guesses if `configuration.speculation` is `.draft`; of the same vocabulary.
    /// - Throws: `EngineError.invalid` if the cache is too small for a single block, or a limit is
    ///   below 1.
    public init(
        model: Decoder, device: Device, configuration: EngineConfiguration = .init(),
        endOfSequence: [Int32] = [], draftModel: Decoder? = nil
    ) throws(EngineError) {
        if configuration.speculation == .draft {
            guard let draftModel else {
                throw .invalid(field: "speculation", message: "'draft' needs a draft model")
            }
            guard draftModel.shape.vocabularySize == model.shape.vocabularySize else {
                throw .invalid(
                    field: "draftModel",
                    message: "has \(draftModel.shape.vocabularySize) tokens, the model "
                        + "\(model.shape.vocabularySize); both must share one vocabulary")
            }
        }
        let layout = model.cacheLayout(type: configuration.keyValueType)
        let blockCount = min(configuration.keyValueBytes / layout.blockBytes, Int(Int32.max))
        guard blockCount >= 1 else {
            throw .invalid(
                field: "keyValueBytes",
                message: "\(configuration.keyValueBytes) bytes hold no block of "
                    + "\(KeyValueLayout.blockTokens) tokens, which takes \(layout.blockBytes)")
        }
        for (name, value) in [
            ("maxSequences", configuration.maxSequences),
            ("batchTokens", configuration.batchTokens),
            ("prefillBesideDecode", configuration.prefillBesideDecode),
            ("maxQueue", configuration.maxQueue), ("contextLimit", configuration.contextLimit ?? 1),
        ] where value < 1 {
            throw .invalid(field: name, message: "is \(value); use 1 or more")
        }
        self.model = model
        self.configuration = configuration
        self.endOfSequence = endOfSequence
        contextLimit = min(
            configuration.contextLimit ?? .max, model.shape.contextLength,
            blockCount * KeyValueLayout.blockTokens)
        loop = EngineLoop(
            model: model, device: device, configuration: configuration, blockCount: blockCount,
            contextLimit: contextLimit, endOfSequence: endOfSequence, draftModel: draftModel)
        guard startThread({ [loop] in loop.run() }) else {
            throw .failed("the system refused a thread for the engine")
        }
    }

    deinit { loop.stop() }

    // MARK: - Requests

    /// Queues a request; see `InferenceEngine.submit`.
    public func submit(_ request: GenerationRequest) throws(EngineError) -> GenerationEvents {
        try check(request.prompt)
        guard (1...configuration.maxSequences).contains(request.sampleCount) else {
            throw .invalid(
                field: "n",
                message: "is \(request.sampleCount); use 1 to "
                    + "\(configuration.maxSequences), the sequences that run at once")
        }
        do {
            _ = try Sampler(
                parameters: request.parameters, vocabularySize: vocabularySize,
                endOfSequence: endOfSequence)
        } catch {
            switch error {
            case .parameter(let name, let value, let expected):
                throw .invalid(field: name, message: "is \(value); expected \(expected)")
            default: throw .failed("\(error)")
            }
        }
        let (stream, continuation) = AsyncThrowingStream<GenerationEvent, any Error>.makeStream()
        let backlog = GenerationEvents.Backlog { [signal = loop.signal] in signal.wake() }
        let id = try loop.enqueue(
            .generate(request, continuation), backlog: backlog, count: request.sampleCount)
        continuation.onTermination = { [weak loop] reason in
            if case .cancelled = reason { loop?.cancel(id) }
        }
        return GenerationEvents(stream: stream, backlog: backlog)
    }

    /// Pooled hidden states of texts; see `InferenceEngine.embed`.
    public func embed(_ request: EmbeddingRequest) async throws -> [[Float]] {
        guard !request.texts.isEmpty else {
            throw EngineError.invalid(field: "input", message: "has no text; give at least one")
        }
        for text in request.texts { try check(text) }
        let (stream, continuation) = AsyncThrowingStream<EngineTicket.EmbeddedText, any Error>
            .makeStream()
        let backlog = GenerationEvents.Backlog {}
        let id = try loop.enqueue(
            .embed(request, continuation), backlog: backlog, count: request.texts.count)
        continuation.onTermination = { [weak loop] reason in
            if case .cancelled = reason { loop?.cancel(id) }
        }
        var vectors = [[Float]](repeating: [], count: request.texts.count)
        for try await text in stream { vectors[text.index] = text.vector }
        try Task.checkCancellation()
        return vectors
    }

    private func check(_ prompt: [Int32]) throws(EngineError) {
        guard !prompt.isEmpty else {
            throw .invalid(field: "prompt", message: "has no tokens; give at least one")
        }
        guard prompt.count <= contextLimit else {
            throw tooLong(promptTokens: prompt.count)
        }
        for token in prompt where token < 0 || Int(token) >= vocabularySize {
            throw .invalid(
                field: "prompt",
                message: "has token \(token); ids are 0 to \(vocabularySize - 1)")
        }
    }

    /// The cache limits if the model, and the limit that was set, would take more.
    public func tooLong(promptTokens: Int) -> EngineError {
        let wanted = min(configuration.contextLimit ?? .max, model.shape.contextLength)
        return contextLimit < wanted
            ? .cacheTooSmall(tokens: promptTokens, capacity: contextLimit)
            : .contextExceeded(promptTokens: promptTokens, limit: contextLimit)
    }

    // MARK: - The engine as a whole

    /// What the engine is doing now and has done so far.
    public func statistics() -> EngineStatistics { loop.statistics() }

    /// Takes no new requests from now on and returns when the last one has ended.
    public func drain() async { await loop.drain() }

    /// Returns when every request has ended and no pass runs: weights may change then.
    ///
    /// A request whose reader went away ends at once, but the pass that it is in runs on.
    package func idle() async { await loop.idle() }

    /// Declares that the model's weights have changed: no cached prefix is used again.
    public func weightsChanged() { loop.weightsChanged() }
}
