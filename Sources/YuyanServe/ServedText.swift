import YuyanText

/// How a whole reward model makes a score of a text's last state.
public struct ScoreHead: Sendable, Hashable {
    /// The head `[C]`, whose product with the state is the score.
    public let weight: [Float]
    /// The token that a text's last one is looked for before; nil if texts are not padded.
    public let padding: Int32?

    /// A head of these numbers.
    public init(weight: [Float], padding: Int32?) {
        self.weight = weight
        self.padding = padding
    }
}

/// The text side of the served model: tokenizer, chat format, names.
public struct ServedText: Sendable {
    /// Turns text into ids and back.
    public let tokenizer: Tokenizer
    /// The model's chat format; nil if it has none, and chat requests are refused.
    public let template: ChatTemplate?
    /// The model's name in the API.
    public let modelID: String
    /// Other names under which requests may ask for it.
    public let aliases: [String]
    /// Seconds since 1970 when the model was loaded.
    public let created: Int
    /// Positions the model was trained for, as `/v1/models` reports them.
    public let trainedContext: Int
    /// Weights in the model; nil if unknown.
    public let parameterCount: Int?
    /// Bytes of the weights in memory; nil if unknown.
    public let byteCount: Int?

    /// What scores texts, if the model is a reward model, which writes none.
    public let score: ScoreHead?

    /// What turns conversations into ids; nil if there is no template.
    let renderer: ChatRenderer?
    let toolFormat: ToolFormat
    let capabilities: TemplateCapabilities

    /// Gathers the parts.
    public init(
        tokenizer: Tokenizer, template: ChatTemplate?, modelID: String, aliases: [String] = [],
        created: Int, trainedContext: Int, parameterCount: Int? = nil, byteCount: Int? = nil,
        score: ScoreHead? = nil
    ) {
        self.tokenizer = tokenizer
        self.template = template
        self.modelID = modelID
        self.aliases = aliases
        self.created = created
        self.trainedContext = trainedContext
        self.parameterCount = parameterCount
        self.byteCount = byteCount
        self.score = score
        renderer = template.map { ChatRenderer(tokenizer: tokenizer, template: $0) }
        toolFormat = .hermes
        capabilities = TemplateCapabilities(template)
    }
}
