/// A parser of block style, by recursive descent over bytes.
struct YAMLParser {
    let bytes: [UInt8]
    let name: String
    var position = 0
    var lineStarts = [0]
    private var depth = 0

    private static let depthLimit = 64

    init(bytes: [UInt8], name: String) {
        // A byte order mark says nothing here.
        self.bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        self.name = name
        for (offset, byte) in self.bytes.enumerated() where byte == 0x0A {
            lineStarts.append(offset + 1)
        }
    }

    // MARK: Documents

    mutating func document() throws(YAMLError) -> YAMLNode {
        try checkText()
        try skipBlank()
        if take("---") { try skipBlank() }
        guard !atEnd else { return .mapping([], line: 1) }
        let root = try block()
        try skipBlank()
        if take("...") { try skipBlank() }
        guard atEnd else {
            throw error(
                starts(with: "---")
                    ? "a second document begins; a file holds one"
                    : "this stands further left than what it would belong to")
        }
        return root
    }

    mutating func loneValue() throws(YAMLError) -> YAMLNode {
        try checkText()
        skipSpaces()
        let value = try inlineValue(parentColumn: -1)
        try skipBlank()
        guard atEnd else { throw error("expected the end of the value") }
        return value
    }

    private func checkText() throws(YAMLError) {
        do {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            throw self.error("a byte that is not UTF-8", at: error.byteOffsets.lowerBound)
        }
        if let offset = bytes.firstIndex(where: { $0 < 0x20 && ![0x09, 0x0A, 0x0D].contains($0) }) {
            throw error("a control character", at: offset)
        }
    }

    // MARK: Blocks

    /// A block that begins here: list, mapping or one value.
    private mutating func block() throws(YAMLError) -> YAMLNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else {
            throw error("more than \(Self.depthLimit) levels")
        }
        if isDash { return try list(column: column) }
        if try keyEnd() != nil { return try mapping(column: column) }
        return try inlineValue(parentColumn: column - 1)
    }

    private mutating func mapping(column: Int) throws(YAMLError) -> YAMLNode {
        var entries: [YAMLNode.Entry] = []
        var lines: [String: Int] = [:]
        let start = line
        while !atEnd, self.column == column, !isDocumentEnd {
            let keyLine = line
            guard let end = try keyEnd() else {
                throw error(
                    "expected `key: value`; does a text go on from the line before? Quote it")
            }
            if starts(with: "<<"), end == position + 2 {
                throw error("merge keys (<<) are not read; write the keys out")
            }
            let key = try self.key(until: end)
            if let first = lines.updateValue(keyLine, forKey: key) {
                throw error("'\(key)' occurs twice; first in line \(first)")
            }
            entries.append(
                YAMLNode.Entry(
                    key: key, value: try value(under: column, keyLine: keyLine), line: keyLine))
            try skipBlank()
        }
        try checkIndentation(column)
        return .mapping(entries, line: start)
    }

    private mutating func list(column: Int) throws(YAMLError) -> YAMLNode {
        var items: [YAMLNode] = []
        let start = line
        while !atEnd, self.column == column, isDash {
            position += 1
            let dashLine = line
            skipSpaces()
            if atLineEnd {
                try skipBlank()
                items.append(
                    !atEnd && self.column > column
                        ? try block() : .scalar("", isQuoted: false, line: dashLine))
            } else {
                let isKey = try keyEnd() != nil
                items.append(
                    isDash || isKey ? try block() : try inlineValue(parentColumn: column))
            }
            try skipBlank()
        }
        try checkIndentation(column)
        return .sequence(items, line: start)
    }

    private func checkIndentation(_ column: Int) throws(YAMLError) {
        guard atEnd || self.column <= column else {
            throw error("indented by \(self.column), its neighbours above by \(column)")
        }
    }

    /// What stands behind a key, on its line or indented below it.
    private mutating func value(under column: Int, keyLine: Int) throws(YAMLError) -> YAMLNode {
        skipSpaces()
        guard atLineEnd else { return try inlineValue(parentColumn: column) }
        try skipBlank()
        guard !atEnd, !isDocumentEnd else { return .scalar("", isQuoted: false, line: keyLine) }
        // A list may stand as far left as its key.
        if self.column > column || (self.column == column && isDash) { return try block() }
        return .scalar("", isQuoted: false, line: keyLine)
    }

    /// A value that begins on this line.
    private mutating func inlineValue(parentColumn: Int) throws(YAMLError) -> YAMLNode {
        guard let first = current else { return .scalar("", isQuoted: false, line: line) }
        let start = line
        switch first {
        case UInt8(ascii: "|"), UInt8(ascii: ">"):
            let text = try blockScalar(parentColumn: parentColumn)
            return .scalar(text, isQuoted: true, line: start)
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            let node = try flow(depth: depth)
            try expectLineEnd()
            return node
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            let text = try quoted()
            try expectLineEnd()
            return .scalar(text, isQuoted: true, line: start)
        default:
            try refuseIndicator(first)
            let end = plainEnd()
            let text = self.text(position..<end)
            if let colon = colonInside(position..<end) {
                throw error("': ' inside a value; put the value in quotes", at: colon)
            }
            position = end
            return .scalar(text, isQuoted: false, line: start)
        }
    }

    /// A literal or folded block, whose header begins here.
    private mutating func blockScalar(parentColumn: Int) throws(YAMLError) -> String {
        let isFolded = current == UInt8(ascii: ">")
        position += 1
        var keep = 1
        if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") {
            keep = current == UInt8(ascii: "-") ? 0 : 2
            position += 1
        }
        skipSpaces()
        guard atLineEnd else {
            throw error("after | or > only - or + is read; indent the text as you like")
        }
        skipToNextLine()
        var lines: [String] = []
        var width: Int?
        while !atEnd {
            let begin = position
            let content = bytes[position...].firstIndex { $0 != 0x20 } ?? bytes.count
            let end = bytes[position...].firstIndex(of: 0x0A) ?? bytes.count
            if content >= end || (bytes[content] == 0x0D && content + 1 == end) {
                lines.append("")
            } else {
                let indent = content - begin
                guard indent > max(parentColumn, -1), indent >= (width ?? 0) else {
                    position = begin
                    break
                }
                let used = width ?? indent
                width = used
                lines.append(text(begin + used..<end, trims: false))
            }
            position = min(end + 1, bytes.count)
        }
        let trailing = lines.reversed().prefix { $0.isEmpty }.count
        let body = lines.dropLast(trailing)
        guard !body.isEmpty else {
            return keep == 2 ? String(repeating: "\n", count: trailing) : ""
        }
        let joined = isFolded ? Self.folded(Array(body)) : body.joined(separator: "\n")
        return joined + (keep == 0 ? "" : "\n")
            + (keep == 2 ? String(repeating: "\n", count: trailing) : "")
    }

    /// Lines joined by spaces; empty lines stay line ends, and so do ends beside indented lines.
    private static func folded(_ lines: [String]) -> String {
        var result = ""
        var last: String?
        var emptyLines = 0
        for line in lines {
            guard !line.isEmpty else {
                emptyLines += 1
                continue
            }
            let isFolded = !line.hasPrefix(" ") && last?.hasPrefix(" ") == false
            let breaks = isFolded || last == nil ? emptyLines : emptyLines + 1
            result += isFolded && breaks == 0 ? " " : String(repeating: "\n", count: breaks)
            result += line
            (last, emptyLines) = (line, 0)
        }
        return result
    }
}
