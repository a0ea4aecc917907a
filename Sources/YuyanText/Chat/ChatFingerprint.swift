import YuyanFormats

extension ChatRenderer {
    /// Tells whether two models are given the same ids for the same conversations.
    ///
    /// A hash of twelve conversations, rendered with a fixed date and encoded: with and without a
    /// system message, over several turns, with functions, calls and their results, with reasoning,
    /// in several scripts. A fine-tuned model that is served with another fingerprint than it was
    /// trained with reads prompts that it does not know.
    package var fingerprint: String {
        var hash = StableHash()
        let date = TemplateDate(year: 2024, month: 7, day: 26)
        for (turns, tools) in Self.canonical {
            for isPrompt in [true, false] {
                let chat = conversation(turns, tools: tools, date: date)
                guard let text = try? chat.render(addsGenerationPrompt: isPrompt) else {
                    // That a template refuses a conversation is part of what it is.
                    hash.add(UInt64.max)
                    continue
                }
                let ids = chat.ids(text)
                hash.add(UInt64(ids.count))
                for id in ids { hash.add(UInt64(truncatingIfNeeded: id)) }
            }
        }
        let digits = String(hash.value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    private static let canonical: [(turns: [ChatTurn], tools: [Tool])] = {
        func turn(_ role: String, _ content: String) -> ChatTurn {
            ChatTurn(role: role, content: content)
        }
        let (system, hello) = (turn("system", "Be brief."), turn("user", "Hello"))
        let (answer, question) = (turn("assistant", "Hi!"), turn("user", "What is 2 + 2?"))
        var call = ChatTurn(role: "assistant", content: nil)
        call.calls = [ToolCall(id: "call_1", name: "add", arguments: #"{"a": 2, "b": 2}"#)]
        var twoCalls = ChatTurn(role: "assistant", content: "One moment.")
        twoCalls.calls = call.calls + call.calls
        var result = turn("tool", "4")
        result.callID = "call_1"
        var thought = turn("assistant", "4")
        thought.reasoning = "Two and two."
        let tools = [Tool(name: "add", summary: "The sum of two numbers.")]
        return [
            ([hello], []), ([system, hello], []), ([hello, answer], []),
            ([system, hello, answer, question], []),
            ([hello, answer, question, turn("assistant", "4\n")], []),
            ([turn("user", "  两 🐦 é\u{301}\r\n")], []), ([question], tools),
            ([system, question], tools),
            ([question, call, result], tools),
            (
                [system, question, twoCalls, result, result, turn("assistant", "Both are 4.")],
                tools
            ),
            ([question, thought, hello], []),
            ([question, turn("assistant", "<think>\nHm.\n</think>\n\n4"), hello, answer], []),
        ]
    }()
}
