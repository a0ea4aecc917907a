import YuyanText

/// An answer that is written in turns, with tools in between.
struct Episode: Sendable {
    /// Ids of the prompt.
    let prompt: [Int32]
    /// What the model was told of, and what rewards see.
    let row: PromptColumns
    /// Where the row stands.
    let place: String
    private(set) var answer = WrittenAnswer()
    private(set) var record = EpisodeRecord()
    /// Calls of the last turn that nobody has answered.
    private(set) var calls: [ToolCall] = []
    /// Whether the next turn begins inside `<think>`.
    private(set) var opensThinking: Bool

    init(_ sample: TrainingSample) {
        prompt = sample.tokens
        place = sample.source.text
        row =
            if case .prompt(let row) = sample.companion {
                row
            } else {
                PromptColumns(text: "", columns: [])
            }
        opensThinking = row.opensThinking
    }

    /// All tokens so far: what the next turn is written behind.
    var tokens: [Int32] { prompt + answer.tokens }

    /// The answer with what was said in it.
    var written: WrittenAnswer {
        var answer = answer
        answer.episode = record
        return answer
    }

    /// The last turn of the model, as a template reads it.
    var lastTurn: ChatTurn? { record.turns.last { $0.role == "assistant" } }

    /// Appends a turn of the model.
    mutating func append(_ turn: WrittenTurn, version: Int) {
        for draw in turn.draws {
            answer.append(
                draw.token, logProbability: draw.logProbability, support: draw.support,
                version: version)
        }
        answer.hasEnded = turn.hasEnded
        var said = ChatTurn(role: "assistant", content: turn.parsed.content)
        said.reasoning = turn.parsed.reasoning.isEmpty ? nil : turn.parsed.reasoning
        said.calls = turn.parsed.calls.enumerated().map { place, call in
            var call = call
            call.id = "call_\(record.answerCount)_\(place)"
            return call
        }
        record.turns.append(said)
        // A turn that was cut may have lost the end of a call.
        calls = turn.isOver ? said.calls : []
    }

    /// Appends what tools said, as the model reads it.
    mutating func append(
        _ messages: [ChatTurn], failures: Int, ids: [Int32], opensThinking: Bool, version: Int
    ) {
        record.turns += messages
        record.callCount += calls.count
        record.failureCount += failures
        calls = []
        answer.append(read: ids, version: version)
        self.opensThinking = opensThinking
    }

    /// Counts calls whose answers found no room; the episode is over.
    mutating func close(failures: Int) {
        record.callCount += calls.count
        record.failureCount += failures
        calls = []
    }
}

/// A turn of the model as it was drawn.
struct WrittenTurn: Sendable {
    /// A token that was drawn.
    struct Draw: Sendable {
        let token: Int32
        let logProbability: Float
        let support: [Int32]
    }

    var draws: [Draw] = []
    /// Whether the model wrote a token that ends turns.
    var hasEnded = false
    /// Whether nothing was cut off: the model ended the turn, or its reader did.
    var isOver = false
    var parsed = ParsedAnswer()
}
