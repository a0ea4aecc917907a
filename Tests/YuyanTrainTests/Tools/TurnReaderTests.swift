import Testing
import YuyanText

@testable import YuyanTrain

@Suite("Turns of the model")
struct TurnReaderTests {
    private static let call =
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"

    /// What is read of a text letter by letter, and the place where the turn was over.
    private func read(_ text: String, isChat: Bool) -> (answer: ParsedAnswer, end: Int?) {
        var reader = ServedTurnReader(names: ["f"], isChat: isChat, reasoning: .none)
        for (place, letter) in text.enumerated() where reader.push(String(letter)) {
            return (reader.finish(), place + 1)
        }
        return (reader.finish(), nil)
    }

    @Test("a call ends a plain text's turn, and is one of many in a chat's")
    func calls() {
        let text = "Hm. " + Self.call
        let plain = read(text + " and so on", isChat: false)
        #expect(plain.end == text.count && plain.answer.calls.count == 1)
        #expect(plain.answer.calls[0].name == "f")
        #expect(plain.answer.calls[0].arguments == #"{"a": 1}"#)
        #expect(plain.answer.content == "Hm.")
        let chat = read(Self.call + Self.call, isChat: true)
        #expect(chat.end == nil && chat.answer.calls.count == 2)
    }

    @Test("what the server takes for no call ends nothing")
    func text() {
        for text in [
            "</tool_call>", "<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>",
            "<tool_call>\nno\n</tool_call>",
        ] {
            let found = read(text, isChat: false)
            #expect(found.end == nil && found.answer.calls.isEmpty && found.answer.content == text)
        }
    }
}
