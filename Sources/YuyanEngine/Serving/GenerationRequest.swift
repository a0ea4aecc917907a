import Synchronization
import YuyanConstraints
import YuyanNN

/// What a client asks of the engine, in token ids.
///
/// The engine reads everything of `parameters` but its stop texts: it sees ids, so whoever turns
/// ids into text looks for them and cancels.
public struct GenerationRequest: Sendable {
    /// Ids of the prompt; at least one.
    public var prompt: [Int32]
    /// How tokens are chosen; `logprobs` asks for log-probabilities of the generated tokens.
    public var parameters: SamplingParameters
    /// Samples of this prompt, which is computed once; sample `i` draws from random stream `i`.
    public var sampleCount = 1
    /// Asks for the log-probability of each prompt token and of this many best ones beside it.
    public var promptLogProbabilities: Int?
    /// Whether each token's log-probabilities tell what it was drawn from, which trainers need.
    public var recordsDraws = false
    /// What the answer must look like; nil for anything.
    public var constraint: CompiledConstraint?
    /// Low-rank update of the weights for this request.
    public var adapter: LowRankAdapter?
    /// Requests of a lower number go first, as in vLLM; ties by fairness, then by arrival.
    public var priority = 0
    /// Whom the request is for: among waiting clients the one served least goes first.
    public var client = ""
    /// Separates cached prefixes: a prefix is shared only among requests of equal salt.
    public var cacheSalt = ""
    /// The body that this request is a part of; nil if it is alone in it.
    public var batch: RequestBatch?

    /// One sample of `prompt`.
    public init(prompt: [Int32], parameters: SamplingParameters) {
        self.prompt = prompt
        self.parameters = parameters
    }
}

/// Several requests that came as one: in the queue they count once, and when the first of them was
/// taken, the others are.
public final class RequestBatch: Sendable {
    private let taken = Atomic<Bool>(false)

    /// Whether one of its requests was taken.
    var isTaken: Bool { taken.load(ordering: .relaxed) }

    /// A batch of which no request was taken.
    public init() {}

    func take() { taken.store(true, ordering: .relaxed) }
}

/// What happens to a request, in order, for each of its samples.
public enum GenerationEvent: Sendable {
    /// The prompt's cache is complete; how long it waited and how much of it was cached.
    case started(queued: Duration, cachedTokens: Int)
    /// Log-probabilities of the prompt's tokens, if asked for; the first has none.
    case scored([TokenLogProbabilities?])
    /// A sample's next token; log-probabilities if asked for.
    case token(sample: Int, token: Int32, logProbabilities: TokenLogProbabilities?)
    /// A sample's end: by a stop token, by its limit or because the context is full.
    case finished(sample: Int, finish: Finish)
}

/// Texts, as ids, whose hidden states are to be averaged.
public struct EmbeddingRequest: Sendable {
    /// How a text's hidden states `[T, C]`, after the last norm, become one vector `[C]`.
    public enum Pooling: String, CaseIterable, Codable, Sendable {
        case mean
        case last
    }

    /// Ids of each text; at least one text, each of at least one token.
    public var texts: [[Int32]]
    /// Mean by default.
    public var pooling = Pooling.mean
    /// Whether vectors are scaled to length 1; true by default.
    public var normalizes = true
    /// Low-rank update of the weights for this request.
    public var adapter: LowRankAdapter?
    /// Whom the request is for.
    public var client = ""

    /// Normalised means of `texts`.
    public init(texts: [[Int32]]) { self.texts = texts }
}
