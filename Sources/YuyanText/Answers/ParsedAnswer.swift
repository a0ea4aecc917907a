/// An answer taken apart: what was thought, said and called.
package struct ParsedAnswer: Sendable, Hashable {
    package var content = ""
    package var reasoning = ""
    package var calls: [ToolCall] = []

    package init() {}

    /// Adds what a parser gave out, in its order.
    package mutating func append(_ parts: [AnswerPart]) {
        for part in parts {
            switch part {
            case .content(let text): content += text
            case .reasoning(let text): reasoning += text
            case .call(_, let id, let name):
                calls.append(ToolCall(id: id, name: name, arguments: ""))
            case .arguments(let index, let text):
                if calls.indices.contains(index) { calls[index].arguments += text }
            }
        }
    }
}
