import YuyanFormats
import YuyanText

/// The fields of `/v1/chat/completions`.
enum ChatFields {
    static func table(_ limits: ServiceConfiguration) -> [Field] {
        [
            Field(
                "messages", .list(message, count: 1...limits.maxMessages),
                required: true),
            Field("max_tokens", .count), Field("max_completion_tokens", .count),
            Field("logprobs", .boolean), Field("top_logprobs", .integer(0...20)),
            Field("tools", .list(.object(toolTable), count: 0...limits.maxTools)),
            Field("tool_choice", toolChoice), Field("parallel_tool_calls", .boolean),
            Field("reasoning_effort", .name),
            Field("include_reasoning", .boolean),
            Field("reasoning_format", .choice(["none", "auto", "deepseek", "deepseek-legacy"])),
            Field("add_generation_prompt", .boolean), Field("continue_final_message", .boolean),
            Field(
                "chat_template",
                .refused("is not taken from requests; the model's own template is used")),
            Field("chat_template_kwargs", .freeObject),
            Field("documents", .list(.freeObject, count: 0...256)),
        ] + ConstraintFields.table(limits)
    }

    /// What a message's content may be.
    static let content = FieldKind.either([
        .text,
        .list(
            .variants(
                by: "type",
                [
                    .init(
                        "text", "input_text", "output_text",
                        fields: [Field("text", .text, required: true)]),
                    .init("refusal", fields: [Field("refusal", .text)]),
                ]), count: 0...1024),
    ])

    private static let message = FieldKind.variants(
        by: "role",
        [
            .init(
                "user", "system", "developer", "tool", "function",
                fields: [
                    Field("content", content, required: true), Field("name", .name),
                    Field("tool_call_id", .name),
                ]),
            .init(
                "assistant",
                fields: [
                    Field("content", content), Field("name", .name),
                    Field("reasoning_content", .text), Field("reasoning", .text),
                    Field("tool_calls", .list(call, count: 0...128)),
                ]),
        ])

    private static let call = FieldKind.object([
        Field("id", .name), Field("type", .name),
        Field(
            "function",
            .object([
                Field("name", .name, required: true),
                Field("arguments", .either([.text, .freeObject])),
            ]), required: true),
    ])

    private static let toolTable = [
        Field("type", .choice(["function"]), required: true),
        Field(
            "function",
            .object([
                Field("name", .string(minBytes: 1, maxBytes: 128), required: true),
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
    static func turns(_ body: RequestBody) -> [ChatTurn] {
        (body.list("messages") ?? []).map { message in
            var turn = ChatTurn(
                role: message["role"]?.string ?? "user", content: text(message["content"]))
            turn.name = message["name"]?.string
            turn.callID = message["tool_call_id"]?.string
            guard turn.role == "assistant" else { return turn }
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
            return turn
        }
    }

    /// The text of a message's content; several parts on lines of their own.
    static func text(_ content: JSONCursor?) -> String? {
        guard let content, !content.isNull else { return nil }
        if let text = content.string { return text }
        return (content.array.map(Array.init) ?? []).map { part in
            part["text"]?.string ?? part["refusal"]?.string ?? ""
        }.joined(separator: "\n")
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
