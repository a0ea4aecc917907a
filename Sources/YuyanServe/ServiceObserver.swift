/// Is told about every request that ended, for metrics and logs.
///
/// Called once per request, when its last byte was made or its reader went away, on whatever task
/// made it; it should return at once.
public protocol ServiceObserver: Sendable {
    /// A request has ended.
    func finished(_ record: RequestRecord)
}

/// What became of one request; holds no text of prompts or answers.
public struct RequestRecord: Sendable {
    /// The id that the transport gave.
    public var requestID: String
    /// Whom the request was for.
    public var client: String
    /// The route's path, such as `/v1/chat/completions`; aliases under their first name.
    public var endpoint: String
    /// The model or adapter that answered; empty if the request named none that is served.
    public var model = ""
    /// The status code; 499 if the reader went away, 500 if the engine failed midway.
    public var status = 200
    /// Whether the answer was streamed.
    public var isStream = false
    /// Samples asked for, over all prompts.
    public var sampleCount = 0
    /// The most tokens a sample might have had; nil for what the context holds.
    public var maxTokens: Int?
    /// Tokens of all prompts.
    public var promptTokens = 0
    /// Tokens of all samples.
    public var generatedTokens = 0
    /// Prompt tokens that were in the cache.
    public var cachedTokens = 0
    /// From submission until the first step that worked for the request.
    public var queueTime: Duration?
    /// From arrival until the first token.
    public var timeToFirstToken: Duration?
    /// Seconds between neighbouring tokens of a sample, in order of arrival.
    public var interTokenSeconds: [Float] = []
    /// From arrival to the end.
    public var duration = Duration.zero
    /// One per sample that ended: `stop`, `length` or `tool_calls`.
    public var finishReasons: [String] = []
    /// Fields of the body that mean nothing here, at any depth.
    public var ignoredFields: [String] = []
    /// What ended the request too early; holds no values of the request.
    public var error: String?

    /// A record of a request that has just arrived.
    public init(requestID: String, client: String, endpoint: String) {
        self.requestID = requestID
        self.client = client
        self.endpoint = endpoint
    }
}
