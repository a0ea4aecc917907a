import YuyanFormats
import YuyanText

/// The fields of `/v1/chat/completions`.
enum ChatFields {
    static func table(_ limits: ServiceConfiguration) -> [Field] {
        [
            Field(
                "messages", .list(.object(messageTable), count: 1...limits.maxMessages),
                required: true),
            Field("max_tokens", .count), Field("max_completion_tokens", .count),
            Field("logprobs", .boolean), Field("top_logprobs", .integer(0...20)),
            Field("tools", .list(.object(toolTable), count: 0...limits.maxTools)),
            Field("tool_choice", toolChoice), Field("parallel_tool_calls", .boolean),
            Field("reasoning_effort", .name),
            Field("include_reasoning", .boolean),
            Field("reasoning_format", .choice(["none", "auto", "deepseek", "deepseek-legacy"])),
            Field("add_generation_prompt", .boolean), Field("continue_final_message", .boolean),
            Field("chat_template", .text), Field("chat_template_kwargs", .freeObject),
            Field("documents", .list(.freeObject, count: 0...256)),
        ] + SamplingFields.table(limits) + ConstraintFields.table(limits)
    }

    /// What a message's content may be.
    static let content = FieldKind.either([
        .text,
        .list(
            .object([
                Field("type", .name, required: true), Field("text", .text),
                Field("refusal", .text),
            ]), count: 0...1024),
    ])

    private static let messageTable = [
        Field(
            "role", .choice(["system", "developer", "user", "assistant", "tool", "function"]),
            required: true),
        Field("content", content), Field("name", .name), Field("tool_call_id", .name),
        Field("reasoning_content", .text), Field("reasoning", .text),
        Field(
            "tool_calls",
            .list(
                .object([
                    Field("id", .name), Field("type", .name),
                    Field(
                        "function",
                        .object([
                            Field("name", .name, required: true),
                            Field("arguments", .either([.text, .freeObject])),
                        ]), required: true),
                ]), count: 0...128)),
    ]

    private static let toolTable = [
        Field("type", .choice(["function"]), required: true),
        Field(
            "function",
            .object([
                Field("name", .string(maxBytes: 128), required: true),
                Field("description", .text), Field("parameters", .freeObject),
                Field("strict", .boolean),
            ]), required: true),
    ]

    private static let toolChoice = FieldKind.either([
        .choice(["none", "auto", "required"]),
        .object([
            Field("type", .choice(["function"]), required: true),
            Field(
                "function", .object([Field("name", .name, required: true)]), required: true),
        ]),
    ])

    /// The messages of a body.
    static func turns(_ body: RequestBody) throws(RequestError) -> [ChatTurn] {
        var turns: [ChatTurn] = []
        for (index, message) in (body.list("messages") ?? []).enumerated() {
            let path = "messages[\(index)]"
            var turn = ChatTurn(
                role: message["role"]?.string ?? "user",
                content: try text(message["content"], at: path + ".content"))
            turn.name = message["name"]?.string
            turn.callID = message["tool_call_id"]?.string
            turn.reasoning =
                message["reasoning_content"]?.string ?? message["reasoning"]?.string
            for call in (message["tool_calls"]?.array).map(Array.init) ?? [] {
                let arguments = call["function"]?["arguments"]
                turn.calls.append(
                    ToolCall(
                        id: call["id"]?.string ?? "", name: call["function"]?["name"]?.string ?? "",
                        arguments: arguments.map { $0.string ?? JSONOutput($0).description }
                            ?? "{}"))
            }
            if turn.content == nil, turn.calls.isEmpty, turn.role != "assistant" {
                throw .field(
                    param: path + ".content", message: "is missing; expected the message's text")
            }
            turns.append(turn)
        }
        return turns
    }

    /// The text of a message's content; several parts on lines of their own.
    static func text(
        _ content: JSONCursor?, at path: String
    ) throws(RequestError) -> String? {
        guard let content, !content.isNull else { return nil }
        if let text = content.string { return text }
        var texts: [String] = []
        for (index, part) in (content.array.map(Array.init) ?? []).enumerated() {
            let kind = part["type"]?.string ?? ""
            switch kind {
            case "text", "input_text", "output_text":
                guard let text = part["text"]?.string else {
                    throw .field(param: "\(path)[\(index)].text", message: "is missing")
                }
                texts.append(text)
            case "refusal": texts.append(part["refusal"]?.string ?? "")
            default:
                throw .field(
                    param: "\(path)[\(index)].type",
                    message: "is \(JSONOutput.string(String(kind.prefix(40)))); this model reads "
                        + "parts of the type \"text\" only")
            }
        }
        return texts.joined(separator: "\n")
    }

    /// The tools of a body.
    static func tools(
        _ body: RequestBody, _ limits: ServiceConfiguration
    ) throws(RequestError) -> [Tool] {
        let tools = (body.list("tools") ?? []).map { tool in
            let function = tool["function"]
            return Tool(
                name: function?["name"]?.string ?? "",
                summary: function?["description"]?.string,
                parameters: function?["parameters"].flatMap { $0.isNull ? nil : $0 })
        }
        try check(tools, limits, at: { "tools[\($0)].function.name" })
        return tools
    }

    /// Refuses tools without names, with equal names, or that are too large together.
    static func check(
        _ tools: [Tool], _ limits: ServiceConfiguration, at path: (Int) -> String
    ) throws(RequestError) {
        var names: Set<String> = []
        var byteCount = 0
        for (index, tool) in tools.enumerated() {
            guard !tool.name.isEmpty, names.insert(tool.name).inserted else {
                throw .field(
                    param: path(index),
                    message: "is \(JSONOutput.string(tool.name)); expected a name of its own for "
                        + "each tool")
            }
            byteCount += tool.output.description.utf8.count
        }
        guard byteCount <= limits.maxSchemaBytes else {
            throw .field(
                param: "tools",
                message: "take \(byteCount) bytes; expected at most \(limits.maxSchemaBytes)")
        }
    }

    /// Which tools must be called.
    static func choice(
        _ body: RequestBody, _ tools: [Tool]
    ) throws(RequestError) -> ToolChoice {
        guard let value = body["tool_choice"] else { return .auto }
        var choice = ToolChoice.auto
        switch value.string {
        case "none": return .none
        case "auto": return .auto
        case "required": choice = .required
        default: choice = .named(value["function"]?["name"]?.string ?? "")
        }
        try check(choice, tools)
        return choice
    }

    /// Refuses a choice of what is not offered.
    static func check(_ choice: ToolChoice, _ tools: [Tool]) throws(RequestError) {
        switch choice {
        case .required:
            guard !tools.isEmpty else {
                throw .field(
                    param: "tool_choice", message: "asks for a call, but there are no tools")
            }
        case .named(let name):
            guard tools.contains(where: { $0.name == name }) else {
                throw .field(
                    param: "tool_choice",
                    message: "names \(JSONOutput.string(name)), which is not among the tools")
            }
        case .none, .auto: break
        }
    }
}
