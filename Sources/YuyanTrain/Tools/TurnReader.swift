import YuyanText

/// Reads a turn of the model as it is written.
protocol TurnReader: Sendable {
    /// Takes the next piece of text.
    ///
    /// - Returns: Whether the turn is over, although the model has not ended it.
    mutating func push(_ text: String) -> Bool

    /// Ends the turn and says what is in it.
    mutating func finish() -> ParsedAnswer
}

/// Makes the reader of a turn.
///
/// - Parameters:
///   - names: The tools that were offered.
///   - isChat: Whether the model ends its turns itself, as chat templates teach it.
typealias TurnReaderMaker =
    @Sendable (_ names: Set<String>, _ isChat: Bool, _ reasoning: AnswerParser.Reasoning)
    -> any TurnReader

/// Finds calls as the server does: what it would give out as a call is one, all else is text.
///
/// A plain text has no turns, so there a call ends one.
struct ServedTurnReader: TurnReader {
    private var parser: AnswerParser
    private var answer = ParsedAnswer()
    private let endsWithCall: Bool

    init(names: Set<String>, isChat: Bool, reasoning: AnswerParser.Reasoning) {
        // Ids are given where the turn has its place in an episode.
        let calls = ToolCallParser(format: .hermes, names: names) { "" }
        parser = AnswerParser(reasoning: reasoning, calls: names.isEmpty ? nil : calls)
        endsWithCall = !isChat
    }

    mutating func push(_ text: String) -> Bool {
        answer.append(parser.push(text))
        return endsWithCall && parser.hasClosedCall
    }

    mutating func finish() -> ParsedAnswer {
        answer.append(parser.finish())
        return answer
    }
}
