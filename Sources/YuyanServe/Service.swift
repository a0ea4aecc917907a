import YuyanEngine

/// A request as the transport read it: complete, within its size limits, and let in.
public struct ServiceRequest: Sendable {
    /// The method in capitals.
    public var method: String
    /// The path alone, percent-decoded: no query, no host.
    public var path: String
    /// What follows the question mark; empty if there is none.
    public var query: String
    /// Names in lower case, in the order received.
    public var headers: [(name: String, value: String)]
    /// The whole body.
    public var body: [UInt8]
    /// Whom the engine's fair queue counts this request for: an API key's name or an address.
    public var client: String
    /// The id under which logs and answers name this request.
    public var requestID: String

    /// A request of these parts.
    public init(
        method: String, path: String, query: String = "",
        headers: [(name: String, value: String)] = [], body: [UInt8] = [], client: String = "",
        requestID: String = ""
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.client = client
        self.requestID = requestID
    }
}

/// What to send back.
public struct ServiceResponse: Sendable {
    /// The two forms of an answer.
    public enum Body: Sendable {
        /// Everything at once; the length is known.
        case bytes([UInt8])
        /// Server-sent events, framed already, made as they are asked for.
        case events(ServiceEvents)
    }

    /// The status code.
    public var status: Int
    /// Names in lower case; `content-type` among them, `content-length` not.
    public var headers: [(name: String, value: String)]
    /// What follows the headers.
    public var body: Body

    /// A response of these parts.
    public init(status: Int, headers: [(name: String, value: String)], body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Framed server-sent events, to be iterated once by one task.
///
/// Nothing runs ahead of the reader: each piece is made from the engine's next event when it is
/// asked for. Dropping the sequence and its iterator, or cancelling the task that iterates,
/// cancels the request. It does not throw: a failure becomes an error event, then `[DONE]`.
public struct ServiceEvents: AsyncSequence, Sendable {
    /// One or more whole events.
    public typealias Element = [UInt8]
    /// Failures become events.
    public typealias Failure = Never

    /// Makes pieces, one after the other, for one reader.
    typealias Producer = () async -> [UInt8]?
    private let start: @Sendable () -> Producer

    /// `start` is called once, when the reader begins.
    init(start: @escaping @Sendable () -> Producer) { self.start = start }

    /// Asks for one piece after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let producer: Producer
        /// One or more whole events, or nil after the last.
        public mutating func next() async -> [UInt8]? { await producer() }
    }

    /// The one iterator.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(producer: start()) }
}

/// A method and a path that the service answers; `{name}` in a path stands for one part of it.
public struct ServiceRoute: Sendable, Hashable {
    /// The method in capitals.
    public var method: String
    /// The path, maybe with a part in braces.
    public var path: String

    /// A route.
    public init(_ method: String, _ path: String) {
        self.method = method
        self.path = path
    }
}

/// Answers the requests of clients, whatever carries them.
///
/// Knows no sockets: a transport hands it requests and sends what comes back. Every fault of a
/// request or of the engine becomes an error body in the shape of the endpoint's dialect.
public final class Service: Sendable {
    let engine: any InferenceEngine
    let text: ServedText
    let adapters: (any AdapterRegistry)?
    let configuration: ServiceConfiguration
    let observer: (any ServiceObserver)?
    let constraints: ConstraintCache
    let tables: FieldTables

    /// Whether the model is a reward model, which scores texts and writes none.
    public var scoresTexts: Bool { text.score != nil }

    /// A service of one model.
    ///
    /// - Parameters:
    ///   - engine: Runs the model.
    ///   - text: The model's tokenizer, template and names.
    ///   - adapters: Low-rank adapters that requests may name; nil for none.
    ///   - configuration: Limits and defaults.
    ///   - observer: Told about every request that ended.
    public init(
        engine: any InferenceEngine, text: ServedText, adapters: (any AdapterRegistry)? = nil,
        configuration: ServiceConfiguration = ServiceConfiguration(),
        observer: (any ServiceObserver)? = nil
    ) {
        self.engine = engine
        self.text = text
        self.adapters = adapters
        self.configuration = configuration
        self.observer = observer
        tables = FieldTables(configuration, vocabularySize: engine.vocabularySize)
        constraints = ConstraintCache(text: text, capacity: configuration.cachedConstraints)
    }
}
