import YuyanFormats

extension Tokenizer {
    /// Reads the tokenizer of a GGUF file, from its `tokenizer.*` keys.
    ///
    /// Control tokens become special tokens, user-defined ones are found in any text. The pre-tokenizers
    /// are those that `PreTokenizer.knownNames` lists; a file without a name means "default", as in
    /// llama.cpp.
    ///
    /// - Throws: `TokenizerError`, naming the key.
    public convenience init(gguf: GGUFFile) throws(TokenizerError) {
        self.init(try GGUFTokenizerReader(gguf: gguf).definition())
    }
}

/// Reads the `tokenizer.*` keys of a GGUF file.
struct GGUFTokenizerReader {
    let gguf: GGUFFile

    private var file: String { gguf.file.path }

    func definition() throws(TokenizerError) -> TokenizerDefinition {
        let kind = try read { () throws(FormatError) in try gguf.string("tokenizer.ggml.model") }
        guard TokenizerModelKind.allCases.contains(where: { $0.ggmlName == kind }) else {
            throw .unsupported(
                file: file, key: "tokenizer.ggml.model", found: "'\(kind)'",
                known: TokenizerModelKind.allCases.map(\.ggmlName))
        }
        let pre =
            try read { () throws(FormatError) in try gguf.optionalString("tokenizer.ggml.pre") }
            ?? "default"
        guard let known = PreTokenizer.knownNames.first(where: { $0.names.contains(pre) }) else {
            throw .unsupported(
                file: file, key: "tokenizer.ggml.pre", found: "'\(pre)'",
                known: PreTokenizer.knownNames.flatMap(\.names))
        }
        let isLlama3 = known.stages == [.llama3(maximumDigits: 3)]
        let (vocabulary, added) = try vocabulary()
        let merges = try merges(of: vocabulary)
        let model = BytePairModel(
            vocabulary: vocabulary, merges: merges, ignoresMerges: isLlama3, unknown: nil,
            fusesUnknown: false)
        var definition = TokenizerDefinition(
            model: model, addedTokens: added, preTokenizer: PreTokenizer(stages: known.stages))
        try readSettings(into: &definition, addsBeginningByDefault: isLlama3)
        return definition
    }

    private func vocabulary() throws(TokenizerError) -> (Vocabulary, [AddedToken]) {
        let key = "tokenizer.ggml.tokens"
        let tokens = try read { () throws(FormatError) in try gguf.array(key, of: .string) }
        let types = try read { () throws(FormatError) in
            try gguf.optionalArray("tokenizer.ggml.token_type")?.integers()
        }
        guard tokens.count <= Vocabulary.maximumCount else {
            throw .tooLarge(
                file: file, key: key, found: tokens.count, limit: Vocabulary.maximumCount)
        }
        guard tokens.count > 0 else {
            throw .malformed(file: file, key: key, found: "empty", expected: "at least one token")
        }
        if let types, types.count != tokens.count {
            throw .malformed(
                file: file, key: "tokenizer.ggml.token_type", found: "\(types.count) types",
                expected: "\(tokens.count), one for each token")
        }
        var builder = VocabularyBuilder(file: file, key: key, capacity: tokens.count)
        var added: [AddedToken] = []
        try tokens.forEachStringPlace {
            (text: RawSpan, place: Range<Int>) throws(TokenizerError) in
            let id = builder.nextID
            let type = types?[id] ?? TokenType.normal
            switch type {
            case TokenType.control, TokenType.userDefined:
                // No rule may lead plain text to a control token.
                try builder.append(
                    literal: text, place, id: id,
                    indexing: type == TokenType.control ? .never : .ifFree)
                added.append(
                    AddedToken(
                        id: Int32(id), content: place.map { text.byte(at: $0) },
                        isSpecial: type == TokenType.control))
            case TokenType.unused:
                try builder.append(text, place, id: id, indexing: .never)
            default:
                try builder.append(text, place, id: id)
            }
        }
        return (try builder.build(), added)
    }

    private enum TokenType {
        static let normal: Int64 = 1
        static let control: Int64 = 3
        static let userDefined: Int64 = 4
        static let unused: Int64 = 5
    }

    private func merges(of vocabulary: Vocabulary) throws(TokenizerError) -> MergeTable {
        let key = "tokenizer.ggml.merges"
        let rules = try read { () throws(FormatError) in try gguf.array(key, of: .string) }
        var builder = try MergeBuilder(
            file: file, key: key, vocabulary: vocabulary, count: rules.count)
        try rules.forEachStringPlace {
            (text: RawSpan, place: Range<Int>) throws(TokenizerError) in
            try builder.append(text, place)
        }
        return try builder.build()
    }

    private func readSettings(
        into definition: inout TokenizerDefinition, addsBeginningByDefault: Bool
    ) throws(TokenizerError) {
        let count = definition.model.vocabulary.count
        var settings = TokenizerSettings()
        settings.beginning = try id("bos", below: count)
        settings.end = try id("eos", below: count)
        settings.padding = try id("padding", below: count)
        for name in ["eot", "eom"] {
            if let end = try id(name, below: count) { settings.otherEnds.append(end) }
        }
        settings.addsBeginning = try flag("add_bos_token") ?? addsBeginningByDefault
        settings.addsEnd = try flag("add_eos_token")
        settings.chatTemplate = try text("tokenizer.chat_template")
        for key in gguf.keys where key.hasPrefix("tokenizer.chat_template.") {
            let name = String(key.dropFirst("tokenizer.chat_template.".count))
            settings.namedChatTemplates[name] = try text(key)
        }
        if settings.addsBeginning == true, let id = settings.beginning { definition.prefix = [id] }
        if settings.addsEnd == true, let id = settings.end { definition.suffix = [id] }
        definition.settings = settings
    }

    private func id(_ name: String, below count: Int) throws(TokenizerError) -> Int32? {
        let key = "tokenizer.ggml.\(name)_token_id"
        let value = try read { () throws(FormatError) in try gguf.optionalInt(key) }
        guard let value else { return nil }
        guard (0..<count).contains(value) else {
            throw .malformed(
                file: file, key: key, found: "\(value)", expected: "an id below \(count)")
        }
        return Int32(value)
    }

    private func flag(_ name: String) throws(TokenizerError) -> Bool? {
        try read { () throws(FormatError) in try gguf.optionalBool("tokenizer.ggml.\(name)") }
    }

    private func text(_ key: String) throws(TokenizerError) -> String? {
        try read { () throws(FormatError) in try gguf.optionalString(key) }
    }

    private func read<Value>(
        _ body: () throws(FormatError) -> Value
    ) throws(TokenizerError) -> Value {
        do throws(FormatError) { return try body() } catch { throw .unreadable(error) }
    }
}
