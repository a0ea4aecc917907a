/// Where the tokens of a text lie in its bytes.
///
/// A text is tokenised once, as a whole; this finds the tokens of a stretch of it afterwards. A
/// token that reaches over the edge of a stretch belongs to it: it holds at least one of its bytes.
package struct TokenPlaces: Sendable {
    private struct Section {
        var bytes: Range<Int>
        var tokens: Range<Int>
        var form = Form.exact

        enum Form {
            /// The tokens' bytes are the section's.
            case exact
            /// The tokens' bytes are those of the section's normal form.
            case normalized
            /// The tokens do not spell the section, as when bytes are unknown to the vocabulary.
            case other
        }
    }

    private let bytes: [UInt8]
    private let ids: [Int32]
    private let tokenizer: Tokenizer
    private let marks: [Int]
    private let markWidth: Int
    private var sections: [Section] = []
    /// The first byte of each token, counted from its section's start where that has another form.
    private var starts: [Int] = []

    /// Finds the tokens of a rendering that was encoded as a whole.
    package init(_ ids: [Int32], of text: MarkedText, with renderer: ChatRenderer) {
        let parts = renderer.special.parts(of: text)
        self.init(
            ids, bytes: parts.bytes, special: parts.special,
            isSpecial: renderer.special.contains, tokenizer: renderer.tokenizer,
            marks: parts.marks, markWidth: text.mark.map { String($0).utf8.count } ?? 0)
    }

    /// Finds the tokens of a plain text, in which nothing is special.
    package init(_ ids: [Int32], of text: String, with tokenizer: Tokenizer) {
        self.init(
            ids, bytes: Array(text.utf8), special: [], isSpecial: { _ in false },
            tokenizer: tokenizer, marks: [], markWidth: 0)
    }

    private init(
        _ ids: [Int32], bytes: [UInt8], special: [SpecialTexts.Occurrence],
        isSpecial: (Int32) -> Bool, tokenizer: Tokenizer, marks: [Int], markWidth: Int
    ) {
        self.ids = ids
        self.bytes = bytes
        self.tokenizer = tokenizer
        self.marks = marks
        self.markWidth = markWidth
        starts = [Int](repeating: 0, count: ids.count)
        let anchors = ids.indices.filter { isSpecial(ids[$0]) }
        guard anchors.count == special.count, zip(anchors, special).allSatisfy({ ids[$0] == $1.id })
        else {
            addPlain(bytes.indices, ids.indices)
            return
        }
        var (byte, token) = (0, 0)
        for (anchor, occurrence) in zip(anchors, special) {
            addPlain(byte..<occurrence.bytes.lowerBound, token..<anchor)
            starts[anchor] = occurrence.bytes.lowerBound
            sections.append(Section(bytes: occurrence.bytes, tokens: anchor..<anchor + 1))
            (byte, token) = (occurrence.bytes.upperBound, anchor + 1)
        }
        addPlain(byte..<bytes.count, token..<ids.count)
    }

    private mutating func addPlain(_ range: Range<Int>, _ tokens: Range<Int>) {
        guard !range.isEmpty else { return }
        var section = Section(bytes: range, tokens: tokens)
        if !spell(bytes[range], tokens, from: range.lowerBound) {
            let normal = tokenizer.normalized(Array(bytes[range]))
            section.form = spell(normal[...], tokens, from: 0) ? .normalized : .other
        }
        sections.append(section)
    }

    /// Sets the tokens' starts, if their bytes are exactly these.
    private mutating func spell(
        _ text: ArraySlice<UInt8>, _ tokens: Range<Int>, from first: Int
    ) -> Bool {
        var position = text.startIndex
        for token in tokens {
            let piece = tokenizer.bytes(of: ids[token])
            guard text[position...].starts(with: piece) else { return false }
            starts[token] = first + position - text.startIndex
            position += piece.count
        }
        return position == text.endIndex
    }

    /// The tokens that hold bytes of a stretch of the text.
    package func tokens(of range: Range<Int>) -> Range<Int> {
        guard !range.isEmpty else { return ids.count..<ids.count }
        let first = token(at: range.lowerBound)
        let last = token(at: range.upperBound)
        return first.index..<max(first.index, last.isInside ? last.index + 1 : last.index)
    }

    /// Whether a token reaches over an offset of the text.
    package func isStraddled(_ offset: Int) -> Bool { token(at: offset).isInside }

    /// The offset in the text without marks of an offset in the rendering with them.
    package func unmarked(_ offset: Int) -> Int {
        offset - markWidth * marks.count { $0 < offset }
    }

    /// The token that starts at an offset, or the one around it.
    private func token(at offset: Int) -> (index: Int, isInside: Bool) {
        guard let section = sections.first(where: { $0.bytes.upperBound > offset }) else {
            return (ids.count, false)
        }
        switch section.form {
        case .exact: return token(at: offset, in: section.tokens)
        case .normalized:
            let part = Array(bytes[section.bytes.lowerBound..<offset])
            let whole = tokenizer.normalized(Array(bytes[section.bytes]))
            let shared = zip(tokenizer.normalized(part), whole).prefix { $0 == $1 }.count
            return token(at: shared, in: section.tokens)
        case .other:
            let text = String(decoding: bytes[section.bytes.lowerBound..<offset], as: UTF8.self)
            let part = tokenizer.encode(text, addSpecial: false)
            let shared = zip(part, ids[section.tokens]).prefix { $0 == $1 }.count
            return (section.tokens.lowerBound + shared, shared < part.count)
        }
    }

    private func token(at offset: Int, in tokens: Range<Int>) -> (index: Int, isInside: Bool) {
        // The last token that starts at or before the offset.
        var (low, high) = (tokens.lowerBound, tokens.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= offset { low = middle + 1 } else { high = middle }
        }
        guard low > tokens.lowerBound else { return (tokens.lowerBound, false) }
        return (low - 1, starts[low - 1] < offset)
    }
}
