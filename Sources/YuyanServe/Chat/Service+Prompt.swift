import YuyanEngine
import YuyanFormats
import YuyanNN
import YuyanText

extension Service {
    /// A conversation as the model reads it.
    struct Prompt: Sendable {
        var ids: [Int32]
        var text: String
        /// Whether the prompt ends inside `<think>`.
        var opensThinking: Bool
    }

    /// Renders a conversation and turns it into ids, in which no client's text is special.
    ///
    /// - Throws: `.template` if the template refuses, `.body` if the model has none.
    func prompt(_ input: ChatInput) throws(RequestError) -> Prompt {
        guard let template = text.template else {
            throw .body(
                "the model '\(text.modelID)' has no chat template; use /v1/completions")
        }
        let turns = preparedTurns(input)
        let offersTools = !input.tools.isEmpty && input.choice != .none
        let tools =
            offersTools && text.capabilities.rendersTools
            ? input.tools.map { TemplateValue($0.output) } : nil
        let isPlain = !text.capabilities.rendersTools
        let messages = turns.map { turn in
            (isPlain ? turn.plain(text.toolFormat) : turn).templateValue(text.toolFormat)
        }
        let mark = mark(for: messages + (tools ?? []) + Array(input.variables.values))
        func protected(_ value: TemplateValue) -> TemplateValue {
            guard let mark else { return value }
            return value.mapTexts { text.special.marked($0, by: mark) }
        }
        var variables = input.variables.mapValues(protected)
        let tokenizer = text.tokenizer
        if let id = tokenizer.beginningOfSequence {
            variables["bos_token"] = .string(tokenizer.text(of: id))
        }
        if let id = tokenizer.endOfSequence {
            variables["eos_token"] = .string(tokenizer.text(of: id))
        }
        var rendered: String
        do throws(TemplateError) {
            rendered = try template.render(
                messages: messages.map(protected), tools: tools?.map(protected),
                addGenerationPrompt: input.addsGenerationPrompt && !input.continuesFinal,
                variables: variables)
        } catch {
            throw .template("the chat template cannot render the messages: \(error)")
        }
        if input.continuesFinal {
            let content = protected(.string(turns.last?.content ?? ""))
            rendered = try Self.cut(rendered, after: content)
        }
        return Prompt(
            ids: text.special.encode(rendered, mark: mark, with: tokenizer),
            text: mark.map { mark in
                String(String.UnicodeScalarView(rendered.unicodeScalars.filter { $0 != mark }))
            } ?? rendered,
            opensThinking: rendered.endsWithOpenThought)
    }

    /// Turns with one name for each role, and tools described where the template does not.
    private func preparedTurns(_ input: ChatInput) -> [ChatTurn] {
        var turns = input.turns.map { turn in
            var turn = turn
            if turn.role == "developer" { turn.role = "system" }
            if turn.role == "function" { turn.role = "tool" }
            return turn
        }
        guard !input.tools.isEmpty, input.choice != .none, !text.capabilities.rendersTools
        else { return turns }
        let description = text.toolFormat.description(of: input.tools)
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
                isNeeded = isNeeded || self.text.special.occur(in: text)
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

    /// What is rendered up to the end of the last message's content.
    private static func cut(
        _ rendered: String, after content: TemplateValue
    ) throws(RequestError) -> String {
        guard case .string(let content) = content else { return rendered }
        // Templates often trim; what matters is where the content's last character is.
        let end = content.unicodeScalars.lastIndex { !$0.properties.isWhitespace }
        let words = end.map { String(content.unicodeScalars[...$0]) } ?? ""
        let start = words.unicodeScalars.firstIndex { !$0.properties.isWhitespace }
        let trimmed = start.map { String(words.unicodeScalars[$0...]) } ?? ""
        guard !trimmed.isEmpty, let range = rendered.utf8Range(of: trimmed, last: true) else {
            throw .field(
                param: "continue_final_message",
                message: "cannot be used: the template does not write the last message's content")
        }
        return String(decoding: rendered.utf8.prefix(range.upperBound), as: UTF8.self)
    }

    /// Makes a conversation ready for the engine.
    ///
    /// - Throws: `.field` naming what cannot be, `.engine` if the prompt is too long.
    func job(_ input: ChatInput, client: String) throws(RequestError) -> ChatJob {
        var input = input
        let (model, adapter) = try adapter(named: input.model, index: input.adapterIndex)
        let format = input.reasoning ?? .auto
        let mayThink = format == .deepseek || (format == .auto && text.capabilities.thinks)
        // An answer of a given form needs no thoughts; a template that can does not ask for them.
        if input.constraint != nil, text.capabilities.switchesThinking,
            input.variables["enable_thinking"] == nil
        {
            input.variables["enable_thinking"] = false
        }
        var prompt = try prompt(input)
        var truncated = 0
        if let kept = input.truncation, prompt.ids.count > kept {
            truncated = prompt.ids.count - kept
            prompt.ids.removeFirst(truncated)
        }
        try check(length: prompt.ids.count)
        var request = GenerationRequest(prompt: prompt.ids, parameters: input.parameters)
        request.sampleCount = input.sampleCount
        request.promptLogProbabilities = input.promptLogProbabilities
        request.adapter = adapter
        request.priority = input.priority
        request.client = client
        request.cacheSalt = input.cacheSalt
        let calls = !input.tools.isEmpty && input.choice != .none
        var reasoning = AnswerParser.Reasoning.none
        if mayThink { reasoning = prompt.opensThinking ? .open : .tagged }
        if let form = input.constraint {
            // Thoughts that the prompt has begun come to their end first.
            if reasoning == .open {
                input.constraint?.source = form.source.afterThoughts()
            } else {
                reasoning = .none
            }
        }
        if calls {
            let source = try text.toolFormat.constraint(
                input.tools, choice: input.choice,
                reasoning: prompt.opensThinking
                    ? .open : mayThink && text.capabilities.thinks ? .tagged : .none,
                isParallel: input.isParallel)
            if input.constraint != nil, input.choice != .auto {
                throw .field(
                    param: "tool_choice",
                    message: "asks for a call, and another field for a form of the answer; use one")
            }
            // With both, the answer's form wins: it is a promise, a call is an offer.
            input.constraint = input.constraint ?? FieldConstraint(param: "tools", source: source)
        }
        if let constraint = input.constraint {
            request.constraint = try constraints.compiled(
                constraint, maxBytes: configuration.maxSchemaBytes,
                answerTokens: request.parameters.maxTokens)
        }
        return ChatJob(
            request: request, model: model, skipsSpecial: input.skipsSpecial,
            reasoning: reasoning,
            toolNames: calls ? Set(input.tools.map(\.name)) : [], toolFormat: text.toolFormat,
            truncatedTokens: truncated)
    }

    /// Refuses a prompt that leaves no room for an answer.
    func check(length: Int, answer: Bool = true) throws(RequestError) {
        let limit = engine.contextLimit
        guard length > 0 else {
            throw .body("the prompt has no tokens; expected at least one")
        }
        guard answer ? length < limit : length <= limit else {
            throw .engine(engine.tooLong(promptTokens: length))
        }
    }

    /// The model or adapter of a name.
    ///
    /// - Throws: `.unknownModel`, or `.failed` if an adapter cannot be loaded.
    func adapter(
        named name: String?, index: Int? = nil
    ) throws(RequestError) -> (name: String, adapter: LowRankAdapter?) {
        let registered = adapters?.registered.map(\.name) ?? []
        var name = name
        if let index {
            guard registered.indices.contains(index) else {
                throw .field(
                    param: "lora[0].id",
                    message: "is \(index); there are \(registered.count) adapters")
            }
            name = registered[index]
        }
        guard let name, name != text.modelID, !text.aliases.contains(name) else {
            return (text.modelID, nil)
        }
        guard let adapters, registered.contains(name) else {
            throw .unknownModel(name, known: [text.modelID] + registered)
        }
        do {
            return (name, try adapters.adapter(named: name))
        } catch {
            throw .failed("the adapter '\(name)' cannot be loaded: \(error)")
        }
    }
}

extension String {
    /// Whether the text ends with `<think>` and white space.
    fileprivate var endsWithOpenThought: Bool {
        let end = utf8.lastIndex { !$0.isSpace }
        return end.map { self[...$0].hasSuffix(AnswerParser.openingMark) } ?? false
    }
}

extension TemplateValue {
    /// A JSON value that was built here, as templates read it.
    init(_ output: JSONOutput) {
        switch output {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .double(let value): self = .float(value)
        case .float(let value): self = .float(Double(value))
        case .string(let value): self = .string(value)
        case .array(let items): self = .array(items.map { TemplateValue($0) })
        case .object(let entries):
            self = .object(TemplateObject(entries.map { ($0.key, TemplateValue($0.value)) }))
        }
    }
}
