extension RenderableChat {
    /// What the template writes behind a turn of the model: the messages after it, and the start of the
    /// next answer.
    ///
    /// It begins behind the stop token that ends the turn. Templates may write a turn differently once
    /// others follow (Qwen 3 drops an empty thought), so the turn's end is found by its stop token, and
    /// by prefixes only where the template writes none.
    ///
    /// - Parameters:
    ///   - turn: The turn's place in the conversation.
    ///   - hasStop: Whether the model has written the token that ends its turn; then it is left out.
    /// - Returns: Nil if the turn's end cannot be told from what the template makes of the conversation.
    /// - Throws: `TemplateError` if the template refuses the conversation.
    package func continuation(
        behind turn: Int, hasStop: Bool
    ) throws(TemplateError) -> MarkedText? {
        let count = turn + addedCount
        let before = try render(first: count, addsGenerationPrompt: false).marked.utf8
        let answered = try render(first: count + 1, addsGenerationPrompt: false)
        let whole = try render(addsGenerationPrompt: true)
        guard whole.marked.utf8.starts(with: before) else { return nil }
        let own = stops(in: answered, from: before.count)
        let end: Int
        if own.isEmpty {
            guard whole.marked.utf8.starts(with: answered.marked.utf8) else { return nil }
            end = answered.marked.utf8.count
        } else {
            let all = stops(in: whole, from: before.count)
            guard all.count >= own.count else { return nil }
            let stop = all[own.count - 1]
            end = hasStop ? stop.upperBound : stop.lowerBound
        }
        return MarkedText(
            String(decoding: whole.marked.utf8.dropFirst(end), as: UTF8.self), mark: mark)
    }

    /// Where stop tokens that the template wrote lie at or after an offset, both with marks.
    private func stops(in text: MarkedText, from offset: Int) -> [Range<Int>] {
        let parts = renderer.special.parts(of: text)
        let width = text.mark.map { String($0).utf8.count } ?? 0
        return parts.special.compactMap { found in
            guard renderer.tokenizer.endOfGeneration.contains(found.id) else { return nil }
            // Each mark before the token moves it; marks never lie inside of it.
            var start = found.bytes.lowerBound
            for mark in parts.marks where mark <= start { start += width }
            return start < offset ? nil : start..<start + found.bytes.count
        }
    }
}
