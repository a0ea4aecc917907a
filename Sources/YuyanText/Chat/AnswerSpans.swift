/// Where the model's own turns lie in a rendered conversation.
///
/// A turn is found by prefixes: the conversation before it, rendered with the start of an answer, is
/// what the model is given when it is served; rendered with the turn, it has what the model should
/// have said behind it. Both must be prefixes of the whole conversation. Templates that rewrite
/// history break that; then the next best evidence is used, and `Method` tells which.
package struct AnswerSpan: Sendable, Hashable {
    /// How the span was found.
    package enum Method: Int, Sendable, Hashable, CaseIterable {
        /// What is served is a prefix of what is trained on, byte for byte.
        case prefixes
        /// Once other turns follow, the template writes this one differently, so that it ends with
        /// the next stop token.
        case untilStop
        /// The start of an answer is written differently when the answer is there.
        case sharedStart
        /// The template rewrites what precedes the turn: its text was looked for.
        case search

        /// What a user should know about it; nil if all is well.
        package var explanation: String? {
            switch self {
            case .prefixes: nil
            case .untilStop:
                "the chat template writes an answer differently once other turns follow (it may "
                    + "drop its reasoning); mask_history trains on last answers only, which are exact"
            case .sharedStart:
                "the chat template starts an answer differently when it asks for one; answers are "
                    + "trained from where both agree"
            case .search:
                "the chat template rewrites earlier turns when later ones follow; answers were "
                    + "found by their text; mask_history trains on last answers only"
            }
        }
    }

    /// The turn's place in the conversation.
    package let turn: Int
    /// Offsets in `RenderedAnswers.text.marked`.
    package let bytes: Range<Int>
    package let method: Method
}

/// A conversation rendered once, and what the model says in it.
package struct RenderedAnswers: Sendable {
    package let text: MarkedText
    package let spans: [AnswerSpan]
}

/// A turn of the model that cannot be found in what the template made of the conversation.
package struct AnswerNotFound: Error, Sendable, Hashable, CustomStringConvertible {
    /// The turn's place in the conversation, counted from 1.
    package let turn: Int

    package var description: String {
        "the chat template does not write turn \(turn), an answer, where it can be found; is this "
            + "template meant for such conversations?"
    }
}

extension RenderableChat {
    /// Renders the conversation and finds the turns of the model that are asked for.
    ///
    /// - Parameter turns: Places in the conversation, ascending.
    /// - Throws: `TemplateError` if the template refuses the whole conversation, `AnswerNotFound`.
    package func answers(_ turns: [Int]) throws -> RenderedAnswers {
        let whole = try render(addsGenerationPrompt: false)
        let bytes = Array(whole.marked.utf8)
        var spans: [AnswerSpan] = []
        for turn in turns {
            let done = spans.last?.bytes.upperBound ?? 0
            let span = span(of: turn, in: bytes, whole, after: done)
            guard let span else { throw AnswerNotFound(turn: turn + 1) }
            spans.append(span)
        }
        return RenderedAnswers(text: whole, spans: spans)
    }

    private func span(
        of turn: Int, in bytes: [UInt8], _ whole: MarkedText, after done: Int
    ) -> AnswerSpan? {
        let message = turn + addedCount
        // A template may refuse a conversation that breaks off; then there is no such evidence.
        func part(_ count: Int, _ addsGenerationPrompt: Bool) -> [UInt8]? {
            let text = try? render(first: count, addsGenerationPrompt: addsGenerationPrompt)
            return text.map { Array($0.marked.utf8) }
        }
        let given = part(message, true)
        let isLast = message == messages.count - 1
        let answered = isLast ? bytes : part(message + 1, false)
        let end = answered.flatMap { bytes.starts(with: $0) ? $0.count : nil }
        if let given, let end, given.count < end, given.count >= done, bytes.starts(with: given) {
            return AnswerSpan(turn: turn, bytes: given.count..<end, method: .prefixes)
        }
        if let given, message > 0, let history = part(message, false), bytes.starts(with: history) {
            var shared = zip(given, bytes).prefix { $0 == $1 }.count
            // Two characters may share their first bytes.
            while shared < bytes.count, bytes[shared] & 0xC0 == 0x80 { shared -= 1 }
            let method: AnswerSpan.Method = shared == given.count ? .untilStop : .sharedStart
            if shared > history.count, shared >= done,
                let end = end ?? stop(in: whole, from: shared), shared < end
            {
                return AnswerSpan(turn: turn, bytes: shared..<end, method: method)
            }
        }
        return search(message, turn, bytes, whole, after: done)
    }

    private func search(
        _ message: Int, _ turn: Int, _ bytes: [UInt8], _ whole: MarkedText, after done: Int
    ) -> AnswerSpan? {
        var content = trimmed(Array(content(message).utf8))
        // Templates that know reasoning may leave it out of history.
        let thought = Array("</think>".utf8)
        if let end = find(thought, in: content, from: 0) {
            content = trimmed(Array(content[(end + thought.count)...]))
        }
        guard !content.isEmpty, let start = find(content, in: bytes, from: done) else { return nil }
        let end = stop(in: whole, from: start + content.count) ?? start + content.count
        // Whatever stands between an answer and its stop token is at most white space.
        let between = bytes[(start + content.count)..<end]
        let isClose = between.count <= 64
        return AnswerSpan(
            turn: turn, bytes: start..<(isClose ? end : start + content.count), method: .search)
    }

    /// The end of the first stop token of the template at or after an offset, both with marks.
    private func stop(in text: MarkedText, from offset: Int) -> Int? {
        let parts = renderer.special.parts(of: text)
        let width = text.mark.map { String($0).utf8.count } ?? 0
        let plain = offset - width * parts.marks.count { $0 < offset }
        let found = parts.special.first {
            $0.bytes.lowerBound >= plain && renderer.tokenizer.endOfGeneration.contains($0.id)
        }
        guard let found else { return nil }
        // Each mark before the token's end moves it; marks never lie inside of it.
        var end = found.bytes.upperBound
        for mark in parts.marks where mark < end { end += width }
        return end
    }
}

private func trimmed(_ text: [UInt8]) -> [UInt8] {
    func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }
    guard let first = text.firstIndex(where: { !isSpace($0) }),
        let last = text.lastIndex(where: { !isSpace($0) })
    else { return [] }
    return Array(text[first...last])
}

private func find(_ wanted: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard wanted.count <= text.count - start else { return nil }
    return (start...(text.count - wanted.count)).first { place in
        for offset in wanted.indices where text[place + offset] != wanted[offset] { return false }
        return true
    }
}
