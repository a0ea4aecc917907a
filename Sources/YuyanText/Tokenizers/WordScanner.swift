/// The scanners behind `PreTokenizer.Stage`: each returns the end of the piece at `start`.
///
/// `start` is below `limit`, both on scalar boundaries of valid UTF-8. Nothing at or after `limit` is
/// looked at, so that a lookahead sees the end of the piece as the end of the text.
struct WordScanner {
    let limit: Int
    let classes: UnicodeClasses

    private static let wordlike = UnicodeClasses.letter | UnicodeClasses.number
    private static let anyKnown = wordlike | UnicodeClasses.space

    /// The expression of GPT-2.
    func gpt2(_ text: Span<UInt8>, from start: Int) -> Int {
        let byte = text[start]
        var (flags, width) = classAndWidth(text, at: start)
        if byte == UInt8(ascii: "'"), let end = contraction(text, from: start, foldsCase: false) {
            return end
        }
        var index = start
        if byte == UInt8(ascii: " "), start &+ 1 < limit {
            let (next, nextWidth) = classAndWidth(text, at: start &+ 1)
            if next & UnicodeClasses.space == 0 {
                index = start &+ 1
                (flags, width) = (next, nextWidth)
            }
        }
        index &+= width
        if flags & UnicodeClasses.letter != 0 {
            return run(text, of: UnicodeClasses.letter, from: index)
        }
        if flags & UnicodeClasses.number != 0 {
            return run(text, of: UnicodeClasses.number, from: index)
        }
        if flags & UnicodeClasses.space == 0 { return runOfOthers(text, from: index) }
        return spaces(text, from: start).end
    }

    /// The expression of Llama 3, with up to `maximumDigits` numbers in a piece.
    func llama3(_ text: Span<UInt8>, from start: Int, maximumDigits: Int) -> Int {
        let byte = text[start]
        let (flags, width) = classAndWidth(text, at: start)
        if flags & UnicodeClasses.letter != 0 {
            return run(text, of: UnicodeClasses.letter, from: start &+ width)
        }
        if byte == UInt8(ascii: "'"), let end = contraction(text, from: start, foldsCase: true) {
            return end
        }
        if flags & UnicodeClasses.number != 0 {
            return numbers(text, from: start &+ width, atMost: maximumDigits &- 1)
        }
        let isLineEnd = byte == 0x0A || byte == 0x0D
        let after = start &+ width
        if !isLineEnd, after < limit {
            let (next, nextWidth) = classAndWidth(text, at: after)
            if next & UnicodeClasses.letter != 0 {
                return run(text, of: UnicodeClasses.letter, from: after &+ nextWidth)
            }
            if byte == UInt8(ascii: " "), next & Self.anyKnown == 0 {
                return lineEnds(text, from: runOfOthers(text, from: after &+ nextWidth))
            }
        }
        if flags & UnicodeClasses.space == 0 {
            return lineEnds(text, from: runOfOthers(text, from: after))
        }
        let (end, afterLineEnd) = spaces(text, from: start)
        return afterLineEnd ?? end
    }

    /// The `Digits` pre-tokenizer.
    func digits(_ text: Span<UInt8>, from start: Int, individual: Bool) -> Int {
        let (flags, width) = classAndWidth(text, at: start)
        guard flags & UnicodeClasses.digit != 0 else {
            return runOutside(text, UnicodeClasses.digit, from: start &+ width)
        }
        return individual
            ? start &+ width : run(text, of: UnicodeClasses.digit, from: start &+ width)
    }

    /// `\p{N}+` and what is between.
    func numbers(_ text: Span<UInt8>, from start: Int) -> Int {
        let (flags, width) = classAndWidth(text, at: start)
        return flags & UnicodeClasses.number != 0
            ? run(text, of: UnicodeClasses.number, from: start &+ width)
            : runOutside(text, UnicodeClasses.number, from: start &+ width)
    }

    /// `[\p{P}\$\+<=>\^~\|]+` and what is between.
    func punctuation(_ text: Span<UInt8>, from start: Int) -> Int {
        let (isPunctuation, width) = punctuation(text, at: start)
        var index = start &+ width
        while index < limit {
            let (next, width) = punctuation(text, at: index)
            if next != isPunctuation { break }
            index &+= width
        }
        return index
    }

    /// `[0-9][0-9][0-9]` and what is between.
    func digitTriples(_ text: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < limit {
            var digits = 0
            while digits < 3, index &+ digits < limit,
                text[index &+ digits] &- UInt8(ascii: "0") < 10
            {
                digits &+= 1
            }
            if digits == 3 { return index == start ? start &+ 3 : index }
            index &+= max(1, digits)
        }
        return limit
    }

    // MARK: - Parts

    @inline(__always)
    private func classAndWidth(_ text: Span<UInt8>, at index: Int) -> (flags: UInt8, width: Int) {
        let byte = text[index]
        if byte < 0x80 { return (classes[ascii: byte], 1) }
        let (value, width) = scalar(in: text, at: index)
        return (classes[value], width)
    }

    @inline(__always)
    private func run(_ text: Span<UInt8>, of flag: UInt8, from start: Int) -> Int {
        var index = start
        while index < limit {
            let (flags, width) = classAndWidth(text, at: index)
            if flags & flag == 0 { break }
            index &+= width
        }
        return index
    }

    @inline(__always)
    private func runOutside(_ text: Span<UInt8>, _ flag: UInt8, from start: Int) -> Int {
        var index = start
        while index < limit {
            let (flags, width) = classAndWidth(text, at: index)
            if flags & flag != 0 { break }
            index &+= width
        }
        return index
    }

    @inline(__always)
    private func runOfOthers(_ text: Span<UInt8>, from start: Int) -> Int {
        runOutside(text, Self.anyKnown, from: start)
    }

    private func lineEnds(_ text: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < limit, text[index] == 0x0A || text[index] == 0x0D { index &+= 1 }
        return index
    }

    private func numbers(_ text: Span<UInt8>, from start: Int, atMost count: Int) -> Int {
        var index = start
        for _ in 0..<count where index < limit {
            let (flags, width) = classAndWidth(text, at: index)
            if flags & UnicodeClasses.number == 0 { break }
            index &+= width
        }
        return index
    }

    /// `\s+(?!\S)|\s+` at white space, and the end of the last CR or LF of the same run, if any.
    ///
    /// The run gives its last character to the word that follows, unless it is the only one.
    private func spaces(_ text: Span<UInt8>, from start: Int) -> (end: Int, afterLineEnd: Int?) {
        var index = start
        var last = start
        var afterLineEnd: Int?
        while index < limit {
            let (flags, width) = classAndWidth(text, at: index)
            if flags & UnicodeClasses.space == 0 { break }
            if text[index] == 0x0A || text[index] == 0x0D { afterLineEnd = index &+ 1 }
            last = index
            index &+= width
        }
        return (index == limit || last == start ? index : last, afterLineEnd)
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d` after an apostrophe.
    private func contraction(_ text: Span<UInt8>, from start: Int, foldsCase: Bool) -> Int? {
        guard start &+ 1 < limit else { return nil }
        let fold: UInt8 = foldsCase ? 0x20 : 0
        let first = text[start &+ 1] | fold
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return start &+ 2
        case 0xC5 | fold where foldsCase:
            // The long s, U+017F, is an s when case is ignored.
            let isLong = start &+ 2 < limit && text[start &+ 1] == 0xC5 && text[start &+ 2] == 0xBF
            return isLong ? start &+ 3 : nil
        case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
            guard start &+ 2 < limit else { return nil }
            let second = text[start &+ 2] | fold
            let wanted = first == UInt8(ascii: "l") ? first : UInt8(ascii: "e")
            return second == wanted ? start &+ 3 : nil
        default:
            return nil
        }
    }

    private func punctuation(_ text: Span<UInt8>, at index: Int) -> (Bool, Int) {
        let (flags, width) = classAndWidth(text, at: index)
        switch text[index] {
        case UInt8(ascii: "$"), UInt8(ascii: "+"), UInt8(ascii: "<"), UInt8(ascii: "="),
            UInt8(ascii: ">"), UInt8(ascii: "^"), UInt8(ascii: "~"), UInt8(ascii: "|"):
            return (true, width)
        default:
            return (flags & UnicodeClasses.punctuation != 0, width)
        }
    }
}
