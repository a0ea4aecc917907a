import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The files of a tokenizer, ready to be put beside a saved model.
public struct TokenizerFiles: Sendable {
    /// Names and contents.
    public let files: [(name: String, contents: [UInt8])]

    /// What transformers reads a tokenizer from, if it is there.
    private static let names = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "chat_template.jinja", "added_tokens.json", "vocab.json", "merges.txt",
        "tokenizer.model",
    ]

    /// The files of a Hugging Face directory, as they are.
    ///
    /// - Throws: `.unreadable` if one exists but cannot be read; `.missing` without `tokenizer.json`.
    public init(directory: String) throws(TokenizerError) {
        var files: [(name: String, contents: [UInt8])] = []
        for name in Self.names {
            let path = directory + "/" + name
            guard access(path, F_OK) == 0 else { continue }
            do throws(FormatError) {
                let file = try MappedFile(path: path)
                files.append((name, file.withUnsafeBytes(in: 0..<file.count) { Array($0) }))
            } catch {
                throw .unreadable(error)
            }
        }
        guard files.contains(where: { $0.name == "tokenizer.json" }) else {
            throw .missing(file: directory, key: "tokenizer.json", expected: "the tokenizer's file")
        }
        self.files = files
    }

    /// The files that say what a GGUF file's `tokenizer.*` keys say.
    ///
    /// A file that carries its whole `tokenizer.json` gives it back as it is; otherwise it is
    /// rebuilt from tokens, merges and the name of the pre-tokenizer.
    ///
    /// - Throws: `TokenizerError`, naming the key.
    public init(gguf: GGUFFile) throws(TokenizerError) {
        let export = try GGUFTokenizerExport(gguf)
        var files: [(name: String, contents: [UInt8])] = [
            ("tokenizer.json", Array((try export.definition()).utf8)),
            ("tokenizer_config.json", Array((export.configuration.indented + "\n").utf8)),
            ("special_tokens_map.json", Array((export.specialTokens.indented + "\n").utf8)),
        ]
        if let template = export.tokenizer.chatTemplate {
            files.append(("chat_template.jinja", Array(template.utf8)))
        }
        self.files = files
    }

    /// Writes all files into an existing folder.
    ///
    /// - Throws: `FormatError.cannotWrite`.
    public func write(to directory: String) throws {
        for (name, contents) in files {
            try writeAtomically(directory + "/" + name) { try $0.write(contents) }
        }
    }
}

/// Turns `tokenizer.*` keys of a GGUF file into the files of a Hugging Face directory.
struct GGUFTokenizerExport {
    private let gguf: GGUFFile
    /// The tokenizer as Yuyan reads it, for the roles of tokens.
    let tokenizer: Tokenizer
    private let pre: String

    init(_ gguf: GGUFFile) throws(TokenizerError) {
        self.gguf = gguf
        tokenizer = try Tokenizer(gguf: gguf)
        do throws(FormatError) {
            pre = try gguf.optionalString("tokenizer.ggml.pre") ?? "default"
        } catch { throw .unreadable(error) }
    }

    /// The text of `tokenizer.json`.
    func definition() throws(TokenizerError) -> String {
        do throws(FormatError) {
            if let whole = try gguf.optionalString("tokenizer.huggingface.json") { return whole }
            return try rebuilt().description
        } catch { throw .unreadable(error) }
    }

    private func rebuilt() throws(FormatError) -> JSONOutput {
        let tokens = try gguf.array("tokenizer.ggml.tokens", of: .string).strings()
        let merges = try gguf.array("tokenizer.ggml.merges", of: .string).strings()
        let types = try gguf.optionalArray("tokenizer.ggml.token_type")?.integers() ?? []
        var added: [JSONOutput] = []
        for (id, type) in types.enumerated() where type == 3 || type == 4 {
            added.append([
                "id": .integer(id), "content": .string(tokens[id]), "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": .bool(type == 3),
            ])
        }
        // The initialiser of `tokenizer` has refused names that are not known.
        let stages = PreTokenizer.knownNames.first { $0.names.contains(pre) }?.stages ?? []
        return [
            "version": "1.0",
            "truncation": .null,
            "padding": .null,
            "added_tokens": .array(added),
            // GGUF does not say so, but every tokenizer of this name composes characters first.
            "normalizer": pre == "qwen2" ? ["type": "NFC"] : .null,
            "pre_tokenizer": PreTokenizer(stages: stages).json,
            "post_processor": postProcessor,
            "decoder": Self.byteLevel(usesExpression: true),
            "model": [
                "type": "BPE",
                "dropout": .null,
                "unk_token": .null,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": .bool(stages == [.llama3(maximumDigits: 3)]),
                "vocab": .object(tokens.enumerated().map { ($1, .integer($0)) }),
                "merges": .array(merges.map { .string($0) }),
            ],
        ]
    }

    static func byteLevel(usesExpression: Bool) -> JSONOutput {
        [
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": .bool(usesExpression),
        ]
    }

    private var postProcessor: JSONOutput {
        let plain = Self.byteLevel(usesExpression: true)
        var pieces: [JSONOutput] = [["Sequence": ["id": "A", "type_id": 0]]]
        var special: [(key: String, value: JSONOutput)] = []
        func piece(_ id: Int32) -> JSONOutput {
            let text = tokenizer.text(of: id)
            special.append(
                (
                    text,
                    ["id": .string(text), "ids": [.integer(Int(id))], "tokens": [.string(text)]]
                ))
            return ["SpecialToken": ["id": .string(text), "type_id": 0]]
        }
        if tokenizer.addsBeginningOfSequence, let id = tokenizer.beginningOfSequence {
            pieces.insert(piece(id), at: 0)
        }
        if tokenizer.addsEndOfSequence, let id = tokenizer.endOfSequence {
            pieces.append(piece(id))
        }
        guard pieces.count > 1 else { return plain }
        let second: [JSONOutput] = pieces.map { piece in
            piece["Sequence"] == nil ? piece : ["Sequence": ["id": "B", "type_id": 1]]
        }
        return [
            "type": "Sequence",
            "processors": [
                plain,
                [
                    "type": "TemplateProcessing", "single": .array(pieces),
                    "pair": .array(pieces + second), "special_tokens": .object(special),
                ],
            ],
        ]
    }

    /// `tokenizer_config.json`.
    var configuration: JSONOutput {
        var result: JSONOutput = [
            "add_bos_token": .bool(tokenizer.addsBeginningOfSequence),
            "add_eos_token": .bool(tokenizer.addsEndOfSequence),
            "add_prefix_space": false,
            "clean_up_tokenization_spaces": false,
            "tokenizer_class": "PreTrainedTokenizerFast",
        ]
        for (key, value) in roles { result[key] = .string(value) }
        if !tokenizer.namedChatTemplates.isEmpty {
            var templates = tokenizer.namedChatTemplates
            templates["default"] = templates["default"] ?? tokenizer.chatTemplate
            result["chat_template"] = .array(
                templates.sorted { $0.key < $1.key }.map {
                    ["name": .string($0.key), "template": .string($0.value)]
                })
        }
        return result
    }

    /// `special_tokens_map.json`.
    var specialTokens: JSONOutput { .object(roles.map { ($0.key, .string($0.value)) }) }

    private var roles: [(key: String, value: String)] {
        let ids = [
            ("bos_token", tokenizer.beginningOfSequence), ("eos_token", tokenizer.endOfSequence),
            ("pad_token", tokenizer.padding),
        ]
        return ids.compactMap { key, id in id.map { (key, tokenizer.text(of: $0)) } }
    }
}

extension PreTokenizer {
    /// The entry of tokenizer.json.
    var json: JSONOutput {
        var parts: [JSONOutput] = []
        var endsWithExpression = false
        for (index, stage) in stages.enumerated() {
            switch stage {
            case .digits(let individual):
                parts.append(["type": "Digits", "individual_digits": .bool(individual)])
            case .gpt2 where index == stages.count - 1:
                endsWithExpression = true
            default:
                let pattern = Self.knownExpressions.first { $0.stage == stage }?.pattern ?? ""
                parts.append([
                    "type": "Split", "pattern": ["Regex": .string(pattern)],
                    "behavior": "Isolated", "invert": false,
                ])
            }
        }
        let last = GGUFTokenizerExport.byteLevel(usesExpression: endsWithExpression)
        return parts.isEmpty ? last : ["type": "Sequence", "pretokenizers": .array(parts + [last])]
    }
}
