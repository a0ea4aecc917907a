/// A piece of an answer, in the order in which clients get them.
package enum AnswerPart: Hashable, Sendable {
    case content(String)
    case reasoning(String)
    /// A call begins; its arguments follow.
    case call(index: Int, id: String, name: String)
    /// The next piece of a call's arguments; all of them together are JSON.
    case arguments(index: Int, String)
}

/// Splits the text of an answer into reasoning, content and calls of tools.
///
/// Takes any text in any pieces and never fails: what is no call stays content.
package struct AnswerParser: Sendable {
    /// What of the text is reasoning.
    package enum Reasoning: Sendable {
        /// Nothing.
        case none
        /// What stands between `<think>` and `</think>` at the start.
        case tagged
        /// Everything up to `</think>`: the prompt has opened it.
        case open
    }

    private enum State { case undecided, thinking, skippingSpace, answering }

    private var state: State
    private var start: [UInt8] = []
    private var end = MarkerFinder("</think>")
    private var space: [UInt8] = []
    private var hasThought = false
    private var calls: ToolCallParser?

    private static let opening = Array("<think>".utf8)

    /// - Parameter calls: Looks for calls in the content; nil if there are no tools.
    package init(reasoning: Reasoning, calls: ToolCallParser?) {
        self.calls = calls
        state =
            switch reasoning {
            case .none: .answering
            case .tagged: .undecided
            case .open: .thinking
            }
    }

    /// Whether the text so far ends inside thoughts.
    package var isThinking: Bool { state == .thinking }

    /// Whether a call has begun.
    package var hasCalls: Bool { calls?.hasCalls ?? false }

    /// Whether the text so far ends behind a call that is complete.
    package var hasClosedCall: Bool { calls?.hasClosedCall ?? false }

    /// Takes the next piece of text.
    package mutating func push(_ text: String) -> [AnswerPart] {
        if text.isEmpty { return [] }
        if state == .answering, calls == nil { return [.content(text)] }
        return push(Array(text.utf8))
    }

    /// Ends the text and gives out what was held back.
    package mutating func finish() -> [AnswerPart] {
        switch state {
        case .undecided:
            let held = start
            state = .answering
            return answer(held) + (calls?.finish() ?? [])
        case .thinking:
            return think(end.finish())
        case .skippingSpace: return []
        case .answering: return calls?.finish() ?? []
        }
    }

    private mutating func push(_ bytes: [UInt8]) -> [AnswerPart] {
        switch state {
        case .answering: return answer(bytes)
        case .skippingSpace:
            let rest = bytes.drop { $0.isSpace }
            if rest.isEmpty { return [] }
            state = .answering
            return answer(Array(rest))
        case .thinking:
            let (before, after) = end.push(bytes)
            var parts = think(before)
            if let after {
                // White space before the closing tag belongs to neither side.
                space.removeAll()
                state = .skippingSpace
                parts += push(after)
            }
            return parts
        case .undecided:
            start += bytes
            let word = start.drop { $0.isSpace }
            if word.starts(with: Self.opening) {
                state = .thinking
                let rest = Array(word.dropFirst(Self.opening.count))
                start = []
                return push(rest)
            }
            if Self.opening.starts(with: word) { return [] }
            state = .answering
            defer { start = [] }
            return answer(start)
        }
    }

    /// Gives out reasoning without white space at its ends.
    private mutating func think(_ bytes: [UInt8]) -> [AnswerPart] {
        var bytes = bytes[...]
        if !hasThought {
            bytes = bytes.drop { $0.isSpace }
            if bytes.isEmpty { return [] }
            hasThought = true
        }
        let end = bytes.lastIndex { !$0.isSpace }.map { $0 + 1 } ?? bytes.startIndex
        guard end > bytes.startIndex else {
            space += bytes
            return []
        }
        let text = space + bytes[..<end]
        space = Array(bytes[end...])
        return [.reasoning(String(decoding: text, as: UTF8.self))]
    }

    private mutating func answer(_ bytes: [UInt8]) -> [AnswerPart] {
        if bytes.isEmpty { return [] }
        return calls?.push(bytes) ?? [.content(String(decoding: bytes, as: UTF8.self))]
    }
}

extension String {
    /// Whether the text ends with `<think>` and white space.
    package var endsWithOpenThought: Bool {
        let end = utf8.lastIndex { !$0.isSpace }
        return end.map { self[...$0].utf8.suffix(7).elementsEqual("<think>".utf8) } ?? false
    }
}
