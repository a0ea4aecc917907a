import YuyanEngine
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
        guard let renderer = text.renderer else {
            throw .body(
                "the model '\(text.modelID)' has no chat template; use /v1/completions")
        }
        let chat = renderer.conversation(
            input.turns, tools: input.choice == .none ? [] : input.tools,
            variables: input.variables)
        var rendered: MarkedText
        do throws(TemplateError) {
            rendered = try chat.render(
                addsGenerationPrompt: input.addsGenerationPrompt && !input.continuesFinal)
        } catch {
            throw .template("the chat template cannot render the messages: \(error)")
        }
        if input.continuesFinal, !input.turns.isEmpty {
            rendered = try Self.cut(rendered, after: chat.content(chat.messages.count - 1))
        }
        return Prompt(
            ids: chat.ids(rendered), text: rendered.text,
            opensThinking: rendered.marked.endsWithOpenThought)
    }

    /// What is rendered up to the end of the last message's content.
    private static func cut(
        _ rendered: MarkedText, after content: String
    ) throws(RequestError) -> MarkedText {
        // Templates often trim; what matters is where the content's last character is.
        let end = content.unicodeScalars.lastIndex { !$0.properties.isWhitespace }
        let words = end.map { String(content.unicodeScalars[...$0]) } ?? ""
        let start = words.unicodeScalars.firstIndex { !$0.properties.isWhitespace }
        let trimmed = start.map { String(words.unicodeScalars[$0...]) } ?? ""
        guard !trimmed.isEmpty, let range = rendered.marked.utf8Range(of: trimmed, last: true)
        else {
            throw .field(
                param: "continue_final_message",
                message: "cannot be used: the template does not write the last message's content")
        }
        return rendered.prefix(range.upperBound)
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
