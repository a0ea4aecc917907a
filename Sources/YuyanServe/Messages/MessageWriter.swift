import YuyanEngine
import YuyanFormats
import YuyanText

/// Writes answers in the shape of Anthropic's messages, whole or as events.
struct MessageWriter {
    let id: String
    let model: String
    private var blocks = BlockSequence()
    private var hasBegun = false

    init(model: String) {
        id = Identifier.make("msg_")
        self.model = model
    }

    /// A complete message.
    func message(_ answer: CollectedAnswer) -> JSONOutput {
        guard let sample = answer.samples.first else { return [:] }
        return message(
            content: sample.blocks.map(Self.block), end: sample.end, usage: answer.usage)
    }

    /// The events of one event of the engine.
    mutating func write(_ event: ChatEvent, usage: Usage) -> [UInt8] {
        var bytes: [UInt8] = []
        if !hasBegun {
            hasBegun = true
            var start = usage
            start.generated = 0
            bytes += Self.event(
                "message_start", [("message", message(content: [], end: nil, usage: start))])
        }
        switch event {
        case .scored: break
        case .delta(_, let parts, _): bytes += write(blocks.push(parts))
        case .finished(_, let parts, _, let end):
            bytes += write(blocks.push(parts))
            bytes += write(blocks.finish())
            bytes += Self.event(
                "message_delta",
                [
                    (
                        "delta",
                        [
                            "stop_reason": .string(Self.reason(end)),
                            "stop_sequence": Self.sequence(end),
                        ]
                    ), ("usage", Self.usage(usage)),
                ])
        }
        return bytes
    }

    /// The last event.
    func finish() -> [UInt8] { Self.event("message_stop", []) }

    /// An error in the middle of a stream.
    static func failure(_ error: RequestError) -> [UInt8] {
        Array("event: error\ndata: \(error.anthropic)\n\n".utf8)
    }

    private func write(_ steps: [BlockSequence.Step]) -> [UInt8] {
        var bytes: [UInt8] = []
        for step in steps {
            switch step {
            case .open(let index, let block):
                bytes += Self.event(
                    "content_block_start",
                    [("index", .integer(index)), ("content_block", Self.block(block))])
            case .delta(let index, let block, let text):
                bytes += Self.event(
                    "content_block_delta",
                    [("index", .integer(index)), ("delta", Self.delta(block, text))])
            case .close(let index, _):
                bytes += Self.event("content_block_stop", [("index", .integer(index))])
            }
        }
        return bytes
    }

    private static func event(_ name: String, _ fields: [(String, JSONOutput)]) -> [UInt8] {
        let data = JSONOutput.object(
            [(key: "type", value: .string(name))] + fields.map { (key: $0.0, value: $0.1) })
        return Array("event: \(name)\ndata: \(data)\n\n".utf8)
    }

    private func message(content: [JSONOutput], end: AnswerEnd?, usage: Usage) -> JSONOutput {
        [
            "id": .string(id), "type": "message", "role": "assistant", "model": .string(model),
            "content": .array(content),
            "stop_reason": end.map { .string(Self.reason($0)) } ?? .null,
            "stop_sequence": end.map(Self.sequence) ?? .null, "usage": Self.usage(usage),
        ]
    }

    private static func block(_ block: AnswerBlock) -> JSONOutput {
        switch block {
        case .text(let text): ["type": "text", "text": .string(text)]
        case .reasoning(let text):
            ["type": "thinking", "thinking": .string(text), "signature": ""]
        case .call(let call):
            [
                "type": "tool_use", "id": .string(call.id), "name": .string(call.name),
                "input": input(call.arguments),
            ]
        }
    }

    private static func delta(_ block: AnswerBlock, _ text: String) -> JSONOutput {
        switch block {
        case .text: ["type": "text_delta", "text": .string(text)]
        case .reasoning: ["type": "thinking_delta", "thinking": .string(text)]
        case .call: ["type": "input_json_delta", "partial_json": .string(text)]
        }
    }

    /// Arguments as an object; what is none, cut short by the limit on tokens, is kept as text.
    private static func input(_ arguments: String) -> JSONOutput {
        if arguments.isEmpty { return [:] }
        let document = try? JSONDocument(bytes: Array(arguments.utf8), name: "arguments")
        guard let root = document?.root, root.kind == .object else {
            return ["_raw": .string(arguments)]
        }
        return JSONOutput(root)
    }

    private static func reason(_ end: AnswerEnd) -> String {
        if case .string = end.match { return "stop_sequence" }
        return switch end.reason {
        case .stop: "end_turn"
        case .length: "max_tokens"
        case .calls: "tool_use"
        }
    }

    private static func sequence(_ end: AnswerEnd) -> JSONOutput {
        if case .string(let text) = end.match { .string(text) } else { .null }
    }

    /// Anthropic counts cached tokens apart from the rest of the input.
    private static func usage(_ usage: Usage) -> JSONOutput {
        [
            "input_tokens": .integer(usage.prompt - usage.cached),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": .integer(usage.cached),
            "output_tokens": .integer(usage.generated),
        ]
    }
}
