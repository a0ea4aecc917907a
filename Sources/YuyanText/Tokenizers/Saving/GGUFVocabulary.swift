import YuyanFormats

/// The `tokenizer.*` entries of a GGUF file, made from a Hugging Face directory.
public struct GGUFVocabulary: Sendable {
    /// Keys and values in the order of the file.
    public let entries: [(key: String, value: GGUFOutput)]

    /// - Parameters:
    ///   - directory: Holds `tokenizer.json` and what stands beside it.
    ///   - size: Rows of the model's embedding table; ids without a token get placeholders.
    /// - Throws: `TokenizerError`, naming file and key; `.unsupported` if GGUF has no name for the
    ///   pre-tokenizer.
    public init(directory: String, size: Int) throws(TokenizerError) {
        let tokenizer = try Tokenizer(directory: directory)
        let path = directory + "/tokenizer.json"
        let document = try Tokenizer.document(path)
        let stages = try HuggingFaceTokenizerReader(
            file: path, root: document.root
        ).preTokenizerStages()
        guard let pre = PreTokenizer.knownNames.first(where: { $0.stages == stages })?.names[0]
        else {
            throw .unsupported(
                file: path, key: "pre_tokenizer", found: "a chain without a name in GGUF",
                known: PreTokenizer.knownNames.map { $0.names[0] })
        }
        let root = document.root
        let (tokens, types) = try Self.tokens(root, size: size, file: path)
        var entries: [(key: String, value: GGUFOutput)] = [
            ("tokenizer.ggml.model", .string(TokenizerModelKind.bytePair.ggmlName)),
            ("tokenizer.ggml.pre", .string(pre)),
            ("tokenizer.ggml.tokens", .strings(tokens)),
            ("tokenizer.ggml.token_type", .int32s(types)),
            ("tokenizer.ggml.merges", .strings(try Self.merges(root, file: path))),
        ]
        let roles = [
            ("bos", tokenizer.beginningOfSequence), ("eos", tokenizer.endOfSequence),
            ("padding", tokenizer.padding),
        ]
        for case let (role, id?) in roles {
            entries.append(("tokenizer.ggml.\(role)_token_id", .uint32(UInt32(id))))
        }
        entries.append(("tokenizer.ggml.add_bos_token", .bool(tokenizer.addsBeginningOfSequence)))
        entries.append(("tokenizer.ggml.add_eos_token", .bool(tokenizer.addsEndOfSequence)))
        if let template = tokenizer.chatTemplate {
            entries.append(("tokenizer.chat_template", .string(template)))
        }
        for (name, template) in tokenizer.namedChatTemplates.sorted(by: { $0.key < $1.key })
        where name != "default" {
            entries.append(("tokenizer.chat_template.\(name)", .string(template)))
        }
        // The whole file as well, so that the way back loses nothing.
        let files = try TokenizerFiles(directory: directory)
        if let whole = files.files.first(where: { $0.name == "tokenizer.json" }) {
            entries.append(
                (
                    "tokenizer.huggingface.json",
                    .string(String(decoding: whole.contents, as: UTF8.self))
                ))
        }
        self.entries = entries
    }

    private enum Kind {
        static let normal: Int32 = 1
        static let control: Int32 = 3
        static let userDefined: Int32 = 4
        static let unused: Int32 = 5
    }

    /// Texts and types of all ids; the reader has checked what is read here again.
    private static func tokens(
        _ root: JSONCursor, size: Int, file: String
    ) throws(TokenizerError) -> ([String], [Int32]) {
        var tokens = (0..<size).map { "[PAD\($0)]" }
        var types = [Int32](repeating: Kind.unused, count: size)
        func put(_ text: String, _ id: Int, _ kind: Int32) throws(TokenizerError) {
            guard (0..<size).contains(id) else {
                throw .malformed(
                    file: file, key: "the id of '\(text)'", found: "\(id)",
                    expected: "below \(size), the rows of the model's embedding")
            }
            tokens[id] = text
            types[id] = kind
        }
        for (text, id) in root["model"]?["vocab"]?.entries ?? [] {
            try put(text, id.int ?? -1, Kind.normal)
        }
        for token in root["added_tokens"]?.array.map({ Array($0) }) ?? [] {
            try put(
                token["content"]?.string ?? "", token["id"]?.int ?? -1,
                token["special"]?.bool == true ? Kind.control : Kind.userDefined)
        }
        return (tokens, types)
    }

    private static func merges(
        _ root: JSONCursor, file: String
    ) throws(TokenizerError) -> [String] {
        var merges: [String] = []
        for rule in root["model"]?["merges"]?.array.map({ Array($0) }) ?? [] {
            if let text = rule.string {
                merges.append(text)
            } else if let left = rule[0]?.string, let right = rule[1]?.string {
                guard !left.contains(" "), !right.contains(" ") else {
                    throw .malformed(
                        file: file, key: "model.merges[\(merges.count)]",
                        found: "a token with a space", expected: "the byte-level alphabet")
                }
                merges.append(left + " " + right)
            }
        }
        return merges
    }
}
