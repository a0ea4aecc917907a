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
                .either([.text, .list(.object(itemTable), count: 1...limits.maxMessages)]),
                required: true),
            Field("model", .name), Field("instructions", .text),
            Field("max_output_tokens", .count), Field("temperature", .number(0...100)),
            Field("top_p", .number(0...1)), Field("top_k", .integer(-1...Int(Int32.max))),
            Field("min_p", .number(0...1)), Field("seed", .integer(Int.min...Int.max)),
            Field("top_logprobs", .integer(0...20)),
            Field(
                "tools",
                .list(
                    .object([
                        Field("type", .name, required: true),
                        Field("name", .string(maxBytes: 128)), Field("description", .text),
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
            Field("previous_response_id", .name), Field("background", .boolean),
            Field("truncation", .choice(["auto", "disabled"])),
            Field("metadata", .freeObject), Field("user", .string(maxBytes: 4096)),
            Field("stream_options", .freeObject), Field("service_tier", .name),
        ]
    }

    private static let itemTable = [
        Field("type", .name),
        Field("role", .choice(["system", "developer", "user", "assistant"])),
        Field("content", ChatFields.content), Field("call_id", .name), Field("name", .name),
        Field("arguments", .text), Field("output", ChatFields.content),
    ]

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
        for (index, item) in (body.list("input") ?? []).enumerated() {
            try append(item, at: "input[\(index)]", to: &turns)
        }
        guard turns.contains(where: { $0.role != "system" }) || !turns.isEmpty else {
            throw .field(param: "input", message: "holds no message")
        }
        return turns
    }

    private static func append(
        _ item: JSONCursor, at path: String, to turns: inout [ChatTurn]
    ) throws(RequestError) {
        switch item["type"]?.string ?? "message" {
        case "message":
            guard let role = item["role"]?.string else {
                throw .field(param: path + ".role", message: "is missing")
            }
            let content = try ChatFields.text(item["content"], at: path + ".content")
            // A message of the model and the calls after it are one turn.
            turns.append(ChatTurn(role: role, content: content ?? ""))
        case "function_call":
            guard let name = item["name"]?.string else {
                throw .field(param: path + ".name", message: "is missing")
            }
            let call = ToolCall(
                id: item["call_id"]?.string ?? "", name: name,
                arguments: item["arguments"]?.string ?? "{}")
            if turns.last?.role != "assistant" {
                turns.append(ChatTurn(role: "assistant", content: nil))
            }
            turns[turns.count - 1].calls.append(call)
        case "function_call_output":
            let output = try ChatFields.text(item["output"], at: path + ".output")
            var turn = ChatTurn(role: "tool", content: output ?? "")
            turn.callID = item["call_id"]?.string
            turns.append(turn)
        case "reasoning": break
        case let kind:
            throw .field(
                param: path + ".type",
                message: "is \(JSONOutput.string(String(kind.prefix(40)))); supported are message, "
                    + "function_call, function_call_output and reasoning")
        }
    }

    static func tools(
        _ body: RequestBody, _ limits: ServiceConfiguration
    ) throws(RequestError) -> [Tool] {
        var tools: [Tool] = []
        for (index, tool) in (body.list("tools") ?? []).enumerated() {
            guard tool["type"]?.string == "function" else {
                throw .field(
                    param: "tools[\(index)].type",
                    message: "is \(tool["type"]?.summary ?? "missing"); expected \"function\"")
            }
            tools.append(
                Tool(
                    name: tool["name"]?.string ?? "", summary: tool["description"]?.string,
                    parameters: tool["parameters"].flatMap { $0.isNull ? nil : $0 }))
        }
        try ChatFields.check(tools, limits, at: { "tools[\($0)].name" })
        return tools
    }
}

extension Service {
    /// Reads a body of `/v1/responses`.
    func responseInput(_ body: RequestBody) throws(RequestError) -> ChatInput {
        if let previous = body.string("previous_response_id") {
            throw .field(
                param: "previous_response_id",
                message:
                    "is \(JSONOutput.string(previous)); responses are not stored here, send the "
                    + "whole conversation as 'input'")
        }
        guard !body.bool("background") else {
            throw .field(param: "background", message: "is not supported; leave it out")
        }
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
        try parameters.limit(body.int("max_output_tokens") ?? configuration.defaultMaxTokens)
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
