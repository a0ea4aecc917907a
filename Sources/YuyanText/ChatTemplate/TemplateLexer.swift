/// What a template is cut into.
struct TemplateToken {
    enum Kind {
        case data(String)
        case variableBegin
        case variableEnd
        case blockBegin
        case blockEnd
        case name(String)
        case string(String)
        case integer(Int)
        case float(Double)
        case symbol(Symbol)
        case end
    }
    enum Symbol: String {
        case add = "+"
        case assign = "="
        case colon = ":"
        case comma = ","
        case divide = "/"
        case dot = "."
        case equal = "=="
        case floorDivide = "//"
        case greater = ">"
        case greaterEqual = ">="
        case leftBrace = "{"
        case leftBracket = "["
        case leftParenthesis = "("
        case less = "<"
        case lessEqual = "<="
        case modulo = "%"
        case multiply = "*"
        case notEqual = "!="
        case pipe = "|"
        case power = "**"
        case rightBrace = "}"
        case rightBracket = "]"
        case rightParenthesis = ")"
        case semicolon = ";"
        case subtract = "-"
        case tilde = "~"
    }
    let kind: Kind
    /// Byte offset in the normalised source.
    let offset: Int
    let line: Int
}

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` switched on.
///
/// Line ends become `\n`, and one at the very end of the source is dropped, before anything else.
struct TemplateLexer {
    let template: String
    let source: [UInt8]
    private var position = 0
    private var line = 1
    private var lineOffset = 0
    private var tokens: [TemplateToken] = []
    private var brackets: [UInt8] = []

    init(_ text: String, template: String) {
        self.template = template
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var previous: UInt8 = 0
        for byte in text.utf8 {
            if byte == 0x0D {
                bytes.append(0x0A)
            } else if byte != 0x0A || previous != 0x0D {
                bytes.append(byte)
            }
            previous = byte
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        source = bytes
    }

    mutating func tokenize() throws(TemplateError) -> [TemplateToken] {
        tokens.reserveCapacity(source.count / 6)
        while position < source.count { try lexText() }
        append(.end, at: source.count)
        return tokens
    }

    func error(at offset: Int, found: String, expected: String) -> TemplateError {
        let start = source[..<offset].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        let line = 1 + source[..<offset].count { $0 == 0x0A }
        let column = 1 + source[start..<offset].count { $0 & 0xC0 != 0x80 }
        return .syntax(
            template: template, line: line, column: column, found: found, expected: expected)
    }

    // MARK: Text between tags

    /// Lexes text up to and including the next tag.
    private mutating func lexText() throws(TemplateError) {
        let start = position
        guard let tag = nextTag(from: start) else {
            append(.data(text(start..<source.count)), at: start)
            position = source.count
            return
        }
        let kind = source[tag + 1]
        var next = tag + 2
        let sign = byte(next)
        if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { next += 1 }
        appendText(start..<tag, sign: sign, isVariable: kind == UInt8(ascii: "{"))
        switch kind {
        case UInt8(ascii: "#"):
            try skipComment(from: next, opened: tag)
        case UInt8(ascii: "{"):
            append(.variableBegin, at: tag)
            position = next
            try lexCode(isVariable: true, opened: tag)
        default:
            if let body = rawBody(after: next) {
                try lexRaw(from: body, opened: tag)
            } else {
                append(.blockBegin, at: tag)
                position = next
                try lexCode(isVariable: false, opened: tag)
            }
        }
    }

    private func nextTag(from start: Int) -> Int? {
        var i = start
        while i + 1 < source.count {
            if source[i] == UInt8(ascii: "{") {
                let next = source[i + 1]
                if next == UInt8(ascii: "{") || next == UInt8(ascii: "%")
                    || next == UInt8(ascii: "#")
                {
                    return i
                }
            }
            i += 1
        }
        return nil
    }

    private mutating func appendText(_ range: Range<Int>, sign: UInt8, isVariable: Bool) {
        var end = range.upperBound
        if sign == UInt8(ascii: "-") {
            end = endWithoutTrailingSpace(range)
        } else if sign != UInt8(ascii: "+"), !isVariable {
            let lineStart = source[range].lastIndex(of: 0x0A).map { $0 + 1 }
            let startsLine = range.lowerBound == 0 || source[range.lowerBound - 1] == 0x0A
            if lineStart != nil || startsLine {
                let first = lineStart ?? range.lowerBound
                if endWithoutTrailingSpace(first..<end) == first { end = first }
            }
        }
        if end > range.lowerBound {
            append(.data(text(range.lowerBound..<end)), at: range.lowerBound)
        }
    }

    private mutating func skipComment(from start: Int, opened: Int) throws(TemplateError) {
        var i = start
        while i + 1 < source.count {
            if source[i] == UInt8(ascii: "#"), source[i + 1] == UInt8(ascii: "}") {
                finishTag(end: i + 2, sign: i > start ? source[i - 1] : 0)
                return
            }
            i += 1
        }
        throw error(at: opened, found: "a comment without end", expected: "'#}'")
    }

    /// The place after `{% raw %}` if the tag at hand is one.
    private func rawBody(after start: Int) -> Int? {
        var i = skipSpace(from: start)
        guard source[i...].starts(with: "raw".utf8) else { return nil }
        i = skipSpace(from: i + 3)
        let strips = byte(i) == UInt8(ascii: "-")
        if strips { i += 1 }
        guard byte(i) == UInt8(ascii: "%"), byte(i + 1) == UInt8(ascii: "}") else { return nil }
        return strips ? skipSpace(from: i + 2) : i + 2
    }

    private mutating func lexRaw(from start: Int, opened: Int) throws(TemplateError) {
        var i = start
        while i + 1 < source.count {
            if source[i] == UInt8(ascii: "{"), source[i + 1] == UInt8(ascii: "%") {
                var next = i + 2
                let sign = byte(next)
                if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { next += 1 }
                next = skipSpace(from: next)
                if source[next...].starts(with: "endraw".utf8) {
                    next = skipSpace(from: next + 6)
                    let endSign = byte(next)
                    if endSign == UInt8(ascii: "-") || endSign == UInt8(ascii: "+") { next += 1 }
                    if byte(next) == UInt8(ascii: "%"), byte(next + 1) == UInt8(ascii: "}") {
                        appendText(start..<i, sign: sign, isVariable: false)
                        finishTag(end: next + 2, sign: endSign)
                        return
                    }
                }
            }
            i += 1
        }
        throw error(at: opened, found: "a raw block without end", expected: "'{% endraw %}'")
    }

    /// Moves behind a tag's end and the white space that its sign or `trim_blocks` removes.
    private mutating func finishTag(end: Int, sign: UInt8) {
        if sign == UInt8(ascii: "-") {
            position = skipSpace(from: end)
        } else if sign != UInt8(ascii: "+"), byte(end) == 0x0A {
            position = end + 1
        } else {
            position = end
        }
    }

    // MARK: Inside a tag

    private mutating func lexCode(isVariable: Bool, opened: Int) throws(TemplateError) {
        brackets.removeAll(keepingCapacity: true)
        let closing = isVariable ? UInt8(ascii: "}") : UInt8(ascii: "%")
        while position < source.count {
            let here = position
            let current = source[here]
            if brackets.isEmpty {
                let signed =
                    current == UInt8(ascii: "-") || (current == UInt8(ascii: "+") && !isVariable)
                let at = signed ? here + 1 : here
                if byte(at) == closing, byte(at + 1) == UInt8(ascii: "}") {
                    append(isVariable ? .variableEnd : .blockEnd, at: here)
                    if isVariable {
                        position = signed ? skipSpace(from: at + 2) : at + 2
                    } else {
                        finishTag(end: at + 2, sign: signed ? current : 0)
                    }
                    return
                }
            }
            switch current {
            case 0x20, 0x0A, 0x09:
                position += 1
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"):
                lexName()
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                try lexNumber()
            case UInt8(ascii: "'"), UInt8(ascii: "\""):
                try lexString()
            default:
                let space = skipSpace(from: here)
                if space > here {
                    position = space
                } else if current >= 0x80 {
                    try lexForeignName()
                } else {
                    try lexSymbol()
                }
            }
        }
        throw error(
            at: opened, found: "a tag without end", expected: isVariable ? "'}}'" : "'%}'")
    }

    private mutating func lexName() {
        let start = position
        while isWordByte(byte(position)) { position += 1 }
        append(.name(text(start..<position)), at: start)
    }

    /// A name that begins with a letter outside ASCII.
    private mutating func lexForeignName() throws(TemplateError) {
        let start = position
        let first = scalar(at: start)
        guard first.properties.isXIDStart else {
            throw error(at: start, found: "'\(first)'", expected: "an expression")
        }
        lexName()
    }

    private func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        case 0xC3...:
            true  // letters from U+00C0 on; anything else in a name fails as an unknown name
        case 0x80..<0xC0:
            true
        default: false
        }
    }

    private mutating func lexSymbol() throws(TemplateError) {
        let here = position
        if here + 1 < source.count,
            let symbol = TemplateToken.Symbol(rawValue: text(here..<here + 2))
        {
            append(.symbol(symbol), at: here)
            position += 2
            return
        }
        guard let symbol = TemplateToken.Symbol(rawValue: text(here..<here + 1)) else {
            throw error(at: here, found: "'\(text(here..<here + 1))'", expected: "an expression")
        }
        switch symbol {
        case .leftBrace: brackets.append(UInt8(ascii: "}"))
        case .leftBracket: brackets.append(UInt8(ascii: "]"))
        case .leftParenthesis: brackets.append(UInt8(ascii: ")"))
        case .rightBrace, .rightBracket, .rightParenthesis:
            guard brackets.popLast() == source[here] else {
                throw error(
                    at: here, found: "'\(symbol.rawValue)'", expected: "balanced brackets")
            }
        default: break
        }
        append(.symbol(symbol), at: here)
        position += 1
    }

    // MARK: Pieces

    private mutating func append(_ kind: TemplateToken.Kind, at offset: Int) {
        while lineOffset < offset {
            if source[lineOffset] == 0x0A { line += 1 }
            lineOffset += 1
        }
        tokens.append(TemplateToken(kind: kind, offset: offset, line: line))
    }

    private func byte(_ index: Int) -> UInt8 { index < source.count ? source[index] : 0 }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: source[range], as: UTF8.self)
    }

    /// The Unicode scalar whose first byte is at `index`.
    private func scalar(at index: Int) -> Unicode.Scalar {
        var end = index + 1
        while end < source.count, source[end] & 0xC0 == 0x80 { end += 1 }
        return text(index..<end).unicodeScalars.first ?? " "
    }

    private func skipSpace(from start: Int) -> Int {
        var i = start
        while i < source.count {
            if source[i] < 0x80 {
                guard isPythonSpace(Unicode.Scalar(source[i])) else { break }
                i += 1
            } else {
                let next = scalar(at: i)
                guard isPythonSpace(next) else { break }
                i += next.utf8.count
            }
        }
        return i
    }

    private func endWithoutTrailingSpace(_ range: Range<Int>) -> Int {
        var end = range.upperBound
        while end > range.lowerBound {
            var start = end - 1
            while start > range.lowerBound, source[start] & 0xC0 == 0x80 { start -= 1 }
            guard isPythonSpace(scalar(at: start)) else { break }
            end = start
        }
        return end
    }
}

// MARK: - Literals

extension TemplateLexer {
    private mutating func lexNumber() throws(TemplateError) {
        let start = position
        let afterDot = start > 0 && source[start - 1] == UInt8(ascii: ".")
        if !afterDot, let end = floatEnd(from: start) {
            position = end
            let digits = text(start..<end).filter { $0 != "_" }
            append(.float(Double(digits) ?? .infinity), at: start)
            return
        }
        var (end, radix) = (start, 10)
        if source[start] == UInt8(ascii: "0") {
            let marker = byte(start + 1) | 0x20
            let other = marker == 0x62 ? 2 : marker == 0x6F ? 8 : marker == 0x78 ? 16 : 0
            let tail = other == 0 ? start : digitsEnd(from: start + 2, radix: other, leading: true)
            if tail > start + 2 {
                (end, radix) = (tail, other)
            } else {
                end = digitsEnd(from: start, radix: 1, leading: false)
            }
        } else {
            end = digitsEnd(from: start, radix: 10, leading: false)
        }
        let body = text((radix == 10 ? start : start + 2)..<end).filter { $0 != "_" }
        guard let value = Int(body, radix: radix) else {
            throw error(at: start, found: text(start..<end), expected: "an integer of 64 bits")
        }
        position = end
        append(.integer(value), at: start)
    }

    /// The end of digits with single underscores between them; radix 1 stands for zeros only.
    private func digitsEnd(from start: Int, radix: Int, leading: Bool) -> Int {
        func isDigit(_ byte: UInt8) -> Bool {
            guard let value = Character(Unicode.Scalar(byte)).hexDigitValue else { return false }
            return value < radix
        }
        var i = start
        var allowsUnderscore = leading
        while true {
            if isDigit(byte(i)) {
                i += 1
                allowsUnderscore = true
            } else if allowsUnderscore, byte(i) == UInt8(ascii: "_"), isDigit(byte(i + 1)) {
                i += 1
                allowsUnderscore = false
            } else {
                return i
            }
        }
    }

    private func floatEnd(from start: Int) -> Int? {
        var i = digitsEnd(from: start, radix: 10, leading: false)
        guard i > start else { return nil }
        var isFloat = false
        if byte(i) == UInt8(ascii: ".") {
            let end = digitsEnd(from: i + 1, radix: 10, leading: false)
            if end > i + 1 { (i, isFloat) = (end, true) }
        }
        if byte(i) | 0x20 == UInt8(ascii: "e") {
            let sign = byte(i + 1)
            let signed = sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-")
            let digits = i + (signed ? 2 : 1)
            let end = digitsEnd(from: digits, radix: 10, leading: false)
            if end > digits { (i, isFloat) = (end, true) }
        }
        return isFloat ? i : nil
    }

    private mutating func lexString() throws(TemplateError) {
        let start = position
        let quote = source[start]
        var bytes: [UInt8] = []
        var i = start + 1
        while i < source.count, source[i] != quote {
            if source[i] == UInt8(ascii: "\\") {
                i = try unescape(at: i, into: &bytes)
            } else {
                bytes.append(source[i])
                i += 1
            }
        }
        guard i < source.count else {
            throw error(at: start, found: "a string without end", expected: "a closing quote")
        }
        position = i + 1
        append(.string(String(decoding: bytes, as: UTF8.self)), at: start)
    }

    /// Appends what the escape at `start` stands for and returns the place after it.
    private func unescape(at start: Int, into bytes: inout [UInt8]) throws(TemplateError) -> Int {
        let kind = byte(start + 1)
        switch kind {
        case 0x0A: break
        case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): bytes.append(kind)
        case UInt8(ascii: "a"): bytes.append(7)
        case UInt8(ascii: "b"): bytes.append(8)
        case UInt8(ascii: "f"): bytes.append(12)
        case UInt8(ascii: "n"): bytes.append(10)
        case UInt8(ascii: "r"): bytes.append(13)
        case UInt8(ascii: "t"): bytes.append(9)
        case UInt8(ascii: "v"): bytes.append(11)
        case UInt8(ascii: "x"):
            return try unescapeCode(at: start, digits: 2..<3, radix: 16, into: &bytes)
        case UInt8(ascii: "u"):
            return try unescapeCode(at: start, digits: 4..<5, radix: 16, into: &bytes)
        case UInt8(ascii: "U"):
            return try unescapeCode(at: start, digits: 8..<9, radix: 16, into: &bytes)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            return try unescapeCode(at: start, digits: 1..<4, radix: 8, into: &bytes)
        case UInt8(ascii: "N"):
            throw error(at: start, found: "'\\N'", expected: "\\u with a code point")
        case 0x80...:
            // The reference implementation escapes to ASCII first, so the backslash hits that.
            let foreign = scalar(at: start + 1)
            let digits = String(foreign.value, radix: 16)
            let (mark, width) =
                foreign.value < 0x100 ? ("x", 2) : foreign.value < 0x10000 ? ("u", 4) : ("U", 8)
            let padding = String(repeating: "0", count: width - digits.utf8.count)
            bytes.append(contentsOf: "\\\(mark)\(padding)\(digits)".utf8)
            return start + 1 + foreign.utf8.count
        default:
            bytes.append(UInt8(ascii: "\\"))
            return start + 1
        }
        return start + 2
    }

    private func unescapeCode(
        at start: Int, digits: Range<Int>, radix: Int, into bytes: inout [UInt8]
    ) throws(TemplateError) -> Int {
        var i = radix == 8 ? start + 1 : start + 2
        var (value, count) = (0, 0)
        while count < digits.upperBound - 1,
            let digit = Character(Unicode.Scalar(byte(i))).hexDigitValue, digit < radix
        {
            value = value * radix + digit
            count += 1
            i += 1
        }
        guard count >= digits.lowerBound, value <= 0x10FFFF,
            let scalar = Unicode.Scalar(UInt32(value))
        else {
            throw error(
                at: start, found: "'\(text(start..<i))'", expected: "the code of a character")
        }
        bytes.append(contentsOf: Array(String(Character(scalar)).utf8))
        return i
    }
}

/// Whether Python's `str.isspace` and `\s` hold for a scalar.
func isPythonSpace(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 9...13, 28...32, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F,
        0x3000:
        true
    default: false
    }
}
