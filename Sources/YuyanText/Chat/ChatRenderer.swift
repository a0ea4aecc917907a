/// Turns conversations into the text and ids that one model reads.
///
/// The only way from a conversation to ids: serving, training and evaluation all come through here,
/// so a model is trained on exactly what it is served.
package struct ChatRenderer: Sendable {
    package let tokenizer: Tokenizer
    package let template: ChatTemplate
    package let capabilities: TemplateCapabilities
    package let toolFormat: ToolFormat
    package let special: SpecialTexts

    package init(tokenizer: Tokenizer, template: ChatTemplate) {
        self.tokenizer = tokenizer
        self.template = template
        capabilities = TemplateCapabilities(template)
        toolFormat = .hermes
        special = SpecialTexts(tokenizer)
    }

    /// A conversation that is ready to be rendered as often as needed.
    ///
    /// - Parameters:
    ///   - tools: Functions offered; where the template ignores them, the system message tells.
    ///   - variables: Names for the template: `enable_thinking`, `documents` and the like.
    ///   - date: The moment that `strftime_now` formats; nil is the present.
    package func conversation(
        _ turns: [ChatTurn], tools: [Tool] = [], variables: [String: TemplateValue] = [:],
        date: TemplateDate? = nil
    ) -> RenderableChat {
        let prepared = prepare(turns, tools)
        let rendersTools = capabilities.rendersTools
        return conversation(
            messages: prepared.map { turn in
                (rendersTools ? turn : turn.plain(toolFormat)).templateValue(toolFormat)
            },
            tools: rendersTools && !tools.isEmpty ? tools.map { TemplateValue($0.output) } : nil,
            variables: variables, date: date, addedCount: prepared.count - turns.count)
    }

    /// A conversation whose messages are given as the template reads them.
    package func conversation(
        messages: [TemplateValue], tools: [TemplateValue]?,
        variables: [String: TemplateValue] = [:], date: TemplateDate? = nil, addedCount: Int = 0
    ) -> RenderableChat {
        var (messages, tools, variables) = (messages, tools, variables)
        let mark = mark(for: messages + (tools ?? []) + Array(variables.values))
        if let mark {
            func protected(_ value: TemplateValue) -> TemplateValue {
                value.mapTexts { special.marked($0, by: mark) }
            }
            messages = messages.map(protected)
            tools = tools?.map(protected)
            variables = variables.mapValues(protected)
        }
        if let id = tokenizer.beginningOfSequence {
            variables["bos_token"] = .string(tokenizer.text(of: id))
        }
        if let id = tokenizer.endOfSequence {
            variables["eos_token"] = .string(tokenizer.text(of: id))
        }
        return RenderableChat(
            messages: messages, addedCount: addedCount, tools: tools, variables: variables,
            date: date, mark: mark, renderer: self)
    }

    /// Turns with one name for each role, and tools described where the template does not.
    private func prepare(_ turns: [ChatTurn], _ tools: [Tool]) -> [ChatTurn] {
        var turns = turns.map { turn in
            var turn = turn
            if turn.role == "developer" { turn.role = "system" }
            if turn.role == "function" { turn.role = "tool" }
            return turn
        }
        guard !tools.isEmpty, !capabilities.rendersTools else { return turns }
        let description = toolFormat.description(of: tools)
        if turns.first?.role == "system" {
            let own = turns[0].content ?? ""
            turns[0].content = own.isEmpty ? description : own + "\n\n" + description
        } else {
            turns.insert(ChatTurn(role: "system", content: description), at: 0)
        }
        return turns
    }

    /// A scalar that no text holds, if a special token's text occurs in one; nil if none does.
    private func mark(for values: [TemplateValue]) -> Unicode.Scalar? {
        var isNeeded = false
        var used: Set<Unicode.Scalar> = []
        for value in values {
            value.forEachText { text in
                isNeeded = isNeeded || special.occur(in: text)
                // U+E000 to U+F8FF start with these bytes in UTF-8.
                guard text.utf8.contains(where: { $0 == 0xEE || $0 == 0xEF }) else { return }
                for scalar in text.unicodeScalars where (0xE000...0xF8FF).contains(scalar.value) {
                    used.insert(scalar)
                }
            }
        }
        guard isNeeded else { return nil }
        let candidates = (UInt32(0xE000)...0xF8FF).lazy.compactMap(Unicode.Scalar.init)
        // A text that uses all 6400 gets a mark that is no character at all.
        return candidates.first { !used.contains($0) } ?? "\u{10FFFF}"
    }
}

/// A conversation as its template reads it, in which no text of a client is special.
package struct RenderableChat: Sendable {
    /// One for each turn, after `addedCount` that were put before them.
    package let messages: [TemplateValue]
    package let addedCount: Int
    let tools: [TemplateValue]?
    let variables: [String: TemplateValue]
    let date: TemplateDate?
    /// What stands before special texts that clients wrote.
    let mark: Unicode.Scalar?
    let renderer: ChatRenderer

    /// Renders the first messages, all of them by default.
    ///
    /// - Throws: `.raised` if the template refuses the conversation, or another `TemplateError`.
    package func render(
        first count: Int? = nil, addsGenerationPrompt: Bool
    ) throws(TemplateError) -> MarkedText {
        let text = try renderer.template.render(
            messages: count.map { Array(messages[..<$0]) } ?? messages, tools: tools,
            addGenerationPrompt: addsGenerationPrompt, variables: variables, date: date)
        return MarkedText(text, mark: mark)
    }

    /// The text of a message's content as it stands in a rendering, marks included.
    package func content(_ index: Int) -> String {
        guard case .object(let message) = messages[index],
            case .string(let text)? = message["content"]
        else { return "" }
        return text
    }

    /// The ids of a rendering.
    package func ids(_ text: MarkedText) -> [Int32] {
        renderer.special.encode(text.marked, mark: text.mark, with: renderer.tokenizer)
    }
}

/// A rendering in which special texts that clients wrote are marked, so that they stay text.
package struct MarkedText: Sendable {
    /// The rendering with marks.
    package let marked: String
    let mark: Unicode.Scalar?

    init(_ marked: String, mark: Unicode.Scalar?) {
        self.marked = marked
        self.mark = mark
    }

    /// The rendering up to an offset in `marked`.
    package func prefix(_ count: Int) -> MarkedText {
        MarkedText(String(decoding: marked.utf8.prefix(count), as: UTF8.self), mark: mark)
    }

    /// The rendering without marks.
    package var text: String {
        guard let mark else { return marked }
        return String(String.UnicodeScalarView(marked.unicodeScalars.filter { $0 != mark }))
    }
}
