/// The fields of every endpoint, made once for a service's limits.
struct FieldTables: Sendable {
    let chat: [Field]
    let completions: [Field]
    let embeddings: [Field]
    let score: [Field]
    let tokenize: [Field]
    let detokenize: [Field]
    let template: [Field]
    let loadAdapter: [Field]
    let unloadAdapter: [Field]
    let responses: [Field]
    let messages: [Field]
    let countTokens: [Field]

    /// The tables of a service whose model has so many tokens.
    init(_ limits: ServiceConfiguration, vocabularySize: Int) {
        let token = FieldKind.integer(0...max(0, vocabularySize - 1))
        let sampling = SamplingFields.table(limits, vocabularySize: vocabularySize)
        chat = ChatFields.table(limits) + sampling
        completions = CompletionFields.table(limits, token: token) + sampling
        embeddings = EmbeddingFields.table(limits, token: token)
        score = ScoreFields.table(limits)
        tokenize = TextFields.tokenize(limits)
        detokenize = TextFields.detokenize(token: token)
        template = chat
        loadAdapter = AdapterFields.load
        unloadAdapter = AdapterFields.unload
        responses = ResponseFields.table(limits)
        messages = MessageFields.table(limits)
        countTokens = MessageFields.countTable(limits)
    }
}
