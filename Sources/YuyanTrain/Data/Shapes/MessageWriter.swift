import YuyanFormats
import YuyanText

/// Writes turns in OpenAI's way, as `MessageReader` reads them back.
enum MessageWriter {
    /// One message.
    ///
    /// - Parameter weight: What learning it counts for; nil leaves that to the reader.
    static func message(_ turn: ChatTurn, weight: Double? = nil) -> JSONOutput {
        .fields([
            ("role", .string(turn.role)),
            ("content", turn.content.map { .string($0) }),
            ("name", turn.name.map { .string($0) }),
            ("reasoning_content", turn.reasoning.map { .string($0) }),
            ("tool_calls", turn.calls.isEmpty ? nil : .array(turn.calls.map(call))),
            ("tool_call_id", turn.callID.map { .string($0) }),
            ("weight", weight.map { .double($0) }),
        ])
    }

    /// Functions that the model may call, as the column `tools` has them.
    static func tools(_ tools: [Tool]) -> JSONOutput { .array(tools.map(\.output)) }

    private static func call(_ call: ToolCall) -> JSONOutput {
        [
            "id": .string(call.id), "type": "function",
            "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
        ]
    }
}
