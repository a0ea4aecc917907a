/// A Jinja template, parsed once and rendered as often as needed.
///
/// The language and its Python semantics are those of jinja2 3.1 in the environment that Hugging
/// Face transformers gives to chat templates: immutable sandbox, `trim_blocks`, `lstrip_blocks`,
/// loop controls, `raise_exception`, `strftime_now` and `{% generation %}`. Differences: integers
/// have 64 bits, templates cannot load others, and consumption is bounded by `TemplateLimits`.
public struct Template: Sendable {
    /// What messages call the template.
    public let name: String
    let tree: TemplateTree

    /// Parses a template.
    ///
    /// - Throws: `.syntax`, `.unknownFilter`, `.unknownTest`, or `.limit` for deep nesting.
    public init(source: String, name: String = "template") throws(TemplateError) {
        self.name = name
        var parser = try TemplateParser(source, template: name)
        tree = try parser.parse()
    }

    /// Renders the template with values for its names.
    ///
    /// - Parameter date: The moment that `strftime_now` formats; nil is the present.
    /// - Throws: Every case of `TemplateError` but `.syntax` and `.untraceableGeneration`.
    public func render(
        variables: [String: TemplateValue] = [:], limits: TemplateLimits = TemplateLimits(),
        date: TemplateDate? = nil
    ) throws(TemplateError) -> String {
        let given = variables.map { (name: $0.key, value: $0.value) }
        return try run(given, limits: limits, date: date).output
    }

    func run(
        _ variables: [(name: String, value: TemplateValue)], limits: TemplateLimits,
        date: TemplateDate?
    ) throws(TemplateError) -> JinjaInterpreter {
        let interpreter: JinjaInterpreter
        do throws(JinjaFault) {
            interpreter = try JinjaInterpreter(
                tree: tree, variables: variables, limits: limits, date: date)
        } catch {
            throw error.at(template: name, line: 1)
        }
        do throws(JinjaFault) {
            try interpreter.run()
        } catch {
            throw error.at(template: name, line: interpreter.line)
        }
        return interpreter
    }
}

/// The template of a model that turns a conversation into its prompt.
///
/// Equal to `apply_chat_template(..., tokenize=False)` of Hugging Face transformers.
public struct ChatTemplate: Sendable {
    /// A rendered conversation and where the model itself speaks in it.
    public struct Rendering: Sendable, Hashable {
        /// The prompt.
        public let text: String
        /// UTF-8 offsets in `text` of what `{% generation %}` blocks wrote, in order.
        public let generated: [Range<Int>]
    }

    /// The template as given.
    public let source: String
    let template: Template

    /// Parses the template of a model, as `tokenizer.chat_template` in GGUF holds it.
    ///
    /// - Throws: `.syntax`, `.unknownFilter`, `.unknownTest`, or `.limit` for deep nesting.
    public init(source: String, name: String = "chat template") throws(TemplateError) {
        self.source = source
        template = try Template(source: source, name: name)
    }

    /// Renders a conversation.
    ///
    /// - Parameters:
    ///   - messages: Objects with `role` and `content`; entries that are none count as absent.
    ///   - tools: JSON schemas of functions, or nil.
    ///   - addGenerationPrompt: Whether to end with the start of an assistant turn.
    ///   - variables: `bos_token`, `eos_token`, `enable_thinking`, `documents` and the like.
    ///   - date: The moment that `strftime_now` formats; nil is the present.
    /// - Throws: `.raised` if the template refuses the conversation, or another `TemplateError`.
    public func render(
        messages: [TemplateValue], tools: [TemplateValue]? = nil, addGenerationPrompt: Bool = true,
        variables: [String: TemplateValue] = [:], limits: TemplateLimits = TemplateLimits(),
        date: TemplateDate? = nil
    ) throws(TemplateError) -> String {
        try run(messages, tools, addGenerationPrompt, variables, limits, date).output
    }

    /// Renders a conversation for training, with the places that the model is to learn.
    ///
    /// - Throws: `.untraceableGeneration` besides what `render` throws.
    public func renderWithGenerations(
        messages: [TemplateValue], tools: [TemplateValue]? = nil, addGenerationPrompt: Bool = false,
        variables: [String: TemplateValue] = [:], limits: TemplateLimits = TemplateLimits(),
        date: TemplateDate? = nil
    ) throws(TemplateError) -> Rendering {
        let result = try run(messages, tools, addGenerationPrompt, variables, limits, date)
        if let line = result.untraceableLine {
            throw .untraceableGeneration(template: template.name, line: line)
        }
        return Rendering(text: result.output, generated: result.generated)
    }

    private func run(
        _ messages: [TemplateValue], _ tools: [TemplateValue]?, _ addGenerationPrompt: Bool,
        _ variables: [String: TemplateValue], _ limits: TemplateLimits, _ date: TemplateDate?
    ) throws(TemplateError) -> JinjaInterpreter {
        var given: [(name: String, value: TemplateValue)] = [
            ("messages", .array(messages.map(Self.normalised))),
            ("tools", tools.map { .array($0) } ?? .none),
            ("add_generation_prompt", .bool(addGenerationPrompt)),
        ]
        if variables["documents"] == nil { given.append(("documents", .none)) }
        given += variables.map { (name: $0.key, value: $0.value) }
        return try template.run(given, limits: limits, date: date)
    }

    /// Drops entries that are none and gives reasoning its customary names, as transformers does.
    private static func normalised(_ message: TemplateValue) -> TemplateValue {
        guard case .object(let object) = message else { return message }
        let isAffected = object.entries.contains { key, value in
            if case .none = value { return true }
            return key == "reasoning_content" || key == "thinking" || key == "reasoning"
        }
        guard isAffected else { return message }
        var entries = object.entries.filter { $0.value != .none }
        let names = ["reasoning_content", "thinking", "reasoning"]
        let found = names.lazy.compactMap { name in entries.first { sameText($0.key, name) } }.first
        guard let reasoning = found?.value else { return .object(TemplateObject(entries)) }
        if !entries.contains(where: { $0.key == "thinking" }) {
            entries.insert((key: "thinking", value: reasoning), at: 0)
        }
        var result = TemplateObject(entries)
        result["reasoning_content"] = reasoning
        return .object(result)
    }
}
