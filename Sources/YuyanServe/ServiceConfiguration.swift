import YuyanEngine

/// Defaults and limits of the service.
///
/// The limits bound the work that one body can cause before the engine's own limits take over;
/// a request beyond one of them is refused with 400 and the field's name.
public struct ServiceConfiguration: Sendable {
    /// What becomes of `<think>…</think>` in answers.
    public enum ReasoningFormat: String, Sendable, CaseIterable {
        /// Split off for models whose chat template knows the tags.
        case auto
        /// Always split off into `reasoning_content`.
        case deepseek
        /// Left in the content.
        case none
    }

    /// The limits and defaults of the documentation.
    public init() {}

    /// What a request that names no parameters gets; its seed is drawn anew for each request.
    ///
    /// `SamplingParameters(advisedBy:)` makes it what the model's makers advise.
    public var sampling = SamplingParameters()
    /// Whether requests may load and forget adapters; they name folders of the server.
    public var allowsAdapterChanges = true
    /// Compiled constraints kept for the next request that wants the same.
    public var cachedConstraints = 64
    /// Prompts of one body that are in the engine at the same time.
    public var promptsInFlight = 16

    /// Most samples of one prompt.
    public var maxSamples = 128
    /// Most prompts, or texts to embed, in one body.
    public var maxPrompts = 2048
    /// Most stop strings and stop tokens.
    public var maxStops = 64
    /// Most bytes of one stop string.
    public var maxStopBytes = 1024
    /// Most tokens with a bias.
    public var maxBiases = 1024
    /// Most messages of a conversation.
    public var maxMessages = 4096
    /// Most tools.
    public var maxTools = 128
    /// Most bytes of a schema, grammar or expression, and of all tools together.
    public var maxSchemaBytes = 256 << 10
}
