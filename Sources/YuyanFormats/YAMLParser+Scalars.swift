// Where the parser is, and the parts of a line.
extension YAMLParser {
    var atEnd: Bool { position >= bytes.count }
    var current: UInt8? { atEnd ? nil : bytes[position] }

    private func lineIndex(_ offset: Int) -> Int {
        var (low, high) = (0, lineStarts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if lineStarts[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }

    /// The line of the position, counted from 1.
    var line: Int { lineIndex(position) + 1 }
    /// Bytes between the start of the line and the position.
    var column: Int { position - lineStarts[lineIndex(position)] }

    func error(_ what: String, at offset: Int? = nil) -> YAMLError {
        let place = min(offset ?? position, bytes.count)
        let index = lineIndex(place)
        return YAMLError(
            file: name, line: index + 1, column: place - lineStarts[index] + 1, what: what)
    }

    /// Whether the line ends here, apart from a comment.
    var atLineEnd: Bool {
        guard let byte = current else { return true }
        switch byte {
        case 0x0A: return true
        case 0x0D: return position + 1 == bytes.count || bytes[position + 1] == 0x0A
        case UInt8(ascii: "#"):
            return position == 0 || [0x20, 0x09, 0x0A].contains(bytes[position - 1])
        default: return false
        }
    }

    var isDash: Bool { current == UInt8(ascii: "-") && isSpace(position + 1) }

    var isDocumentEnd: Bool {
        column == 0 && (starts(with: "---") || starts(with: "...")) && isSpace(position + 3)
    }

    private func isSpace(_ offset: Int) -> Bool {
        offset >= bytes.count || [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset])
    }

    func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    mutating func take(_ text: String) -> Bool {
        guard starts(with: text) else { return false }
        position += text.utf8.count
        return true
    }

    mutating func skipSpaces() {
        while let byte = current, byte == 0x20 || byte == 0x09 { position += 1 }
    }

    mutating func skipToNextLine() {
        position = (bytes[position...].firstIndex(of: 0x0A) ?? bytes.count - 1) + 1
    }

    /// Moves to the next thing that is neither space nor comment.
    mutating func skipBlank() throws(YAMLError) {
        while !atEnd {
            let begin = position
            skipSpaces()
            if atEnd { return }
            guard atLineEnd else {
                let index = lineIndex(begin)
                if bytes[lineStarts[index]..<position].contains(0x09) && begin == lineStarts[index]
                {
                    throw error("a tab as indentation; use spaces")
                }
                return
            }
            skipToNextLine()
        }
    }

    func expectLineEnd() throws(YAMLError) {
        var rest = self
        rest.skipSpaces()
        guard rest.atLineEnd else { throw rest.error("expected the end of the line") }
    }

    func text(_ range: Range<Int>, trims: Bool = true) -> String {
        var range = range
        while !range.isEmpty,
            bytes[range.upperBound - 1] == 0x0D
                || (trims && [0x20, 0x09].contains(bytes[range.upperBound - 1]))
        {
            range = range.lowerBound..<range.upperBound - 1
        }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    // MARK: Keys

    /// The place of the colon of a key that begins here, or nil if none does.
    func keyEnd() throws(YAMLError) -> Int? {
        guard let first = current else { return nil }
        if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") {
            var ahead = self
            _ = try ahead.quoted()
            ahead.skipSpaces()
            return ahead.current == UInt8(ascii: ":") && isSpace(ahead.position + 1)
                ? ahead.position : nil
        }
        if first == UInt8(ascii: "[") || first == UInt8(ascii: "{") { return nil }
        return colonInside(position..<plainEnd())
    }

    /// A colon that ends a key: one before a space or the end of the line.
    func colonInside(_ range: Range<Int>) -> Int? {
        range.first { bytes[$0] == UInt8(ascii: ":") && isSpace($0 + 1) }
    }

    /// Reads the key whose colon is at `end`, and the colon.
    mutating func key(until end: Int) throws(YAMLError) -> String {
        defer { position = end + 1 }
        if let first = current, first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") {
            return try quoted()
        }
        if let first = current { try refuseIndicator(first) }
        return text(position..<end)
    }

    // MARK: Scalars

    /// The end of a plain text that begins here: the end of the line or its comment.
    func plainEnd() -> Int {
        var end = position
        while end < bytes.count, bytes[end] != 0x0A {
            if bytes[end] == UInt8(ascii: "#"), end > position, isSpace(end - 1) { break }
            end += 1
        }
        return end
    }

    func refuseIndicator(_ byte: UInt8) throws(YAMLError) {
        switch byte {
        case UInt8(ascii: "&"): throw error("anchors (&) are not read; write the value out")
        case UInt8(ascii: "*"): throw error("aliases (*) are not read; write the value out")
        case UInt8(ascii: "!"): throw error("tags (!) are not read; the key says the type")
        case UInt8(ascii: "%"): throw error("directives (%) are not read")
        case UInt8(ascii: "@"), UInt8(ascii: "`"), UInt8(ascii: ","), UInt8(ascii: "]"),
            UInt8(ascii: "}"):
            throw error("a value cannot begin so; put it in quotes")
        case UInt8(ascii: "?") where isSpace(position + 1):
            throw error("complex keys (?) are not read")
        default: break
        }
    }

    /// A text in quotes on one line.
    mutating func quoted() throws(YAMLError) -> String {
        let start = position
        let quote = bytes[position]
        position += 1
        var result: [UInt8] = []
        while let byte = current, byte != 0x0A {
            position += 1
            if byte == quote {
                guard quote == UInt8(ascii: "'"), current == quote else {
                    return String(decoding: result, as: UTF8.self)
                }
                position += 1
                result.append(quote)
            } else if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                result += try escape()
            } else {
                result.append(byte)
            }
        }
        throw error("this quote does not end in its line; use | for a text of several", at: start)
    }

    /// What follows a backslash in double quotes.
    private mutating func escape() throws(YAMLError) -> [UInt8] {
        guard let letter = current else { throw error("the text ends in a backslash") }
        position += 1
        let simple: [Character: UInt8] = [
            "n": 0x0A, "t": 0x09, "r": 0x0D, "\"": 0x22, "\\": 0x5C, "/": 0x2F, "0": 0x00,
            "a": 0x07, "b": 0x08, "e": 0x1B, "f": 0x0C, "v": 0x0B, " ": 0x20,
        ]
        if let byte = simple[Character(Unicode.Scalar(letter))] { return [byte] }
        let widths: [Character: Int] = ["x": 2, "u": 4, "U": 8]
        guard let width = widths[Character(Unicode.Scalar(letter))] else {
            throw error("an unknown escape", at: position - 2)
        }
        var code = try hexadecimal(width)
        // JSON writes what is beyond 16 bits as two.
        if (0xD800..<0xDC00).contains(code), take("\\u") {
            let low = try hexadecimal(4)
            code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw error("an escape that is no character")
        }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func hexadecimal(_ width: Int) throws(YAMLError) -> UInt32 {
        let end = position + width
        guard end <= bytes.count, let code = UInt32(text(position..<end, trims: false), radix: 16)
        else { throw error("expected \(width) hexadecimal digits") }
        position = end
        return code
    }

    // MARK: Brackets

    /// A list or mapping in brackets, which may go over several lines.
    mutating func flow(depth: Int) throws(YAMLError) -> YAMLNode {
        let start = line
        guard depth < 64 else { throw error("more than 64 levels") }
        let isList = current == UInt8(ascii: "[")
        let close = UInt8(ascii: isList ? "]" : "}")
        let opening = position
        position += 1
        var items: [YAMLNode] = []
        var entries: [YAMLNode.Entry] = []
        while true {
            try skipInside(opening)
            if current == close { break }
            if isList {
                items.append(try flowValue(depth: depth))
            } else {
                let entry = try flowEntry(depth: depth)
                if entries.contains(where: { $0.key == entry.key }) {
                    throw error("'\(entry.key)' occurs twice")
                }
                entries.append(entry)
            }
            try skipInside(opening)
            if current == UInt8(ascii: ",") {
                position += 1
            } else if current != close {
                throw error("expected a comma or the closing bracket")
            }
        }
        position += 1
        return isList ? .sequence(items, line: start) : .mapping(entries, line: start)
    }

    private mutating func skipInside(_ opening: Int) throws(YAMLError) {
        while !atEnd {
            skipSpaces()
            guard atLineEnd, !atEnd else { break }
            skipToNextLine()
        }
        if atEnd { throw error("this bracket is never closed", at: opening) }
    }

    private mutating func flowEntry(depth: Int) throws(YAMLError) -> YAMLNode.Entry {
        let keyLine = line
        let key: String
        if current == UInt8(ascii: "\"") || current == UInt8(ascii: "'") {
            key = try quoted()
        } else {
            key = flowPlain()
        }
        skipSpaces()
        guard current == UInt8(ascii: ":") else {
            throw error("expected ': ' after the key '\(key)'")
        }
        position += 1
        try skipInside(position)
        return YAMLNode.Entry(key: key, value: try flowValue(depth: depth), line: keyLine)
    }

    private mutating func flowValue(depth: Int) throws(YAMLError) -> YAMLNode {
        let start = line
        switch current {
        case UInt8(ascii: "["), UInt8(ascii: "{"): return try flow(depth: depth + 1)
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            return .scalar(try quoted(), isQuoted: true, line: start)
        case .some(let byte) where byte != UInt8(ascii: ",") && byte != UInt8(ascii: "}"):
            try refuseIndicator(byte)
        default: break
        }
        return .scalar(flowPlain(), isQuoted: false, line: start)
    }

    /// Plain text up to what ends it inside brackets.
    private mutating func flowPlain() -> String {
        let start = position
        while let byte = current, !",[]{}\n".utf8.contains(byte) {
            if byte == UInt8(ascii: ":"),
                isSpace(position + 1) || ",]}".utf8.contains(bytes[position + 1])
            {
                break
            }
            if byte == UInt8(ascii: "#"), position > start, isSpace(position - 1) { break }
            position += 1
        }
        return text(start..<position)
    }
}
