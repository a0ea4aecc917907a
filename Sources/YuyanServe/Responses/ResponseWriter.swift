import YuyanEngine
import YuyanFormats

/// Writes answers of `/v1/responses`, whole or as events.
struct ResponseWriter {
    let id: String
    private let model: String
    private let created: Int
    private let request: [(key: String, value: JSONOutput)]
    private let scores: LogProbabilityOutput?
    private var blocks = BlockSequence()
    private var itemIDs: [String] = []
    private var sequence = 0
    private var hasBegun = false
    private var end: AnswerEnd?
    /// Log-probabilities of the text blocks' tokens, by block.
    private var tokens: [Int: [AnswerToken]] = [:]
    private var pendingTokens: [AnswerToken] = []

    init(
        model: String, body: RequestBody, parameters: SamplingParameters,
        scores: LogProbabilityOutput?
    ) {
        id = Identifier.make("resp_")
        self.model = model
        created = Clock.now
        self.scores = scores
        request = Self.echo(body, parameters)
    }

    /// What a response repeats of its request, and what was used where that said nothing.
    private static func echo(
        _ body: RequestBody, _ parameters: SamplingParameters
    ) -> [(key: String, value: JSONOutput)] {
        func given(_ name: String, _ standard: JSONOutput) -> JSONOutput {
            body[name].map { JSONOutput($0) } ?? standard
        }
        return [
            ("instructions", given("instructions", .null)),
            ("max_output_tokens", given("max_output_tokens", .null)),
            ("metadata", given("metadata", [:])),
            ("parallel_tool_calls", given("parallel_tool_calls", true)),
            ("previous_response_id", .null),
            ("reasoning", given("reasoning", ["effort": .null, "summary": .null])),
            ("store", false), ("temperature", .float(parameters.temperature)),
            ("text", given("text", ["format": ["type": "text"]])),
            ("tool_choice", given("tool_choice", "auto")), ("tools", given("tools", [])),
            ("top_logprobs", given("top_logprobs", 0)), ("top_p", .float(parameters.topP)),
            ("truncation", given("truncation", "disabled")), ("user", given("user", .null)),
        ]
    }

    /// The complete response, once all events were written: streamed or not, it is the same.
    func response(_ usage: Usage) -> JSONOutput {
        let items = blocks.blocks.enumerated().map { index, block in
            item(block, id: itemIDs[index], isComplete: true, tokens: tokens[index] ?? [])
        }
        return response(items: items, usage: usage)
    }

    /// The events of one event of the engine.
    mutating func write(_ event: ChatEvent, usage: Usage) -> [UInt8] {
        var bytes: [UInt8] = []
        if !hasBegun {
            hasBegun = true
            let start = response(items: [], usage: nil)
            bytes += self.event("response.created", [("response", start)])
            bytes += self.event("response.in_progress", [("response", start)])
        }
        switch event {
        case .scored: break
        case .delta(_, let parts, let tokens):
            pendingTokens += tokens
            bytes += write(blocks.push(parts))
        case .finished(_, let parts, let tokens, let end):
            pendingTokens += tokens
            bytes += write(blocks.push(parts))
            self.end = end
            bytes += write(blocks.finish())
        }
        return bytes
    }

    /// The last event, which holds the whole response.
    mutating func finish(_ usage: Usage) -> [UInt8] {
        let name = end?.reason == .length ? "response.incomplete" : "response.completed"
        return event(name, [("response", response(usage))])
    }

    /// An error in the middle of a stream.
    mutating func failure(_ error: RequestError) -> [UInt8] {
        event(
            "error",
            [
                ("code", .text(error.code ?? error.kind)), ("message", .string(error.message)),
                ("param", .text(error.param)),
            ])
            + event(
                "response.failed",
                [("response", response(items: [], usage: nil, error: error))])
    }

    // MARK: - Events

    private mutating func write(_ steps: [BlockSequence.Step]) -> [UInt8] {
        var bytes: [UInt8] = []
        for step in steps {
            switch step {
            case .open(let index, let block): bytes += open(index, block)
            case .delta(let index, let block, let text): bytes += delta(index, block, text)
            case .close(let index, let block): bytes += close(index, block)
            }
        }
        return bytes
    }

    private mutating func open(_ index: Int, _ block: AnswerBlock) -> [UInt8] {
        itemIDs.append(Self.newID(block))
        let empty: JSONOutput = item(block, id: itemIDs[index], isComplete: false, tokens: [])
        var bytes = event(
            "response.output_item.added", [("output_index", .integer(index)), ("item", empty)])
        if let part = part(block, tokens: []) {
            bytes += event("response.content_part.added", place(index) + [("part", part)])
        }
        return bytes
    }

    private mutating func delta(_ index: Int, _ block: AnswerBlock, _ text: String) -> [UInt8] {
        switch block {
        case .text:
            let entries = scores.map { $0.entries(pendingTokens) } ?? []
            if scores != nil { tokens[index, default: []] += pendingTokens }
            pendingTokens.removeAll()
            return event(
                "response.output_text.delta",
                place(index) + [("delta", .string(text)), ("logprobs", entries)])
        case .reasoning:
            pendingTokens.removeAll()
            return event("response.reasoning_text.delta", place(index) + [("delta", .string(text))])
        case .call:
            pendingTokens.removeAll()
            return event(
                "response.function_call_arguments.delta",
                [
                    ("item_id", .string(itemIDs[index])), ("output_index", .integer(index)),
                    ("delta", .string(text)),
                ])
        }
    }

    private mutating func close(_ index: Int, _ block: AnswerBlock) -> [UInt8] {
        var bytes: [UInt8] = []
        let own = tokens[index] ?? []
        switch block {
        case .text(let text):
            bytes += event(
                "response.output_text.done",
                place(index) + [
                    ("text", .string(text)), ("logprobs", scores.map { $0.entries(own) } ?? []),
                ])
        case .reasoning(let text):
            bytes += event("response.reasoning_text.done", place(index) + [("text", .string(text))])
        case .call(let call):
            bytes += event(
                "response.function_call_arguments.done",
                [
                    ("item_id", .string(itemIDs[index])), ("output_index", .integer(index)),
                    ("name", .string(call.name)), ("arguments", .string(call.arguments)),
                ])
        }
        if let part = part(block, tokens: own) {
            bytes += event("response.content_part.done", place(index) + [("part", part)])
        }
        let whole = item(block, id: itemIDs[index], isComplete: true, tokens: own)
        bytes += event(
            "response.output_item.done", [("output_index", .integer(index)), ("item", whole)])
        return bytes
    }

    private func place(_ index: Int) -> [(String, JSONOutput)] {
        [
            ("item_id", .string(itemIDs[index])), ("output_index", .integer(index)),
            ("content_index", 0),
        ]
    }

    private mutating func event(_ name: String, _ fields: [(String, JSONOutput)]) -> [UInt8] {
        let data = JSONOutput.object(
            [
                (key: "type", value: .string(name)),
                (key: "sequence_number", value: .integer(sequence)),
            ]
                + fields.map { (key: $0.0, value: $0.1) })
        sequence += 1
        return Array("event: \(name)\ndata: \(data)\n\n".utf8)
    }

    // MARK: - Objects

    private static func newID(_ block: AnswerBlock) -> String {
        switch block {
        case .text: Identifier.make("msg_")
        case .reasoning: Identifier.make("rs_")
        case .call: Identifier.make("fc_")
        }
    }

    private func part(_ block: AnswerBlock, tokens: [AnswerToken]) -> JSONOutput? {
        switch block {
        case .text(let text):
            [
                "type": "output_text", "text": .string(text), "annotations": [],
                "logprobs": scores.map { $0.entries(tokens) } ?? [],
            ]
        case .reasoning(let text): ["type": "reasoning_text", "text": .string(text)]
        case .call: nil
        }
    }

    private func item(
        _ block: AnswerBlock, id: String, isComplete: Bool, tokens: [AnswerToken]
    ) -> JSONOutput {
        let isCut = end?.reason == .length
        let status: JSONOutput =
            !isComplete ? "in_progress" : isCut ? "incomplete" : "completed"
        let parts: JSONOutput =
            isComplete ? .array(part(block, tokens: tokens).map { [$0] } ?? []) : []
        switch block {
        case .text:
            return [
                "id": .string(id), "type": "message", "role": "assistant", "status": status,
                "content": parts,
            ]
        case .reasoning:
            return [
                "id": .string(id), "type": "reasoning", "summary": [], "content": parts,
                "status": status,
            ]
        case .call(let call):
            return [
                "id": .string(id), "type": "function_call", "call_id": .string(call.id),
                "name": .string(call.name), "arguments": .string(call.arguments),
                "status": status,
            ]
        }
    }

    private func response(
        items: [JSONOutput], usage: Usage?, error: RequestError? = nil
    ) -> JSONOutput {
        let status =
            error != nil
            ? "failed"
            : end == nil ? "in_progress" : end?.reason == .length ? "incomplete" : "completed"
        return .object(
            [
                ("id", .string(id)), ("object", "response"), ("created_at", .integer(created)),
                ("status", .string(status)), ("background", false),
                (
                    "error",
                    error.map { ["code": "server_error", "message": .string($0.message)] } ?? .null
                ),
                (
                    "incomplete_details",
                    status == "incomplete" ? ["reason": "max_output_tokens"] : .null
                ),
                ("model", .string(model)), ("output", .array(items)),
                ("usage", usage.map(Self.usage) ?? .null),
            ] + request)
    }

    private static func usage(_ usage: Usage) -> JSONOutput {
        [
            "input_tokens": .integer(usage.prompt),
            "input_tokens_details": [
                "cached_tokens": .integer(usage.cached), "cache_write_tokens": 0,
            ],
            "output_tokens": .integer(usage.generated),
            "output_tokens_details": ["reasoning_tokens": .integer(usage.reasoning)],
            "total_tokens": .integer(usage.prompt + usage.generated),
        ]
    }
}
