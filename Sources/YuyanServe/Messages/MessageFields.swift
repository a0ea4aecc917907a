import YuyanConstraints
import YuyanEngine
import YuyanFormats
import YuyanText

/// The fields of `/v1/messages`, as Anthropic's clients send them.
enum MessageFields {
    static func table(_ limits: ServiceConfiguration) -> [Field] {
        countTable(limits) + [
            Field("max_tokens", .count, required: true),
            Field("temperature", .number(0...100)), Field("top_p", .number(0...1)),
            Field("top_k", .integer(-1...Int(Int32.max))), Field("min_p", .number(0...1)),
            Field("seed", .integer(Int.min...Int.max)),
            Field(
                "stop_sequences",
                .list(
                    .string(minBytes: 1, maxBytes: limits.maxStopBytes), count: 0...limits.maxStops
                )),
            Field("stream", .boolean), Field("metadata", .freeObject),
            Field("service_tier", .name),
            Field(
                "output_config",
                .object([Field("format", .object(formatTable)), Field("effort", .name)])),
            Field("output_format", .object(formatTable)),
        ]
    }

    static func countTable(_ limits: ServiceConfiguration) -> [Field] {
        [
            Field("model", .model),
            Field(
                "messages",
                .list(
                    .object([
                        Field(
                            "role", .choice(["user", "assistant", "system"]), required: true),
                        Field("content", content, required: true),
                    ]), count: 1...limits.maxMessages), required: true),
            Field("system", content),
            Field(
                "tools",
                .list(
                    .object([
                        Field("name", .string(minBytes: 1, maxBytes: 128), required: true),
                        // Anthropic's own tools run on its servers only.
                        Field("type", .choice(["custom"])), Field("description", .text),
                        Field("input_schema", .freeObject),
                    ]), count: 0...limits.maxTools)),
            Field(
                "tool_choice",
                .object([
                    Field("type", .choice(["auto", "any", "tool", "none"]), required: true),
                    Field("name", .name), Field("disable_parallel_tool_use", .boolean),
                ])),
            Field(
                "thinking",
                .object([
                    Field("type", .choice(["enabled", "disabled", "adaptive"]), required: true),
                    Field("budget_tokens", .integer(0...Int(Int32.max))),
                ])),
        ]
    }

    private static let formatTable = [
        Field("type", .choice(["json_schema"]), required: true),
        Field("schema", .either([.freeObject, .boolean]), required: true),
    ]

    private static let content = FieldKind.either([
        .text,
        .list(
            .variants(
                by: "type",
                [
                    .init("text", fields: [Field("text", .text, required: true)]),
                    .init("thinking", fields: [Field("thinking", .text)]),
                    .init("redacted_thinking", fields: []),
                    .init(
                        "tool_use",
                        fields: [
                            Field("id", .name), Field("name", .name), Field("input", .freeObject),
                        ]),
                    .init(
                        "tool_result",
                        fields: [
                            Field("tool_use_id", .name), Field("content", ChatFields.content),
                            Field("is_error", .boolean),
                        ]),
                ]), count: 0...1024),
    ])

    /// The conversation of a body.
    static func turns(_ body: RequestBody) -> [ChatTurn] {
        var turns: [ChatTurn] = []
        if let system = ChatFields.text(body["system"]), !system.isEmpty {
            turns.append(ChatTurn(role: "system", content: system))
        }
        for message in body.list("messages") ?? [] {
            let role = message["role"]?.string ?? "user"
            if let text = message["content"]?.string {
                turns.append(ChatTurn(role: role, content: text))
            } else {
                let blocks = (message["content"]?.array).map(Array.init) ?? []
                turns += self.turns(role, blocks)
            }
        }
        return turns
    }

    /// A message of several blocks: results of calls become messages of their own.
    private static func turns(
        _ role: String, _ blocks: [JSONCursor]
    ) -> [ChatTurn] {
        var results: [ChatTurn] = []
        var turn = ChatTurn(role: role, content: nil)
        for block in blocks {
            switch block["type"]?.string {
            case "text":
                let text = block["text"]?.string ?? ""
                turn.content = turn.content.map { $0 + "\n" + text } ?? text
            case "thinking":
                turn.reasoning = (turn.reasoning ?? "") + (block["thinking"]?.string ?? "")
            case "tool_use":
                let input = block["input"].flatMap { $0.isNull ? nil : $0 }
                turn.calls.append(
                    ToolCall(
                        id: block["id"]?.string ?? "", name: block["name"]?.string ?? "",
                        arguments: input.map { JSONOutput($0).description } ?? "{}"))
            case "tool_result":
                var result = ChatTurn(
                    role: "tool", content: ChatFields.text(block["content"]) ?? "")
                result.callID = block["tool_use_id"]?.string
                results.append(result)
            default: break
            }
        }
        let isEmpty = turn.content == nil && turn.calls.isEmpty && turn.reasoning == nil
        if isEmpty, results.isEmpty { turn.content = "" }
        return isEmpty && !results.isEmpty ? results : results + [turn]
    }
}

extension Service {
    /// Reads a body of `/v1/messages`, or of its `count_tokens`.
    func messageInput(_ body: RequestBody) throws(RequestError) -> ChatInput {
        var parameters = configuration.sampling
        if let value = body.float("temperature") { parameters.temperature = value }
        if let value = body.float("top_p") { parameters.topP = value }
        if let value = body.int("top_k") { parameters.topK = max(0, value) }
        if let value = body.float("min_p") { parameters.minP = value }
        parameters.seed =
            body.int("seed").map { UInt64(bitPattern: Int64($0)) } ?? .random(in: 0 ... .max)
        parameters.stop = body.strings("stop_sequences") ?? []
        try parameters.limit(body.int("max_tokens"))
        var input = ChatInput(turns: MessageFields.turns(body), parameters: parameters)
        input.model = body.string("model")
        for tool in body.list("tools") ?? [] {
            input.tools.append(
                Tool(
                    name: tool["name"]?.string ?? "", summary: tool["description"]?.string,
                    parameters: tool["input_schema"].flatMap { $0.isNull ? nil : $0 }))
        }
        try ChatFields.check(input.tools, configuration, at: { "tools[\($0)].name" })
        if let choice = body["tool_choice"] {
            input.isParallel = choice["disable_parallel_tool_use"]?.bool != true
            switch choice["type"]?.string {
            case "any": input.choice = .required
            case "tool": input.choice = .named(choice["name"]?.string ?? "")
            case "none": input.choice = .none
            default: input.choice = .auto
            }
            try ChatFields.check(input.choice, input.tools)
        }
        // The second name is that of the header's beta.
        for (param, format) in [
            ("output_config.format.schema", body["output_config"]?["format"]),
            ("output_format.schema", body["output_format"]),
        ] {
            if let schema = format?["schema"], !schema.isNull {
                input.constraint = FieldConstraint(param: param, source: .jsonSchema(schema))
            }
        }
        switch body["thinking"]?["type"]?.string {
        case "enabled", "adaptive": input.variables["enable_thinking"] = true
        case "disabled": input.variables["enable_thinking"] = false
        default: break
        }
        return input
    }
}
