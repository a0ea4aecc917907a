/// Reads regular expressions in the usual notation.
///
/// `\d`, `\w`, `\s` and ignoring case know ASCII only; `.` is any character but a line feed. What no
/// regular language can say (lookaround, back references) or a mask cannot use (`\b`) is refused.
/// Groups may be named or not; quantifiers may be lazy, which changes nothing about what matches.
struct RegexParser {
    /// One alternative of the whole expression, and whether it is anchored.
    struct Branch {
        var pattern: Pattern
        var isAnchoredAtStart = false
        var isAnchoredAtEnd = false
    }

    private let scalars: [UInt32]
    private var position = 0
    private var depth = 0
    private var ignoresCase = false
    private var dotIsAll = false
    private let limits: ConstraintLimits

    /// The alternatives of an expression.
    ///
    /// - Throws: `.regex` or `.tooLarge`.
    static func parse(
        _ text: String, _ limits: ConstraintLimits
    ) throws(ConstraintError) -> [Branch] {
        guard text.utf8.count <= limits.sourceBytes else {
            throw .tooLarge(
                place: "regular expression", what: "bytes", limit: limits.sourceBytes)
        }
        var parser = RegexParser(text, limits)
        return try parser.branches()
    }

    /// A pattern for texts that the expression matches as a whole.
    static func whole(
        _ text: String, _ limits: ConstraintLimits
    ) throws(ConstraintError) -> Pattern {
        .choice(try parse(text, limits).map(\.pattern))
    }

    /// A pattern for texts that contain a match, as JSON schemas have it.
    static func part(
        _ text: String, _ limits: ConstraintLimits
    ) throws(ConstraintError) -> Pattern {
        let rest = Pattern.many(.characters(.all))
        return .choice(
            try parse(text, limits).map { branch in
                .sequence([
                    branch.isAnchoredAtStart ? .empty : rest, branch.pattern,
                    branch.isAnchoredAtEnd ? .empty : rest,
                ])
            })
    }

    private init(_ text: String, _ limits: ConstraintLimits) {
        scalars = text.unicodeScalars.map(\.value)
        self.limits = limits
    }

    private var peek: UInt32? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == character.value else { return false }
        position += 1
        return true
    }

    private func looksAt(_ text: String) -> Bool {
        let wanted = text.unicodeScalars.map(\.value)
        return scalars[position...].starts(with: wanted)
    }

    private func fault(_ found: String, _ supported: String, at offset: Int? = nil)
        -> ConstraintError
    {
        .regex(offset: offset ?? position, found: found, supported: supported)
    }

    private mutating func branches() throws(ConstraintError) -> [Branch] {
        if looksAt("(?i)") {
            ignoresCase = true
            position += 4
        } else if looksAt("(?s)") {
            dotIsAll = true
            position += 4
        }
        var result: [Branch] = []
        repeat {
            var branch = Branch(pattern: .empty)
            while take("^") { branch.isAnchoredAtStart = true }
            if looksAt("\\A") {
                branch.isAnchoredAtStart = true
                position += 2
            }
            branch.pattern = try sequence()
            while take("$") { branch.isAnchoredAtEnd = true }
            if looksAt("\\Z") || looksAt("\\z") {
                branch.isAnchoredAtEnd = true
                position += 2
            }
            if let next = peek, next != UInt32(UInt8(ascii: "|")) {
                throw fault(
                    next == UInt32(UInt8(ascii: ")")) ? "')' without '('" : "text after '$'",
                    "balanced groups, and anchors at the ends")
            }
            result.append(branch)
        } while take("|")
        return result
    }

    private mutating func alternatives() throws(ConstraintError) -> Pattern {
        var options = [try sequence()]
        while take("|") { options.append(try sequence()) }
        return options.count == 1 ? options[0] : .choice(options)
    }

    private mutating func sequence() throws(ConstraintError) -> Pattern {
        var parts: [Pattern] = []
        while let next = peek, let scalar = Unicode.Scalar(next), !"|)$".unicodeScalars.contains(scalar)
        {
            if looksAt("\\Z") || looksAt("\\z") { break }
            let start = position
            let atom = try atom()
            let body = try quantified(atom, from: start)
            // Neighbouring letters become one literal, which builds smaller automata.
            if case .literal(let tail) = body, case .literal(let head)? = parts.last {
                parts[parts.count - 1] = .literal(head + tail)
            } else {
                parts.append(body)
            }
        }
        return parts.count == 1 ? parts[0] : parts.isEmpty ? .empty : .sequence(parts)
    }

    private mutating func quantified(
        _ atom: Pattern, from start: Int
    ) throws(ConstraintError) -> Pattern {
        var body = atom
        var count = 0
        while let (minimum, maximum) = try quantifier() {
            count += 1
            guard count == 1 else {
                throw fault("a quantifier after a quantifier", "one, or a group around the first")
            }
            if let maximum, maximum < minimum {
                throw fault("{\(minimum),\(maximum)}", "{m,n} with m <= n", at: start)
            }
            body = .repetition(body, minimum, maximum)
            if !take("?"), peek == UInt32(UInt8(ascii: "+")) {
                throw fault("a possessive quantifier", "greedy and lazy ones")
            }
        }
        return body
    }

    private mutating func quantifier() throws(ConstraintError) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard looksAt("{") else { return nil }
        // A brace that begins no quantifier is a letter.
        let start = position
        position += 1
        let minimum = try number()
        var maximum = minimum
        if take(",") { maximum = try number() }
        let isOpen = scalars[position - 1] == UInt32(UInt8(ascii: ","))
        guard minimum != nil || (isOpen ? false : maximum != nil), take("}") else {
            position = start
            return nil
        }
        return (minimum ?? 0, isOpen ? nil : maximum)
    }

    private mutating func number() throws(ConstraintError) -> Int? {
        var value: Int?
        while let next = peek, (0x30...0x39).contains(next) {
            let (product, overflow) = (value ?? 0).multipliedReportingOverflow(by: 10)
            guard !overflow, product < Int.max - 9 else {
                throw .tooLarge(
                    place: "regular expression at offset \(position)", what: "repetitions",
                    limit: limits.states)
            }
            value = product + Int(next - 0x30)
            position += 1
        }
        return value
    }

    private mutating func atom() throws(ConstraintError) -> Pattern {
        let start = position
        guard let next = peek, let scalar = Unicode.Scalar(next) else { return .empty }
        position += 1
        switch scalar {
        case "(": return try group(from: start)
        case "[": return .characters(cased(try characterClass(from: start)))
        case ".":
            return .characters(dotIsAll ? .all : CodePointSet(0x0A).inverted)
        case "\\": return try escape(from: start)
        case "*", "+", "?":
            throw fault("a quantifier without anything to repeat", "one after an atom", at: start)
        case "^":
            throw fault("'^' inside the expression", "anchors at the ends", at: start)
        case "{":
            position = start
            if try quantifier() != nil {
                throw fault("a quantifier without anything to repeat", "one after an atom", at: start)
            }
            position = start + 1
            return literal(next)
        default: return literal(next)
        }
    }

    private func cased(_ set: CodePointSet) -> CodePointSet {
        ignoresCase ? set.ignoringCase : set
    }

    private func literal(_ character: UInt32) -> Pattern {
        let set = cased(CodePointSet(character))
        guard set == CodePointSet(character), let scalar = Unicode.Scalar(character) else {
            return .characters(set)
        }
        return .text(String(scalar))
    }

    private mutating func group(from start: Int) throws(ConstraintError) -> Pattern {
        depth += 1
        defer { depth -= 1 }
        guard depth <= limits.depth else {
            throw .tooLarge(
                place: "regular expression at offset \(start)", what: "groups inside groups",
                limit: limits.depth)
        }
        if take("?") {
            if take("P") { _ = peek }
            if take(":") {
                // Groups are not captured anyway.
            } else if looksAt("<"), !looksAt("<="), !looksAt("<!") {
                while let next = peek, next != UInt32(UInt8(ascii: ">")) { position += 1 }
                guard take(">") else { throw fault("a name without '>'", "(?<name>...)") }
            } else {
                throw fault(
                    "an extension of groups", "(...), (?:...), (?<name>...); no lookaround",
                    at: start)
            }
        }
        let body = try alternatives()
        guard take(")") else {
            if peek != nil { throw fault("'$' inside the expression", "anchors at the ends") }
            throw fault("a group without ')'", "balanced groups", at: start)
        }
        // A literal in a group must not grow together with what follows before its quantifier.
        if case .literal = body { return .sequence([body]) }
        return body
    }
}

// MARK: - Escapes and classes

extension RegexParser {
    private mutating func escape(from start: Int) throws(ConstraintError) -> Pattern {
        if let next = peek, let scalar = Unicode.Scalar(next) {
            switch scalar {
            case "b", "B", "G", "K":
                throw fault("\\\(scalar)", "escapes that match a character", at: start)
            case "1"..."9", "k", "g":
                throw fault("a back reference", "what a regular language can say", at: start)
            case "p", "P", "N", "X", "R":
                throw fault("\\\(scalar)", "\\d \\w \\s and [...]", at: start)
            default: break
            }
        }
        if let set = try escapedSet(from: start) { return .characters(cased(set)) }
        return literal(try escapedCharacter(from: start))
    }

    /// The set of a class escape whose backslash has been read, if it is one.
    private mutating func escapedSet(from start: Int) throws(ConstraintError) -> CodePointSet? {
        guard let next = peek, let scalar = Unicode.Scalar(next) else { return nil }
        let set: CodePointSet
        switch scalar {
        case "d": set = .digits
        case "D": set = CodePointSet.digits.inverted
        case "w": set = .word
        case "W": set = CodePointSet.word.inverted
        case "s": set = .space
        case "S": set = CodePointSet.space.inverted
        default: return nil
        }
        position += 1
        return set
    }

    /// The character of an escape whose backslash has been read.
    private mutating func escapedCharacter(from start: Int) throws(ConstraintError) -> UInt32 {
        guard let next = peek, let scalar = Unicode.Scalar(next) else {
            throw fault("a backslash at the end", "an escape", at: start)
        }
        position += 1
        switch scalar {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "f": return 0x0C
        case "v": return 0x0B
        case "a": return 0x07
        case "0": return 0
        case "x": return try hex(2, from: start)
        case "u":
            if take("{") {
                let value = try hex(nil, from: start)
                guard take("}") else { throw fault("\\u{ without }", "\\u{...}", at: start) }
                return value
            }
            let unit = try hex(4, from: start)
            if (0xD800...0xDBFF).contains(unit), looksAt("\\u") {
                position += 2
                let low = try hex(4, from: start)
                guard (0xDC00...0xDFFF).contains(low) else {
                    throw fault("half of a surrogate pair", "both halves", at: start)
                }
                return 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
            }
            return try scalarValue(unit, from: start)
        case "U": return try hex(8, from: start)
        case "A"..."Z", "a"..."z":
            throw fault("\\\(scalar)", "\\d \\w \\s \\n \\r \\t \\f \\v \\x \\u", at: start)
        default: return next
        }
    }

    private mutating func hex(_ count: Int?, from start: Int) throws(ConstraintError) -> UInt32 {
        var value: UInt32 = 0
        var digits = 0
        while digits < count ?? 8, let next = peek, let scalar = Unicode.Scalar(next),
            let digit = Character(scalar).hexDigitValue, next < 0x80
        {
            value = value &<< 4 | UInt32(digit)
            digits += 1
            position += 1
        }
        guard digits > 0, digits == count ?? digits else {
            throw fault("too few hexadecimal digits", "\\xHH, \\uHHHH or \\u{H...}", at: start)
        }
        return count == 4 ? value : try scalarValue(value, from: start)
    }

    private func scalarValue(_ value: UInt32, from start: Int) throws(ConstraintError) -> UInt32 {
        guard Unicode.Scalar(value) != nil else {
            throw fault(
                "U+\(String(value, radix: 16, uppercase: true))", "a character of Unicode",
                at: start)
        }
        return value
    }

    /// A class whose bracket has been read.
    private mutating func characterClass(from start: Int) throws(ConstraintError) -> CodePointSet {
        let isNegated = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        var isFirst = true
        while let next = peek, isFirst || next != UInt32(UInt8(ascii: "]")) {
            isFirst = false
            let place = position
            if looksAt("[:") || looksAt("&&") || looksAt("[[") {
                throw fault("a set operation or named class", "characters and ranges", at: place)
            }
            guard let low = try classMember(&ranges) else { continue }
            guard looksAt("-"), position + 1 < scalars.count,
                scalars[position + 1] != UInt32(UInt8(ascii: "]"))
            else {
                ranges.append(low...low)
                continue
            }
            position += 1
            guard let high = try classMember(&ranges), low <= high else {
                throw fault("a range that runs backwards", "from low to high", at: place)
            }
            ranges.append(low...high)
        }
        guard take("]") else { throw fault("a class without ']'", "[...]", at: start) }
        let set = CodePointSet(ranges)
        return isNegated ? cased(set).inverted : set
    }

    /// A character of a class, or `nil` after a set was added.
    private mutating func classMember(
        _ ranges: inout [ClosedRange<UInt32>]
    ) throws(ConstraintError) -> UInt32? {
        let place = position
        guard let next = peek else { throw fault("a class without ']'", "[...]") }
        position += 1
        guard next == 0x5C else { return next }
        if let set = try escapedSet(from: place) {
            ranges += set.ranges
            return nil
        }
        if take("b") { return 0x08 }
        return try escapedCharacter(from: place)
    }
}
