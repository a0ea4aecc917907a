import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads what stands beside tokenizer.json in an HF directory.
struct HuggingFaceSettingsReader {
    let directory: String

    /// Adds the roles of tokens, the chat templates and further end tokens.
    ///
    /// `add_bos_token` and `add_eos_token` of the configuration win over the post-processor, as in
    /// `transformers`; without them the post-processor decides.
    func apply(to definition: inout TokenizerDefinition) throws(TokenizerError) {
        var settings = definition.settings
        if let config = try document("tokenizer_config.json") {
            settings.beginning = try token("bos_token", config, definition)
            settings.end = try token("eos_token", config, definition)
            settings.padding = try token("pad_token", config, definition)
            settings.addsBeginning = config.root["add_bos_token"]?.bool
            settings.addsEnd = config.root["add_eos_token"]?.bool
            try readTemplates(config, into: &settings)
        }
        if let template = try text("chat_template.jinja") { settings.chatTemplate = template }
        if let generation = try document("generation_config.json") {
            settings.otherEnds = try ids("eos_token_id", generation, definition)
        }
        apply(settings.addsBeginning, settings.beginning, to: &definition.prefix)
        apply(settings.addsEnd, settings.end, to: &definition.suffix)
        definition.settings = settings
    }

    private func apply(_ wanted: Bool?, _ id: Int32?, to ids: inout [Int32]) {
        guard let wanted, let id, wanted != ids.contains(id) else { return }
        if wanted { ids.append(id) } else { ids.removeAll { $0 == id } }
    }

    /// A token given as text, or as an object with `content`.
    private func token(
        _ key: String, _ config: JSONDocument, _ definition: TokenizerDefinition
    ) throws(TokenizerError) -> Int32? {
        guard let value = config.root[key], !value.isNull else { return nil }
        guard let content = value.string ?? value["content"]?.string else {
            throw .malformed(
                file: config.name, key: key, found: "\(value.kind)",
                expected: "a token or an object with its content")
        }
        let bytes = Array(content.utf8)
        if let added = definition.addedTokens.first(where: { $0.content == bytes }) {
            return added.id
        }
        // Base models name tokens that their vocabulary lacks; nothing can be done with those.
        return definition.model.vocabulary.id(of: bytes.span, 0..<bytes.count).map {
            Int32(truncatingIfNeeded: $0)
        }
    }

    private func readTemplates(
        _ config: JSONDocument, into settings: inout TokenizerSettings
    ) throws(TokenizerError) {
        guard let value = config.root["chat_template"], !value.isNull else { return }
        if let template = value.string {
            settings.chatTemplate = template
            return
        }
        guard let list = value.array else {
            throw .malformed(
                file: config.name, key: "chat_template", found: "\(value.kind)",
                expected: "a template, or a list of templates with names")
        }
        for (index, entry) in list.enumerated() {
            guard let name = entry["name"]?.string, let template = entry["template"]?.string else {
                throw .malformed(
                    file: config.name, key: "chat_template[\(index)]", found: "\(entry.kind)",
                    expected: "an object with name and template")
            }
            settings.namedChatTemplates[name] = template
        }
        settings.chatTemplate = settings.namedChatTemplates["default"]
    }

    private func ids(
        _ key: String, _ config: JSONDocument, _ definition: TokenizerDefinition
    ) throws(TokenizerError) -> [Int32] {
        guard let value = config.root[key], !value.isNull else { return [] }
        let numbers = value.array.map { $0.map(\.int) } ?? [value.int]
        var result: [Int32] = []
        for number in numbers {
            guard let number, let id = Int32(exactly: number), id >= 0 else {
                throw .malformed(
                    file: config.name, key: key, found: "\(value.kind)",
                    expected: "an id or a list of ids")
            }
            result.append(id)
        }
        return result
    }

    private func document(_ name: String) throws(TokenizerError) -> JSONDocument? {
        let path = directory + "/" + name
        return access(path, F_OK) == 0 ? try Tokenizer.document(path) : nil
    }

    private func text(_ name: String) throws(TokenizerError) -> String? {
        let path = directory + "/" + name
        guard access(path, F_OK) == 0 else { return nil }
        do throws(FormatError) {
            return try MappedFile(path: path).withBytes { $0.repairedText(in: 0..<$0.byteCount) }
        } catch {
            throw .unreadable(error)
        }
    }
}
