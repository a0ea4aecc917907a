import YuyanFormats

extension Tokenizer {
    /// Reads the tokenizer of an HF directory.
    ///
    /// `tokenizer.json` is required. `tokenizer_config.json` adds the roles of tokens and the chat
    /// template, unless `chat_template.jinja` is there, `generation_config.json` more end tokens.
    ///
    /// - Throws: `TokenizerError`, naming file and key.
    public convenience init(directory: String) throws(TokenizerError) {
        let path = directory + "/tokenizer.json"
        let document = try Self.document(path)
        var definition = try HuggingFaceTokenizerReader(
            file: path, root: document.root
        ).definition()
        try HuggingFaceSettingsReader(directory: directory).apply(to: &definition)
        self.init(definition)
    }

    static func document(_ path: String) throws(TokenizerError) -> JSONDocument {
        do throws(FormatError) {
            return try JSONDocument(path: path)
        } catch {
            throw .unreadable(error)
        }
    }
}

/// Reads tokenizer.json, the file of HF `tokenizers`.
struct HuggingFaceTokenizerReader {
    let file: String
    let root: JSONCursor

    func definition() throws(TokenizerError) -> TokenizerDefinition {
        let model = try required(root, "model", "model", .object)
        let kind = try required(model, "type", "model.type", .string).string ?? ""
        guard TokenizerModelKind(rawValue: kind) != nil else {
            throw .unsupported(
                file: file, key: "model.type", found: "'\(kind)'",
                known: TokenizerModelKind.allCases.map(\.rawValue))
        }
        let normalizes = try normalizes(root["normalizer"])
        let stages = try preTokenizerStages()
        try checkDecoder()
        let added = try addedTokens(normalizes: normalizes)
        let bytePair = try bytePairModel(model, added: added)
        var definition = TokenizerDefinition(
            model: bytePair, addedTokens: added, preTokenizer: PreTokenizer(stages: stages),
            normalizes: normalizes)
        if let processor = present(root["post_processor"]) {
            try readPostProcessor(processor, into: &definition)
        }
        return definition
    }

    // MARK: - Model

    private func bytePairModel(
        _ model: JSONCursor, added: [AddedToken]
    ) throws(TokenizerError) -> BytePairModel {
        if let dropout = model["dropout"]?.double, dropout > 0 {
            throw .unsupported(
                file: file, key: "model.dropout", found: "\(dropout)", known: ["null", "0"])
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let text = model[key]?.string, !text.isEmpty {
                throw .unsupported(
                    file: file, key: "model.\(key)", found: "'\(text)'", known: ["null", "''"])
            }
        }
        if model["byte_fallback"]?.bool == true {
            throw .unsupported(
                file: file, key: "model.byte_fallback", found: "true", known: ["false"])
        }
        let vocabulary = try vocabulary(
            try required(model, "vocab", "model.vocab", .object), added: added)
        let merges = try merges(
            try required(model, "merges", "model.merges", .array), vocabulary)
        var unknown: UInt32?
        if let token = model["unk_token"]?.string {
            let id = added.first { $0.content == Array(token.utf8) }.map { UInt32($0.id) }
            let span = token.utf8.span
            unknown = id ?? vocabulary.id(of: span, 0..<span.count)
            guard unknown != nil else {
                throw .malformed(
                    file: file, key: "model.unk_token", found: "'\(token)'",
                    expected: "a token of the vocabulary")
            }
        }
        return BytePairModel(
            vocabulary: vocabulary, merges: merges,
            ignoresMerges: model["ignore_merges"]?.bool == true, unknown: unknown,
            fusesUnknown: model["fuse_unk"]?.bool == true)
    }

    private func vocabulary(
        _ entries: JSONCursor, added: [AddedToken]
    ) throws(TokenizerError) -> Vocabulary {
        let key = "model.vocab"
        var builder = VocabularyBuilder(
            file: file, key: key, capacity: min(entries.count, Vocabulary.maximumCount))
        var waiting: [Int: AddedToken] = [:]
        for token in added { waiting[Int(token.id)] = token }
        // Comparing with both ends spares nearly every entry the dictionary.
        let (lowest, highest) = (waiting.keys.min() ?? .max, waiting.keys.max() ?? .min)
        try entries.forEachEntryPlace {
            (text: RawSpan, place: Range<Int>, value: JSONCursor) throws(TokenizerError) in
            guard let id = value.int else {
                throw .malformed(
                    file: file, key: "\(key).\(text.repairedText(in: place))",
                    found: "\(value.kind)", expected: "a whole number")
            }
            if id >= lowest, id <= highest, let token = waiting[id] {
                let bytes = place.map { text.byte(at: $0) }
                guard token.content == bytes || token.content == Self.composed(bytes) else {
                    throw .malformed(
                        file: file, key: "added_tokens", found: "id \(id) twice",
                        expected: "'\(text.repairedText(in: place))' there, as in model.vocab")
                }
                waiting[id] = nil
                try builder.append(
                    literal: token.content.span.bytes, token.content.indices, id: id,
                    indexing: .ifFree)
            } else {
                try builder.append(text, place, id: id)
            }
        }
        for token in waiting.values.sorted(by: { $0.id < $1.id }) {
            try builder.append(
                literal: token.content.span.bytes, token.content.indices, id: Int(token.id),
                indexing: .never)
        }
        return try builder.build()
    }

    private func merges(
        _ rules: JSONCursor, _ vocabulary: Vocabulary
    ) throws(TokenizerError) -> MergeTable {
        let key = "model.merges"
        var builder = try MergeBuilder(
            file: file, key: key, vocabulary: vocabulary, count: rules.count)
        let visited = try rules.forEachStringOrPairPlace {
            (text: RawSpan, first: Range<Int>, second: Range<Int>?) throws(TokenizerError) in
            if let second {
                try builder.append(text, first, second)
            } else {
                try builder.append(text, first)
            }
        }
        if let other = rules[visited] {
            throw .malformed(
                file: file, key: "\(key)[\(visited)]", found: "\(other.kind)",
                expected: "\"left right\" or [\"left\", \"right\"]")
        }
        return try builder.build()
    }

    // MARK: - Around the model

    private func addedTokens(normalizes: Bool) throws(TokenizerError) -> [AddedToken] {
        guard let list = present(root["added_tokens"]) else { return [] }
        guard let elements = list.array else {
            throw malformed("added_tokens", list, "an array")
        }
        var tokens: [AddedToken] = []
        for (index, element) in elements.enumerated() {
            let key = "added_tokens[\(index)]"
            let content = try required(element, "content", "\(key).content", .string)
            let number = try required(element, "id", "\(key).id", .number)
            guard let id = number.int, id >= 0 else {
                throw malformed("\(key).id", number, "an id")
            }
            guard id < Vocabulary.maximumCount else {
                throw .tooLarge(
                    file: file, key: "\(key).id", found: id, limit: Vocabulary.maximumCount - 1)
            }
            let isSpecial = element["special"]?.bool ?? false
            let isNormalized = element["normalized"]?.bool ?? !isSpecial
            var bytes = Array((content.string ?? "").utf8)
            if normalizes, isNormalized { bytes = Self.composed(bytes) }
            tokens.append(
                AddedToken(
                    id: Int32(id), content: bytes,
                    isSpecial: isSpecial,
                    isSingleWord: element["single_word"]?.bool ?? false,
                    stripsLeft: element["lstrip"]?.bool ?? false,
                    stripsRight: element["rstrip"]?.bool ?? false,
                    isNormalized: isNormalized))
        }
        return tokens
    }

    private static func composed(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        return CanonicalComposition.shared.normalize(bytes.span, into: &result) ? result : bytes
    }

    private func normalizes(_ normalizer: JSONCursor?) throws(TokenizerError) -> Bool {
        guard let normalizer = present(normalizer) else { return false }
        let kind = try required(normalizer, "type", "normalizer.type", .string).string ?? ""
        switch kind {
        case "NFC":
            return true
        case "Sequence":
            var result = false
            if let parts = normalizer["normalizers"]?.array {
                for part in parts where try normalizes(part) { result = true }
            }
            return result
        default:
            throw .unsupported(
                file: file, key: "normalizer.type", found: "'\(kind)'",
                known: ["null", "NFC", "Sequence of these"])
        }
    }

    func preTokenizerStages() throws(TokenizerError) -> [PreTokenizer.Stage] {
        guard let cursor = present(root["pre_tokenizer"]) else {
            throw .missing(
                file: file, key: "pre_tokenizer",
                expected: "ByteLevel, or a Sequence that ends with it")
        }
        var parts = [cursor]
        if cursor["type"]?.string == "Sequence" {
            parts = Array(
                try required(cursor, "pretokenizers", "pre_tokenizer", .array).array, or: [])
        }
        var stages: [PreTokenizer.Stage] = []
        for (index, part) in parts.enumerated() {
            let key = parts.count == 1 ? "pre_tokenizer" : "pre_tokenizer[\(index)]"
            let kind = try required(part, "type", "\(key).type", .string).string ?? ""
            let isLast = index == parts.count - 1
            switch kind {
            case "ByteLevel" where isLast:
                if part["add_prefix_space"]?.bool ?? true { stages.append(.prefixSpace) }
                if part["use_regex"]?.bool ?? true { stages.append(.gpt2) }
                return stages
            case "Digits" where !isLast:
                stages.append(.digits(individual: part["individual_digits"]?.bool ?? false))
            case "Split" where !isLast:
                stages.append(try split(part, key))
            default:
                throw .unsupported(
                    file: file, key: "\(key).type",
                    found: "'\(kind)'" + (isLast ? ", last" : ", not last"),
                    known: ["Digits", "Split", "ByteLevel (last)"])
            }
        }
        throw .malformed(
            file: file, key: "pre_tokenizer", found: "an empty Sequence",
            expected: "one that ends with ByteLevel")
    }

    private func split(
        _ part: JSONCursor, _ key: String
    ) throws(TokenizerError) -> PreTokenizer.Stage {
        let pattern = try required(part, "pattern", "\(key).pattern", .object)
        let expression = try required(pattern, "Regex", "\(key).pattern.Regex", .string).string
        let behavior = part["behavior"]?.string ?? ""
        // An expression that covers all text leaves the same pieces either way.
        let isInverted = part["invert"]?.bool ?? false
        guard (behavior == "Isolated" && !isInverted) || (behavior == "Removed" && isInverted)
        else {
            throw .unsupported(
                file: file, key: "\(key).behavior",
                found: "'\(behavior)'" + (isInverted ? ", inverted" : ""), known: ["Isolated"])
        }
        let known = PreTokenizer.knownExpressions
        guard let found = known.first(where: { $0.pattern == expression }) else {
            throw .unsupported(
                file: file, key: "\(key).pattern.Regex", found: "'\(expression ?? "")'",
                known: known.map { "'\($0.pattern)'" })
        }
        return found.stage
    }

    private func checkDecoder() throws(TokenizerError) {
        guard let decoder = present(root["decoder"]) else { return }
        var kind = decoder["type"]?.string ?? ""
        if kind == "Sequence", let only = decoder["decoders"], only.count == 1 {
            kind = only[0]?["type"]?.string ?? ""
        }
        guard kind == "ByteLevel" else {
            throw .unsupported(
                file: file, key: "decoder.type", found: "'\(kind)'", known: ["ByteLevel"])
        }
    }

    private func readPostProcessor(
        _ processor: JSONCursor, into definition: inout TokenizerDefinition
    ) throws(TokenizerError) {
        let key = "post_processor"
        let kind = try required(processor, "type", "\(key).type", .string).string ?? ""
        switch kind {
        case "ByteLevel":
            break
        case "Sequence":
            let parts = try required(processor, "processors", "\(key).processors", .array)
            for part in Array(parts.array, or: []) {
                try readPostProcessor(part, into: &definition)
            }
        case "TemplateProcessing":
            let single = try required(processor, "single", "\(key).single", .array)
            var isBefore = true
            for piece in Array(single.array, or: []) {
                if piece["Sequence"] != nil {
                    isBefore = false
                    continue
                }
                let name = piece["SpecialToken"]?["id"]?.string ?? ""
                guard let ids = processor["special_tokens"]?[name]?["ids"]?.array else {
                    throw .missing(
                        file: file, key: "\(key).special_tokens.\(name)", expected: "its ids")
                }
                for cursor in ids {
                    guard let id = cursor.int,
                        (0..<definition.model.vocabulary.count).contains(id)
                    else { throw malformed("\(key).special_tokens.\(name)", cursor, "ids") }
                    if isBefore {
                        definition.prefix.append(Int32(id))
                    } else {
                        definition.suffix.append(Int32(id))
                    }
                }
            }
        default:
            throw .unsupported(
                file: file, key: "\(key).type", found: "'\(kind)'",
                known: ["ByteLevel", "TemplateProcessing", "Sequence of these"])
        }
    }

    // MARK: - Values

    private func present(_ cursor: JSONCursor?) -> JSONCursor? {
        cursor.flatMap { $0.isNull ? nil : $0 }
    }

    private func required(
        _ parent: JSONCursor, _ name: String, _ key: String, _ kind: JSONKind
    ) throws(TokenizerError) -> JSONCursor {
        guard let value = parent[name] else {
            throw .missing(file: file, key: key, expected: "\(kind)")
        }
        guard value.kind == kind else { throw malformed(key, value, "\(kind)") }
        return value
    }

    private func malformed(
        _ key: String, _ cursor: JSONCursor, _ expected: String
    ) -> TokenizerError {
        .malformed(file: file, key: key, found: "\(cursor.kind)", expected: expected)
    }
}

extension [JSONCursor] {
    fileprivate init(_ elements: JSONElements?, or fallback: [JSONCursor]) {
        self = elements.map { Array($0) } ?? fallback
    }
}
