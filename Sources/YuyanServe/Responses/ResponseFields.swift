import YuyanConstraints
import YuyanEngine
import YuyanFormats
import YuyanText

/// The fields of `/v1/responses`.
enum ResponseFields {
    static func table(_ limits: ServiceConfiguration) -> [Field] {
        [
            Field(
                "input",
                .either([.text, .list(item, count: 1...limits.maxMessages)]),
                required: true),
            Field("model", .model), Field("instructions", .text),
            Field("max_output_tokens", .count), Field("temperature", .number(0...100)),
            Field("top_p", .number(0...1)), Field("top_k", .integer(-1...Int(Int32.max))),
            Field("min_p", .number(0...1)), Field("seed", .integer(Int.min...Int.max)),
            Field("top_logprobs", .integer(0...20)),
            Field(
                "tools",
                .list(
                    .object([
                        Field("type", .choice(["function"]), required: true),
                        Field("name", .string(minBytes: 1, maxBytes: 128), required: true),
                        Field("description", .text),
                        Field("parameters", .freeObject), Field("strict", .boolean),
                    ]), count: 0...limits.maxTools)),
            Field(
                "tool_choice",
                .either([
                    .choice(["none", "auto", "required"]),
                    .object([Field("type", .name, required: true), Field("name", .name)]),
                ])),
            Field("parallel_tool_calls", .boolean),
            Field(
                "text", .object([Field("format", .object(formatTable)), Field("verbosity", .name)])),
            Field(
                "reasoning", .object([Field("effort", .name), Field("summary", .name)])),
            Field("include", .list(.name, count: 0...32)),
            Field("stream", .boolean), Field("store", .boolean),
            Field(
                "previous_response_id",
                .refused(
                    "is not supported: responses are not stored here; send the whole conversation "
                        + "as 'input'")),
            Field("background", .never("is not supported; leave it out")),
            Field("truncation", .choice(["auto", "disabled"])),
            Field("metadata", .freeObject), Field("user", .string(maxBytes: 4096)),
            Field("stream_options", .freeObject), Field("service_tier", .name),
        ]
    }

    private static let item = FieldKind.variants(
        by: "type", isRequired: false,
        [
            .init(
                "message",
                fields: [
                    Field(
                        "role", .choice(["system", "developer", "user", "assistant"]),
                        required: true),
                    Field("content", ChatFields.content),
                ]),
            .init(
                "function_call",
                fields: [
                    Field("name", .name, required: true), Field("call_id", .name),
                    Field("arguments", .text),
                ]),
            .init(
                "function_call_output",
                fields: [Field("call_id", .name), Field("output", ChatFields.content)]),
            .init("reasoning", fields: []),
        ])

    private static let formatTable = [
        Field("type", .choice(["text", "json_object", "json_schema"]), required: true),
        Field("name", .name), Field("schema", .freeObject), Field("description", .text),
        Field("strict", .boolean),
    ]

    /// The conversation of a body: instructions, then the input's items.
    static func turns(_ body: RequestBody) throws(RequestError) -> [ChatTurn] {
        var turns: [ChatTurn] = []
        if let instructions = body.string("instructions"), !instructions.isEmpty {
            turns.append(ChatTurn(role: "system", content: instructions))
        }
        if let text = body.string("input") {
            return turns + [ChatTurn(role: "user", content: text)]
        }
        for item in body.list("input") ?? [] { append(item, to: &turns) }
        guard turns.contains(where: { $0.role != "system" }) || !turns.isEmpty else {
            throw .field(param: "input", message: "holds no message")
        }
        return turns
    }

    private static func append(_ item: JSONCursor, to turns: inout [ChatTurn]) {
        switch item["type"]?.string ?? "message" {
        case "message":
            // A message of the model and the calls after it are one turn.
            turns.append(
                ChatTurn(
                    role: item["role"]?.string ?? "user",
                    content: ChatFields.text(item["content"]) ?? ""))
        case "function_call":
            let call = ToolCall(
                id: item["call_id"]?.string ?? "", name: item["name"]?.string ?? "",
                arguments: item["arguments"]?.string ?? "{}")
            if turns.last?.role != "assistant" {
                turns.append(ChatTurn(role: "assistant", content: nil))
            }
            turns[turns.count - 1].calls.append(call)
        case "function_call_output":
            var turn = ChatTurn(role: "tool", content: ChatFields.text(item["output"]) ?? "")
            turn.callID = item["call_id"]?.string
            turns.append(turn)
        default: break
        }
    }

    static func tools(
        _ body: RequestBody, _ limits: ServiceConfiguration
    ) throws(RequestError) -> [Tool] {
        let tools = (body.list("tools") ?? []).map { tool in
            Tool(
                name: tool["name"]?.string ?? "", summary: tool["description"]?.string,
                parameters: tool["parameters"].flatMap { $0.isNull ? nil : $0 })
        }
        try ChatFields.check(tools, limits, at: { "tools[\($0)].name" })
        return tools
    }
}

extension Service {
    /// Reads a body of `/v1/responses`.
    func responseInput(_ body: RequestBody) throws(RequestError) -> ChatInput {
        var parameters = configuration.sampling
        if let value = body.float("temperature") { parameters.temperature = value }
        if let value = body.float("top_p") { parameters.topP = value }
        if let value = body.int("top_k") { parameters.topK = max(0, value) }
        if let value = body.float("min_p") { parameters.minP = value }
        parameters.seed =
            body.int("seed").map { UInt64(bitPattern: Int64($0)) } ?? .random(in: 0 ... .max)
        let wantsScores =
            body.strings("include")?.contains("message.output_text.logprobs") ?? false
        parameters.logprobs = body.int("top_logprobs") ?? (wantsScores ? 0 : nil)
        try parameters.limit(body.int("max_output_tokens"))
        var input = ChatInput(turns: try ResponseFields.turns(body), parameters: parameters)
        input.model = body.string("model")
        input.tools = try ResponseFields.tools(body, configuration)
        input.isParallel = body.optionalBool("parallel_tool_calls") ?? true
        switch body.string("tool_choice") {
        case "none": input.choice = .none
        case "auto": input.choice = .auto
        case "required": input.choice = .required
        default:
            if let choice = body["tool_choice"] {
                input.choice = .named(choice["name"]?.string ?? "")
            }
        }
        try ChatFields.check(input.choice, input.tools)
        if let effort = body["reasoning"]?["effort"]?.string {
            input.variables["reasoning_effort"] = .string(effort)
            if effort == "none" { input.variables["enable_thinking"] = false }
        }
        if body.string("truncation") == "auto" { input.truncation = engine.contextLimit - 1 }
        let format = body["text"]?["format"]
        switch format?["type"]?.string {
        case "json_object":
            input.constraint = FieldConstraint(param: "text.format", source: .jsonObject)
        case "json_schema":
            guard let schema = format?["schema"], !schema.isNull else {
                throw .field(
                    param: "text.format.schema", message: "is missing; expected a JSON schema")
            }
            input.constraint = FieldConstraint(
                param: "text.format.schema", source: .jsonSchema(schema))
        default: break
        }
        return input
    }
}
