/// A token that is looked for in the text before anything else happens to it.
struct AddedToken: Hashable, Sendable {
    var id: Int32
    /// The literal bytes; for a normalized token of a tokenizer that normalizes, in normal form.
    var content: [UInt8]
    /// Control tokens: not found in plain text, left out of decoded text on request.
    var isSpecial = false
    /// Whether it matches only between non-word characters.
    var isSingleWord = false
    /// Whether it swallows the white space before or after it.
    var stripsLeft = false
    var stripsRight = false
    /// Whether it is looked for in the normalised text instead of the given one.
    var isNormalized = false
}

/// Finds added tokens, the leftmost first and the longest of those that start together.
///
/// A byte trie with sibling lists; a 256-entry table of first bytes skips over ordinary text.
struct AddedTokens: Sendable {
    private struct Node {
        var byte: UInt8
        var token: Int32 = -1
        var child: Int32 = -1
        var sibling: Int32 = -1
    }

    private let tokens: [AddedToken]
    private var nodes: [Node] = []
    /// The trie node of each first byte, or -1.
    private var roots = [Int32](repeating: -1, count: 256)

    var isEmpty: Bool { tokens.isEmpty }

    init(_ tokens: [AddedToken]) {
        self.tokens = tokens.filter { !$0.content.isEmpty }
        for index in self.tokens.indices { insert(Int32(index)) }
    }

    /// A stretch of text: a token, or what is between two.
    struct Section {
        var range: Range<Int>
        var token: Int32?
    }

    /// Calls `body` with the tokens found in `text[range]` and what is between them, in order.
    ///
    /// Without `parseSpecial`, special tokens stay part of the text around them; as in HF
    /// (`encode_special_tokens`) they still hide other tokens that they overlap.
    func split(
        _ text: Span<UInt8>, parseSpecial: Bool, _ classes: UnicodeClasses,
        _ body: (Section) -> Void
    ) {
        var done = 0
        var index = 0
        while index < text.count {
            let root = roots[Int(text[index])]
            if root < 0 {
                index &+= 1
                continue
            }
            guard let (token, end) = longest(from: root, text, at: index) else {
                index &+= 1
                continue
            }
            let start = index
            index = end
            if token.isSpecial, !parseSpecial { continue }
            if token.isSingleWord, !standsAlone(text, start..<end, classes) { continue }
            var from = start
            var to = end
            if token.stripsLeft { from = max(done, spaceStart(text, before: start, classes)) }
            if token.stripsRight { to = spaceEnd(text, from: end, classes) }
            if done < from { body(Section(range: done..<from)) }
            body(Section(range: min(from, to)..<to, token: token.id))
            done = to
        }
        if done < text.count { body(Section(range: done..<text.count)) }
    }

    private func longest(
        from root: Int32, _ text: Span<UInt8>, at start: Int
    ) -> (AddedToken, Int)? {
        var found: (AddedToken, Int)?
        var node = root
        var index = start
        while true {
            index &+= 1
            let token = nodes[Int(node)].token
            if token >= 0 { found = (tokens[Int(token)], index) }
            guard index < text.count else { return found }
            let byte = text[index]
            var child = nodes[Int(node)].child
            while child >= 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].sibling }
            if child < 0 { return found }
            node = child
        }
    }

    private mutating func insert(_ token: Int32) {
        let content = tokens[Int(token)].content
        var node = roots[Int(content[0])]
        if node < 0 {
            node = add(content[0])
            roots[Int(content[0])] = node
        }
        for byte in content.dropFirst() {
            var child = nodes[Int(node)].child
            while child >= 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].sibling }
            if child < 0 {
                child = add(byte)
                nodes[Int(child)].sibling = nodes[Int(node)].child
                nodes[Int(node)].child = child
            }
            node = child
        }
        if nodes[Int(node)].token < 0 { nodes[Int(node)].token = token }
    }

    private mutating func add(_ byte: UInt8) -> Int32 {
        nodes.append(Node(byte: byte))
        return Int32(nodes.count - 1)
    }

    private func standsAlone(
        _ text: Span<UInt8>, _ range: Range<Int>, _ classes: UnicodeClasses
    ) -> Bool {
        if range.lowerBound > 0 {
            let before = scalarStart(in: text, before: range.lowerBound)
            if classes[scalar(in: text, at: before).value] & UnicodeClasses.word != 0 {
                return false
            }
        }
        if range.upperBound < text.count {
            let after = scalar(in: text, at: range.upperBound).value
            return classes[after] & UnicodeClasses.word == 0
        }
        return true
    }

    private func spaceStart(
        _ text: Span<UInt8>, before end: Int, _ classes: UnicodeClasses
    ) -> Int {
        var start = end
        while start > 0 {
            let before = scalarStart(in: text, before: start)
            let value = scalar(in: text, at: before).value
            if classes[value] & UnicodeClasses.space == 0 { break }
            start = before
        }
        return start
    }

    private func spaceEnd(_ text: Span<UInt8>, from start: Int, _ classes: UnicodeClasses) -> Int {
        var end = start
        while end < text.count {
            let (value, width) = scalar(in: text, at: end)
            if classes[value] & UnicodeClasses.space == 0 { break }
            end += width
        }
        return end
    }
}
