/// The fields of every endpoint, made once for a service's limits.
struct FieldTables: Sendable {
    let chat: [Field]
    let completions: [Field]
    let embeddings: [Field]
    let tokenize: [Field]
    let detokenize: [Field]
    let template: [Field]
    let loadAdapter: [Field]
    let unloadAdapter: [Field]
    let responses: [Field]
    let messages: [Field]
    let countTokens: [Field]

    init(_ limits: ServiceConfiguration) {
        chat = ChatFields.table(limits)
        completions = CompletionFields.table(limits)
        embeddings = EmbeddingFields.table(limits)
        tokenize = TextFields.tokenize(limits)
        detokenize = TextFields.detokenize
        template = ChatFields.table(limits)
        loadAdapter = AdapterFields.load
        unloadAdapter = AdapterFields.unload
        responses = ResponseFields.table(limits)
        messages = MessageFields.table(limits)
        countTokens = MessageFields.countTable(limits)
    }
}
