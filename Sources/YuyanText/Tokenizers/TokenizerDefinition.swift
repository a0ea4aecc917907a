/// The kinds of tokenizer model; each is a file of its own next to `BytePairModel`.
///
/// SentencePiece BPE and Unigram ("llama", "t5"; `Unigram`) and WordPiece ("bert") belong here when they
/// are written. Until then loading them is an error that names what is known.
enum TokenizerModelKind: String, CaseIterable {
    case bytePair = "BPE"

    /// The name in `tokenizer.ggml.model`.
    var ggmlName: String {
        switch self {
        case .bytePair: "gpt2"
        }
    }
}

/// What a tokenizer file says, whatever its format.
struct TokenizerDefinition: Sendable {
    var model: BytePairModel
    var addedTokens: [AddedToken] = []
    var preTokenizer: PreTokenizer
    var normalizes = false
    /// Tokens that go before and after every text.
    var prefix: [Int32] = []
    var suffix: [Int32] = []
    var settings = TokenizerSettings()
}

/// What files beside the model add: the roles of tokens and the chat templates.
struct TokenizerSettings: Sendable {
    var beginning: Int32?
    var end: Int32?
    var padding: Int32?
    /// Tokens that end a generation in addition to `end`.
    var otherEnds: [Int32] = []
    /// Whether the file asks for or against these, if it says.
    var addsBeginning: Bool?
    var addsEnd: Bool?
    var chatTemplate: String?
    var namedChatTemplates: [String: String] = [:]
}
