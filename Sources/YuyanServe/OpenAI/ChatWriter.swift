import YuyanEngine
import YuyanFormats
import YuyanText

/// What all answers to one chat request have in common.
struct ChatHead: Sendable {
    let id: String
    let created: Int
    let model: String
    let truncatedTokens: Int
    let promptIDs: [Int32]
    let options: ChatOptions
    let logProbabilities: LogProbabilityOutput
}

extension ChatHead {
    /// A complete answer, `chat.completion`.
    func completion(_ answer: CollectedAnswer) -> JSONOutput {
        let choices = answer.samples.enumerated().map { index, sample in
            choice(index, sample)
        }
        return .fields([
            ("id", .string(id)), ("object", "chat.completion"), ("created", .integer(created)),
            ("model", .string(model)), ("choices", .array(choices)),
            ("usage", answer.usage.openAI(truncated: truncatedTokens)),
            ("system_fingerprint", .null),
            (
                "prompt_logprobs",
                answer.scores.isEmpty ? nil : logProbabilities.prompt(answer.scores)
            ),
            (
                "prompt_token_ids",
                options.returnsTokenIDs ? .array(promptIDs.map { .integer(Int($0)) }) : nil
            ),
        ])
    }

    private func choice(_ index: Int, _ sample: CollectedAnswer.Sample) -> JSONOutput {
        let hasReasoning = options.includesReasoning && !sample.reasoning.isEmpty
        let reasoning: JSONOutput? = hasReasoning ? .string(sample.reasoning) : nil
        let hasContent = sample.calls.isEmpty || !sample.content.isEmpty
        let message = JSONOutput.fields([
            ("role", "assistant"),
            ("content", hasContent ? .string(sample.content) : .null),
            ("refusal", .null), ("reasoning_content", reasoning),
            ("tool_calls", sample.calls.isEmpty ? nil : .array(sample.calls.map(\.output))),
        ])
        return .fields([
            ("index", .integer(index)), ("message", message),
            (
                "logprobs",
                options.topLogProbabilities == nil ? .null : logProbabilities.chat(sample.tokens)
            ),
            ("finish_reason", .string(sample.end.reason.rawValue)),
            ("stop_reason", sample.end.stopReason),
            (
                "token_ids",
                options.returnsTokenIDs
                    ? .array(sample.tokens.map { .integer(Int($0.id)) }) : nil
            ),
        ])
    }
}

/// Writes a chat answer as events; the part that all chunks share is made once.
struct ChatEventWriter {
    private let head: ChatHead
    private let prefix: [UInt8]
    private let usage: [UInt8]
    private let logProbabilities: Bool
    private var hasBegun = false

    private static let deltaStart = Array(", \"delta\": ".utf8)
    private static let plainEnd = Array(", \"logprobs\": null, \"finish_reason\": null}]".utf8)
    private static let end = Array("}\n\n".utf8)

    init(_ head: ChatHead) {
        self.head = head
        let fields: JSONOutput = [
            "id": .string(head.id), "object": "chat.completion.chunk",
            "created": .integer(head.created), "model": .string(head.model),
            "system_fingerprint": .null,
        ]
        prefix = Array("data: \(fields.description.dropLast()), \"choices\": [".utf8)
        // Clients that asked for usage get the field in every chunk.
        usage = Array((head.options.includesUsage ? ", \"usage\": null" : "").utf8)
        logProbabilities = head.options.topLogProbabilities != nil
    }

    /// The chunks of one event.
    mutating func write(_ event: ChatEvent, samples: Int, usage: Usage) -> [UInt8] {
        var bytes: [UInt8] = []
        if !hasBegun {
            hasBegun = true
            begin(samples, event, usage, into: &bytes)
        }
        switch event {
        case .scored: break
        case .delta(let sample, let parts, let tokens):
            write(parts, tokens, sample, usage, into: &bytes)
        case .finished(let sample, let parts, let tokens, let end):
            var rest = tokens
            if !parts.isEmpty {
                write(parts, tokens, sample, usage, into: &bytes)
                rest = []
            }
            var fields: [(String, JSONOutput?)] = [
                ("index", .integer(sample)), ("delta", [:]),
                (
                    "logprobs",
                    logProbabilities && !rest.isEmpty ? head.logProbabilities.chat(rest) : .null
                ),
                ("finish_reason", .string(end.reason.rawValue)),
                ("stop_reason", end.stopReason),
            ]
            if head.options.returnsTokenIDs { fields.append(("token_ids", ids(rest))) }
            chunk(.fields(fields), usage, into: &bytes)
        }
        return bytes
    }

    /// The last events: usage if it was asked for, and the mark of the end.
    func finish(_ usage: Usage) -> [UInt8] {
        var bytes: [UInt8] = []
        if head.options.includesUsage {
            let total = usage.openAI(truncated: head.truncatedTokens).description
            bytes += prefix
            bytes += Array("], \"usage\": \(total)}\n\n".utf8)
        }
        return bytes + ServerEvents.done
    }

    private func begin(
        _ samples: Int, _ event: ChatEvent, _ usage: Usage, into bytes: inout [UInt8]
    ) {
        for sample in 0..<samples {
            chunk(
                [
                    "index": .integer(sample), "delta": ["role": "assistant", "content": ""],
                    "logprobs": .null, "finish_reason": .null,
                ], usage, into: &bytes)
        }
        guard head.options.returnsTokenIDs || isScored(event) else { return }
        // What concerns the prompt comes with a chunk that has no choices.
        var extra: [(String, JSONOutput?)] = []
        if head.options.returnsTokenIDs {
            extra.append(
                ("prompt_token_ids", .array(head.promptIDs.map { .integer(Int($0)) })))
        }
        if case .scored(let scores) = event {
            extra.append(("prompt_logprobs", head.logProbabilities.prompt(scores)))
        }
        bytes += prefix
        bytes += Array("], \(JSONOutput.fields(extra).description.dropFirst())\n\n".utf8)
    }

    private func isScored(_ event: ChatEvent) -> Bool {
        if case .scored = event { true } else { false }
    }

    private func write(
        _ parts: [AnswerPart], _ tokens: [AnswerToken], _ sample: Int, _ usage: Usage,
        into bytes: inout [UInt8]
    ) {
        var tokens = tokens
        for part in parts {
            guard let delta = delta(part) else { continue }
            bytes += prefix
            bytes += Array("{\"index\": \(sample)".utf8)
            bytes += Self.deltaStart
            bytes += delta
            if logProbabilities || head.options.returnsTokenIDs {
                let entries: JSONOutput =
                    logProbabilities ? head.logProbabilities.chat(tokens) : .null
                bytes += Array(", \"logprobs\": \(entries), \"finish_reason\": null".utf8)
                if head.options.returnsTokenIDs {
                    bytes += Array(", \"token_ids\": \(ids(tokens))".utf8)
                }
                bytes += Array("}]".utf8)
                tokens = []
            } else {
                bytes += Self.plainEnd
            }
            end(usage, into: &bytes)
        }
    }

    private func delta(_ part: AnswerPart) -> [UInt8]? {
        switch part {
        case .content(let text):
            return Array("{\"content\": \(JSONOutput.string(text))}".utf8)
        case .reasoning(let text):
            guard head.options.includesReasoning else { return nil }
            let value = JSONOutput.string(text).description
            return Array("{\"reasoning_content\": \(value)}".utf8)
        case .call(let index, let id, let name):
            let call: JSONOutput = [
                "index": .integer(index), "id": .string(id), "type": "function",
                "function": ["name": .string(name), "arguments": ""],
            ]
            return Array("{\"tool_calls\": [\(call)]}".utf8)
        case .arguments(let index, let text):
            let value = JSONOutput.string(text).description
            return Array(
                "{\"tool_calls\": [{\"index\": \(index), \"function\": {\"arguments\": \(value)}}]}"
                    .utf8)
        }
    }

    private func ids(_ tokens: [AnswerToken]) -> JSONOutput {
        .array(tokens.map { .integer(Int($0.id)) })
    }

    private func chunk(_ choice: JSONOutput, _ usage: Usage, into bytes: inout [UInt8]) {
        bytes += prefix
        bytes += Array(choice.description.utf8)
        bytes.append(UInt8(ascii: "]"))
        end(usage, into: &bytes)
    }

    private func end(_ usage: Usage, into bytes: inout [UInt8]) {
        if head.options.hasContinuousUsage {
            bytes += Array(", \"usage\": \(usage.openAI())".utf8)
        } else {
            bytes += self.usage
        }
        bytes += Self.end
    }
}

/// Constant events of OpenAI's streams.
enum ServerEvents {
    static let done = Array("data: [DONE]\n\n".utf8)

    /// An error in the middle of a stream, and its end.
    static func failure(_ error: RequestError) -> [UInt8] {
        Array("data: \(error.openAI)\n\n".utf8) + done
    }
}
