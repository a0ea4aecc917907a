import YuyanText

/// Has tools answer the model's calls, and writes what they say as its chat template does.
///
/// What the model then reads is the difference of two renderings of a short conversation, one with the
/// tools' messages and one without: what the model wrote itself is never encoded again. Without a chat
/// template a result stands between `<tool_response>` and `</tool_response>` behind the call.
struct ToolDesk: Sendable {
    /// Most times that an answer stops for its calls.
    let rounds: Int
    /// Most tokens that come to an answer each time.
    private let tokenLimit: Int
    private let faults: ToolFaultPolicy
    private let set: ToolSet
    private let stop: StopRequest
    private let tokenizer: Tokenizer
    private let chat: ChatRenderer?
    private let variables: [String: TemplateValue]
    private let date: TemplateDate?
    private let vocabularySize: Int
    private let makeReader: TurnReaderMaker

    /// - Parameters:
    ///   - vocabularySize: Rows of the model's embedding.
    ///   - host: When programs are to be ended, and whether they may be started.
    /// - Throws: `RecipeError` naming a tool and its key.
    init(
        _ recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate?, vocabularySize: Int,
        place: String, host: RewardHost = RewardHost(), makeReader: @escaping TurnReaderMaker
    ) throws(RecipeError) {
        let options = DataOptions(recipe)
        rounds = recipe.alignment.toolRounds
        tokenLimit = recipe.alignment.toolTokens
        faults = recipe.alignment.toolFaults
        set = try recipe.alignment.tools.set(place: place, host: host)
        stop = host.stop
        self.tokenizer = tokenizer
        chat = template.map { ChatRenderer(tokenizer: tokenizer, template: $0) }
        (variables, date) = (options.variables, options.date)
        self.vocabularySize = vocabularySize
        self.makeReader = makeReader
    }

    /// Names of the tools that a dry run does not start.
    var unasked: [String] { self.set.unasked }

    /// Refuses a template or a limit that leaves tools no words.
    ///
    /// - Parameter isChat: Whether a chat template writes the prompts.
    /// - Throws: `RecipeError`.
    func check(isChat: Bool) throws {
        for tool in set.offers {
            let call = ToolCall(id: "call_0_0", name: tool.name, arguments: "{}")
            let found: (ids: [Int32], opensThinking: Bool)?
            do {
                found = try continuation(
                    behind: Self.turn([call]), [Self.message("", call)], tools: [tool],
                    isChat: isChat, hasStop: true)
            } catch {
                throw RecipeError.badValue(
                    place: "recipe", key: "tools", found: "'\(tool.name)'",
                    expected: "none: the chat template refuses a tool's message: \(error)")
            }
            guard let found else {
                throw RecipeError.badValue(
                    place: "recipe", key: "tools", found: "'\(tool.name)'",
                    expected: "none: the chat template writes a call differently once its result "
                        + "follows")
            }
            guard found.ids.count < tokenLimit else {
                throw RecipeError.badValue(
                    place: "recipe", key: "max_tool_tokens", found: "\(tokenLimit)",
                    expected: "more than \(found.ids.count), which stand around a result of "
                        + "'\(tool.name)'")
            }
        }
    }

    /// Reads the next turn of an episode.
    func reader(of episode: Episode) -> any TurnReader {
        var reasoning = AnswerParser.Reasoning.none
        if episode.row.isChat, chat?.capabilities.thinks == true {
            reasoning = episode.opensThinking ? .open : .tagged
        }
        return makeReader(Set(episode.row.tools.map(\.name)), episode.row.isChat, reasoning)
    }

    /// Text of the model's ids, piece by piece, as the server shows it.
    var decoder: StreamDecoder { tokenizer.streamDecoder(skipSpecial: true) }

    /// Has tools answer the calls of some episodes, all at once, and lets these read the answers.
    ///
    /// - Parameters:
    ///   - open: Which episodes; each has calls.
    ///   - version: Updates of the weights so far.
    ///   - note: Gets a line for each tool that failed.
    /// - Returns: Those of them that can go on; the others are over.
    /// - Throws: `RunError.toolFailed` under `tool_faults: stop`; `Interruption`.
    func answer(
        _ episodes: inout [Episode], _ open: [Int], version: Int, note: (String) -> Void
    ) throws -> [Int] {
        let asked = open.flatMap { index in
            episodes[index].calls.map { (call: $0, columns: episodes[index].row.columns) }
        }
        let replies = set.replies(to: asked)
        // What was asked to stop may have answered anything.
        try stop.check()
        var (first, goingOn) = (0, [Int]())
        for index in open {
            let episode = episodes[index]
            let found = replies[first..<first + episode.calls.count]
            first += episode.calls.count
            for (call, reply) in zip(episode.calls, found) {
                guard case .broken(let what) = reply else { continue }
                if faults == .stop {
                    throw RunError.toolFailed(tool: call.name, row: episode.place, what: what)
                }
                note("tool '\(call.name)', \(episode.place): \(what)")
            }
            let failures = found.count(where: \.isFailure)
            guard let read = reading(found.map(\.text), in: episode) else {
                episodes[index].close(failures: failures)
                continue
            }
            episodes[index].append(
                read.messages, failures: failures, ids: read.ids,
                opensThinking: read.opensThinking, version: version)
            goingOn.append(index)
        }
        return goingOn
    }

    // MARK: - What the model reads

    /// Results as messages and ids, cut to the limit; nil if they find no room at all.
    private func reading(
        _ texts: [String], in episode: Episode
    ) -> (messages: [ChatTurn], ids: [Int32], opensThinking: Bool)? {
        guard let turn = episode.lastTurn else { return nil }
        let results = texts.map { Result(self, $0) }
        // Most tokens of a result; nil: it is whole.
        var limit: Int?
        while true {
            let messages = zip(episode.calls, results).map { call, result in
                Self.message(result.text(limit, tokenizer), call)
            }
            let found = try? continuation(
                behind: turn, messages, tools: episode.row.tools, isChat: episode.row.isChat,
                hasStop: episode.answer.hasEnded)
            guard let found, found.ids.allSatisfy(isKnown) else { return nil }
            let excess = found.ids.count - tokenLimit
            guard excess > 0 else { return (messages, found.ids, found.opensThinking) }
            // What is too much comes off the longest results.
            let longest = min(limit ?? .max, results.map(\.ids.count).max() ?? 0)
            guard longest > 0 else { return nil }
            let count = results.count { $0.ids.count >= longest }
            limit = max(0, longest - max(1, excess / max(1, count)))
        }
    }

    /// What a tool said, and its tokens.
    private struct Result {
        let text: String
        let ids: [Int32]

        init(_ desk: ToolDesk, _ text: String) {
            func encoded(_ text: String) -> [Int32] {
                desk.tokenizer.encode(text, parseSpecial: false, addSpecial: false)
            }
            let ids = encoded(text)
            // A tokenizer may have tokens that the model has not.
            guard !ids.allSatisfy(desk.isKnown) else {
                (self.text, self.ids) = (text, ids)
                return
            }
            self.text = ToolReply.refused("the result has tokens that the model does not know").text
            self.ids = encoded(self.text)
        }

        /// The text, or its first tokens.
        func text(_ limit: Int?, _ tokenizer: Tokenizer) -> String {
            guard let limit, limit < ids.count else { return text }
            var cut = tokenizer.decode(ids[..<limit])
            // Half a character.
            while cut.unicodeScalars.last == "\u{FFFD}" { cut.unicodeScalars.removeLast() }
            return cut + "…"
        }
    }

    private static func turn(_ calls: [ToolCall]) -> ChatTurn {
        var turn = ChatTurn(role: "assistant", content: "")
        turn.calls = calls
        return turn
    }

    private static func message(_ text: String, _ call: ToolCall) -> ChatTurn {
        var message = ChatTurn(role: "tool", content: text)
        (message.name, message.callID) = (call.name, call.id)
        return message
    }

    /// What stands behind a turn of the model, up to where its next one begins; nil if the template
    /// writes the turn differently then.
    private func continuation(
        behind turn: ChatTurn, _ messages: [ChatTurn], tools: [Tool], isChat: Bool, hasStop: Bool
    ) throws -> (ids: [Int32], opensThinking: Bool)? {
        guard isChat, let chat else {
            let text = messages.map { "\n" + ToolFormat.hermes.text(ofResult: $0.content ?? "") }
            let ids = tokenizer.encode(
                text.joined() + "\n", parseSpecial: false, addSpecial: false)
            return (ids, false)
        }
        // What came before changes nothing behind the turn, so it need not be rendered again.
        let question = ChatTurn(role: "user", content: "?")
        let conversation = chat.conversation(
            [question, turn] + messages, tools: tools, variables: variables, date: date)
        guard let text = try conversation.continuation(behind: 1, hasStop: hasStop) else {
            return nil
        }
        return (conversation.ids(text), text.marked.endsWithOpenThought)
    }

    private func isKnown(_ id: Int32) -> Bool { id >= 0 && Int(id) < vocabularySize }
}
