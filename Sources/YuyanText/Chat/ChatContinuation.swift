extension RenderableChat {
    /// What the template writes behind a turn of the model: the messages after it, and the start of the
    /// next answer.
    ///
    /// Found by prefixes, as the model's turns are in training: the conversation up to the turn must be
    /// a prefix of the whole.
    ///
    /// - Parameters:
    ///   - turn: The turn's place in the conversation.
    ///   - hasStop: Whether the model has written the token that ends its turn; then it is left out.
    /// - Returns: Nil if the template writes the turn differently once others follow.
    /// - Throws: `TemplateError` if the template refuses the conversation.
    package func continuation(
        behind turn: Int, hasStop: Bool
    ) throws(TemplateError) -> MarkedText? {
        let count = turn + addedCount
        let before = try render(first: count, addsGenerationPrompt: false).marked.utf8.count
        let answered = try render(first: count + 1, addsGenerationPrompt: false)
        let whole = try render(addsGenerationPrompt: true)
        var end = answered.marked.utf8.count
        if let stop = lastStop(in: answered), stop.lowerBound >= before {
            end = hasStop ? stop.upperBound : stop.lowerBound
        }
        let said = answered.marked.utf8.prefix(end)
        guard whole.marked.utf8.starts(with: said) else { return nil }
        return MarkedText(
            String(decoding: whole.marked.utf8.dropFirst(end), as: UTF8.self), mark: mark)
    }

    /// Where the last stop token that the template wrote lies, in the rendering with marks.
    private func lastStop(in text: MarkedText) -> Range<Int>? {
        let parts = renderer.special.parts(of: text)
        let found = parts.special.last { renderer.tokenizer.endOfGeneration.contains($0.id) }
        let width = text.mark.map { String($0).utf8.count } ?? 0
        return found.map { stop in
            // Each mark before the token moves it; marks never lie inside of it.
            var start = stop.bytes.lowerBound
            for mark in parts.marks where mark <= start { start += width }
            return start..<start + stop.bytes.count
        }
    }
}
