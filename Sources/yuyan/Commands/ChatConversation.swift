import YuyanEngine
import YuyanFormats
import YuyanText

/// The turns of a conversation and the session whose cache they share.
final class Conversation {
    let model: LoadedModel
    let session: Session
    var system: String?
    private(set) var turns: [ChatMessage] = []
    private let parameters: SamplingParameters

    init(model: LoadedModel, session: Session, system: String?, parameters: SamplingParameters) {
        self.model = model
        self.session = session
        self.system = system
        self.parameters = parameters
    }

    /// The system message, if there is one, and all turns.
    var messages: [ChatMessage] {
        (system.map { [ChatMessage(role: "system", content: $0)] } ?? []) + turns
    }

    func reset() { turns = [] }

    /// Adds a user's message and the model's answer; on an error the conversation stays as it was.
    func say(_ text: String, _ show: (String) -> Void) throws -> ChatAnswer {
        turns.append(ChatMessage(role: "user", content: text))
        do {
            let answer = try answer(messages.map(\.templateValue), nil, parameters, show)
            turns.append(ChatMessage(role: "assistant", content: answer.text))
            return answer
        } catch {
            turns.removeLast()
            throw error
        }
    }

    /// Answers a request that brings all its messages, beside this conversation's turns.
    func answer(_ request: ChatRequest, _ show: (String) -> Void) throws -> ChatAnswer {
        var messages = request.messages
        if let system, !request.hasSystem {
            messages.insert(
                ChatMessage(role: "system", content: system).templateValue, at: 0)
        }
        return try answer(messages, request.tools, request.applied(to: parameters), show)
    }

    private func answer(
        _ messages: [TemplateValue], _ tools: [TemplateValue]?, _ parameters: SamplingParameters,
        _ show: (String) -> Void
    ) throws -> ChatAnswer {
        let clock = ContinuousClock()
        let start = clock.now
        var firstToken: Duration?
        var isStopped = false
        var text = AnswerText(tokenizer: model.tokenizer, stops: parameters.stop)
        let result = try session.generate(
            prompt: model.chatTokens(messages, tools: tools), parameters: parameters,
            endOfSequence: model.endOfSequence
        ) { token in
            if firstToken == nil { firstToken = clock.now - start }
            let (piece, finish) = text.append(token)
            show(piece)
            if Interrupts.isAsked, finish == nil {
                isStopped = true
                return .length
            }
            return finish
        }
        show(text.finish())
        if isStopped { _ = Interrupts.take() }
        let isFull = session.contextLimit <= result.promptTokens.count + result.tokens.count
        return ChatAnswer(
            text: text.text, generation: result, firstToken: firstToken, isStopped: isStopped,
            isContextFull: result.finish == .length && !isStopped && isFull)
    }
}

/// What the model said, and how it came about.
struct ChatAnswer {
    let text: String
    let generation: Generation
    let firstToken: Duration?
    /// Whether Ctrl-C ended it.
    let isStopped: Bool
    /// Whether it ended because no more tokens fit.
    let isContextFull: Bool

    /// Prompt tokens that an earlier turn left in the cache.
    var cachedTokens: Int { generation.promptTokens.count - generation.prefilledTokens }

    var json: JSONOutput {
        [
            "message": ["role": "assistant", "content": .string(text)],
            "prompt_tokens": .array(generation.promptTokens.map { .integer(Int($0)) }),
            "cached_tokens": .integer(cachedTokens),
            "tokens": .array(generation.tokens.map { .integer(Int($0)) }),
            "finish_reason": .string(generation.finish.reason.rawValue),
            "timings": [
                "prefill_tok_s": .double(generation.prefillRate),
                "decode_tok_s": .double(generation.decodeRate),
                "first_token_s": firstToken.map { .double($0 / .seconds(1)) } ?? .null,
                "peak_rss_bytes": .integer(Machine.peakResidentBytes),
            ],
        ]
    }

    /// One line for a person: rates and counts.
    var summary: String {
        "[\(generation.tokens.count) tokens at \(generation.decodeRate.formatted(digits: 1)) tok/s · "
            + "prompt \(generation.prefilledTokens) new, \(cachedTokens) cached, at "
            + "\(generation.prefillRate.formatted(digits: 1)) tok/s]"
    }
}
