/// Where and why a text is not JSON.
struct JSONFault: Error {
    let offset: Int
    let what: String

    init(_ what: String, at offset: Int) {
        self.what = what
        self.offset = offset
    }
}

/// Parses a text into a tape in one pass, without recursion.
///
/// Strict RFC 8259: valid UTF-8, paired surrogates, no comments, no trailing commas. An object's
/// word is followed by key, value, key, value; an array's by its elements.
struct JSONParser {
    /// Arrays and objects inside each other.
    static let maximumDepth = 512

    private struct Frame {
        var start: Int
        var count: Int
        var isObject: Bool
    }

    private enum Expected {
        case value, elementOrEnd, keyOrEnd, key, commaOrEnd
    }

    private var nodes: [JSONNode] = []
    /// The innermost array or object; at the outside, an array that holds the document.
    private var top = Frame(start: 0, count: 0, isObject: false)
    /// What is around `top`.
    private var open: [Frame] = []

    /// The tape of `bytes`; the first word is the document's only value.
    static func parse(_ bytes: borrowing RawSpan) throws(JSONFault) -> [JSONNode] {
        guard bytes.byteCount < JSONNode.fieldLimit else {
            throw JSONFault("longer than \(JSONNode.fieldLimit - 1) bytes", at: 0)
        }
        if bytes.byteCount >= 3, bytes.byte(0) == 0xEF, bytes.byte(1) == 0xBB,
            bytes.byte(2) == 0xBF
        {
            throw JSONFault("a byte order mark; save the file as UTF-8 without it", at: 0)
        }
        var parser = JSONParser()
        // Typical files have one value per 10 bytes; too low a guess only costs a copy.
        parser.nodes.reserveCapacity(bytes.byteCount / 10 + 4)
        try parser.run(bytes)
        return parser.nodes
    }

    private mutating func run(_ bytes: borrowing RawSpan) throws(JSONFault) {
        let end = bytes.byteCount
        var position = 0
        var expected = Expected.value
        while true {
            Self.skipSpace(bytes, &position)
            guard position < end else { throw JSONFault("the text ends too early", at: end) }
            let byte = bytes.byte(position)
            switch expected {
            case .commaOrEnd:
                let isObject = top.isObject
                if byte == UInt8(ascii: ",") {
                    position += 1
                    expected = isObject ? .key : .value
                    continue
                }
                guard byte == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
                    throw JSONFault("expected ',' or '\(isObject ? "}" : "]")'", at: position)
                }
                position += 1
                close()
            case .key, .keyOrEnd:
                if expected == .keyOrEnd, byte == UInt8(ascii: "}") {
                    position += 1
                    close()
                    break
                }
                guard byte == UInt8(ascii: "\"") else {
                    throw JSONFault("expected a key in double quotes", at: position)
                }
                top.count += 1
                position = try string(bytes, from: position + 1)
                Self.skipSpace(bytes, &position)
                guard position < end, bytes.byte(position) == UInt8(ascii: ":") else {
                    throw JSONFault("expected ':' after a key", at: position)
                }
                position += 1
                expected = .value
                continue
            case .elementOrEnd where byte == UInt8(ascii: "]"):
                position += 1
                close()
            case .value, .elementOrEnd:
                if !top.isObject { top.count += 1 }
                switch byte {
                case UInt8(ascii: "\""):
                    position = try string(bytes, from: position + 1)
                case UInt8(ascii: "{"), UInt8(ascii: "["):
                    let isObject = byte == UInt8(ascii: "{")
                    guard open.count < Self.maximumDepth else {
                        throw JSONFault("nested deeper than \(Self.maximumDepth)", at: position)
                    }
                    open.append(top)
                    top = Frame(start: nodes.count, count: 0, isObject: isObject)
                    nodes.append(JSONNode(isObject ? .object : .array))
                    position += 1
                    expected = isObject ? .keyOrEnd : .elementOrEnd
                    continue
                case UInt8(ascii: "t"): position = try literal(.yes, "true", bytes, position)
                case UInt8(ascii: "f"): position = try literal(.no, "false", bytes, position)
                case UInt8(ascii: "n"): position = try literal(.null, "null", bytes, position)
                default: position = try number(bytes, from: position)
                }
            }
            if open.isEmpty { break }
            expected = .commaOrEnd
        }
        Self.skipSpace(bytes, &position)
        guard position == end else {
            throw JSONFault("something follows the end of the document", at: position)
        }
    }

    private mutating func close() {
        nodes[top.start] = JSONNode(
            top.isObject ? .object : .array, high: nodes.count, low: top.count)
        top = open.removeLast()
    }

    @inline(__always)
    private static func skipSpace(_ bytes: borrowing RawSpan, _ position: inout Int) {
        while position < bytes.byteCount {
            let byte = bytes.byte(position)
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
            guard byte == 0x0A else { continue }
            // Indentation, which may be half of a file.
            while position + 8 <= bytes.byteCount {
                let other = bytes.littleEndian(UInt64.self, at: position) ^ 0x2020_2020_2020_2020
                position += other.trailingZeroBitCount >> 3
                if other != 0 { break }
            }
        }
    }

    private mutating func literal(
        _ tag: JSONNode.Tag, _ text: StaticString, _ bytes: borrowing RawSpan, _ start: Int
    ) throws(JSONFault) -> Int {
        let end = start + text.utf8CodeUnitCount
        guard end <= bytes.byteCount else { throw JSONFault("expected a value", at: start) }
        for (index, character) in "\(text)".utf8.enumerated() {
            guard bytes.byte(start + index) == character else {
                throw JSONFault("expected a value", at: start)
            }
        }
        nodes.append(JSONNode(tag))
        return end
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    private mutating func number(
        _ bytes: borrowing RawSpan, from start: Int
    ) throws(JSONFault) -> Int {
        let end = bytes.byteCount
        var position = start
        var tag = JSONNode.Tag.integer
        if bytes.byte(position) == UInt8(ascii: "-") { position += 1 }
        let first = position
        guard Self.skipDigits(bytes, &position) else {
            throw JSONFault(first > start ? "expected a digit" : "expected a value", at: position)
        }
        guard bytes.byte(first) != UInt8(ascii: "0") || position == first + 1 else {
            throw JSONFault("a number that starts with 0", at: first)
        }
        if position < end, bytes.byte(position) == UInt8(ascii: ".") {
            tag = .real
            position += 1
            guard Self.skipDigits(bytes, &position) else {
                throw JSONFault("expected a digit after '.'", at: position)
            }
        }
        if position < end, bytes.byte(position) | 0x20 == UInt8(ascii: "e") {
            tag = .real
            position += 1
            if position < end,
                bytes.byte(position) == UInt8(ascii: "+")
                    || bytes.byte(position) == UInt8(ascii: "-")
            {
                position += 1
            }
            guard Self.skipDigits(bytes, &position) else {
                throw JSONFault("expected a digit in the exponent", at: position)
            }
        }
        nodes.append(JSONNode(tag, high: position - start, low: start))
        return position
    }

    /// Whether there was at least one digit.
    @inline(__always)
    private static func skipDigits(_ bytes: borrowing RawSpan, _ position: inout Int) -> Bool {
        let start = position
        while position < bytes.byteCount, bytes.byte(position) &- 0x30 < 10 { position += 1 }
        return position > start
    }

    /// Checks a string whose first byte after the quote is at `start`; returns what follows it.
    private mutating func string(
        _ bytes: borrowing RawSpan, from start: Int
    ) throws(JSONFault) -> Int {
        let end = bytes.byteCount
        var position = start
        var tag = JSONNode.Tag.plainString
        while true {
            // Eight bytes at a time while none is special. The lowest bit set is exact: a borrow
            // in these subtractions only ever spoils bytes above a true match.
            while position + 8 <= end {
                let word = bytes.littleEndian(UInt64.self, at: position)
                let quote = word ^ 0x2222_2222_2222_2222
                let slash = word ^ 0x5C5C_5C5C_5C5C_5C5C
                let special =
                    ((quote &- 0x0101_0101_0101_0101) & ~quote)
                    | ((slash &- 0x0101_0101_0101_0101) & ~slash)
                    | ((word &- 0x2020_2020_2020_2020) & ~word) | word
                let found = special & 0x8080_8080_8080_8080
                if found == 0 {
                    position += 8
                } else {
                    position += found.trailingZeroBitCount >> 3
                    break
                }
            }
            guard position < end else {
                throw JSONFault("the text ends inside a string", at: end)
            }
            let byte = bytes.byte(position)
            if byte == UInt8(ascii: "\"") {
                nodes.append(JSONNode(tag, high: position - start, low: start))
                return position + 1
            } else if byte == UInt8(ascii: "\\") {
                tag = .escapedString
                position = try JSONEscape.check(bytes, at: position)
            } else if byte >= 0x80 {
                repeat {
                    let length = utf8Length(bytes, at: position)
                    guard length > 0 else {
                        throw JSONFault("bytes that are not UTF-8", at: position)
                    }
                    position += length
                } while position < end && bytes.byte(position) >= 0x80
            } else if byte < 0x20 {
                throw JSONFault("a control character in a string; escape it", at: position)
            } else {
                position += 1
            }
        }
    }
}

/// The length of the multi-byte UTF-8 sequence at `offset`, or 0 if it is malformed (RFC 3629).
private func utf8Length(_ bytes: borrowing RawSpan, at offset: Int) -> Int {
    let left = bytes.byteCount - offset
    func continues(_ distance: Int) -> Bool { bytes.byte(offset + distance) & 0xC0 == 0x80 }
    switch bytes.byte(offset) {
    case 0xC2...0xDF:
        return left >= 2 && continues(1) ? 2 : 0
    case let first where first & 0xF0 == 0xE0:
        guard left >= 3, continues(1), continues(2) else { return 0 }
        let second = bytes.byte(offset + 1)
        // Shorter forms exist below E0 A0; ED A0 and above would be surrogates.
        return first == 0xE0 && second < 0xA0 || first == 0xED && second >= 0xA0 ? 0 : 3
    case let first where (0xF0...0xF4).contains(first):
        guard left >= 4, continues(1), continues(2), continues(3) else { return 0 }
        let second = bytes.byte(offset + 1)
        return first == 0xF0 && second < 0x90 || first == 0xF4 && second >= 0x90 ? 0 : 4
    default:
        return 0
    }
}
