/// Reads grammars in the notation of llama.cpp's `grammars/README.md`.
///
/// Rules are `name ::= alternatives`, each on a line of its own; inside parentheses and after `::=`
/// and `|` a line may end. Characters are code points; `.` is any of them.
struct GBNFParser {
    private let scalars: [UInt32]
    private var position = 0
    private var depth = 0
    private var rules: [String: Int32] = [:]
    private var defined: Set<String> = []
    /// Where each rule was first used.
    private var uses: [(name: String, offset: Int)] = []
    private let limits: ConstraintLimits

    /// Adds all rules of a grammar; returns its rule `root`.
    ///
    /// - Throws: `.grammar` or `.tooLarge`.
    static func parse(
        _ text: String, into builder: inout GrammarBuilder
    ) throws(ConstraintError) -> Int32 {
        guard text.utf8.count <= builder.limits.sourceBytes else {
            throw .tooLarge(
                place: "grammar", what: "bytes", limit: builder.limits.sourceBytes)
        }
        var parser = GBNFParser(text, builder.limits)
        return try parser.parse(into: &builder)
    }

    private init(_ text: String, _ limits: ConstraintLimits) {
        scalars = text.unicodeScalars.map(\.value)
        self.limits = limits
    }

    private mutating func parse(into builder: inout GrammarBuilder) throws(ConstraintError) -> Int32 {
        skipSpace(newlines: true)
        while position < scalars.count {
            let start = position
            let name = try ruleName()
            skipSpace(newlines: false)
            guard take("::=") else { throw fault("no '::='", "name ::= alternatives") }
            skipSpace(newlines: true)
            guard defined.insert(name).inserted else {
                throw fault("a second rule '\(name)'", "one rule of a name", at: start)
            }
            let rule = try reference(name, &builder)
            let pattern = try alternatives(&builder, isNested: false)
            try builder.define(rule, pattern)
            if let next = peek, next != 0x0A, next != 0x0D {
                throw fault("more after the rule", "the end of the line")
            }
            skipSpace(newlines: true)
        }
        for use in uses where !defined.contains(use.name) {
            throw fault("an undefined rule '\(use.name)'", "rules that are defined", at: use.offset)
        }
        guard defined.contains("root"), let root = rules["root"] else {
            throw fault("no rule 'root'", "a grammar with a rule 'root'")
        }
        return root
    }

    private var peek: UInt32? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ text: String) -> Bool {
        let wanted = text.unicodeScalars.map(\.value)
        guard scalars[position...].starts(with: wanted) else { return false }
        position += wanted.count
        return true
    }

    private func fault(
        _ found: String, _ supported: String, at offset: Int? = nil
    ) -> ConstraintError {
        let before = scalars[..<min(offset ?? position, scalars.count)]
        let line = before.count { $0 == 0x0A } + 1
        let column = before.count - (before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
        return .grammar(line: line, column: column, found: found, supported: supported)
    }

    private mutating func skipSpace(newlines: Bool) {
        while let next = peek {
            if next == 0x23 {
                while let next = peek, next != 0x0A, next != 0x0D { position += 1 }
            } else if next == 0x20 || next == 0x09 || newlines && (next == 0x0A || next == 0x0D) {
                position += 1
            } else {
                return
            }
        }
    }

    private static func isNamePart(_ value: UInt32) -> Bool {
        CodePointSet.word.contains(value) && value != 0x5F || value == 0x2D || value == 0x5F
    }

    private mutating func ruleName() throws(ConstraintError) -> String {
        var name = String.UnicodeScalarView()
        while let next = peek, Self.isNamePart(next), let scalar = Unicode.Scalar(next) {
            name.append(scalar)
            position += 1
        }
        guard !name.isEmpty else { throw fault("no name", "the name of a rule") }
        return String(name)
    }

    private mutating func reference(
        _ name: String, _ builder: inout GrammarBuilder
    ) throws(ConstraintError) -> Int32 {
        if let rule = rules[name] { return rule }
        let rule = try builder.rule(name)
        rules[name] = rule
        return rule
    }

    private mutating func alternatives(
        _ builder: inout GrammarBuilder, isNested: Bool
    ) throws(ConstraintError) -> Pattern {
        depth += 1
        defer { depth -= 1 }
        guard depth <= limits.depth else {
            throw .tooLarge(place: "grammar", what: "groups inside groups", limit: limits.depth)
        }
        var options = [try sequence(&builder, isNested: isNested)]
        while take("|") {
            skipSpace(newlines: true)
            options.append(try sequence(&builder, isNested: isNested))
        }
        return options.count == 1 ? options[0] : .choice(options)
    }

    private mutating func sequence(
        _ builder: inout GrammarBuilder, isNested: Bool
    ) throws(ConstraintError) -> Pattern {
        var parts: [Pattern] = []
        while let next = peek, let scalar = Unicode.Scalar(next) {
            let start = position
            let part: Pattern
            switch scalar {
            case "\"":
                position += 1
                part = .text(try literal(from: start))
            case "[":
                position += 1
                part = .characters(try characterClass(from: start))
            case ".":
                position += 1
                part = .characters(.all)
            case "(":
                position += 1
                skipSpace(newlines: true)
                part = try alternatives(&builder, isNested: true)
                guard take(")") else { throw fault("no ')'", "balanced groups", at: start) }
            case "<":
                throw fault("a token", "characters, classes, groups and rules")
            case "*", "+", "?", "{":
                throw fault("a repetition of nothing", "one after a part of a rule")
            case _ where Self.isNamePart(next):
                let name = try ruleName()
                uses.append((name, start))
                part = .rule(try reference(name, &builder))
            default:
                if parts.count == 1 { return parts[0] }
                return parts.isEmpty ? .empty : .sequence(parts)
            }
            parts.append(try repeated(part))
            skipSpace(newlines: isNested)
        }
        if parts.count == 1 { return parts[0] }
        return parts.isEmpty ? .empty : .sequence(parts)
    }

    private mutating func repeated(_ part: Pattern) throws(ConstraintError) -> Pattern {
        var part = part
        var count = 0
        while let next = peek, let scalar = Unicode.Scalar(next) {
            switch scalar {
            case "*": part = .repetition(part, 0, nil)
            case "+": part = .repetition(part, 1, nil)
            case "?": part = .repetition(part, 0, 1)
            case "{":
                let start = position
                position += 1
                let minimum = try number()
                var maximum = minimum
                if take(",") { maximum = try number() }
                let isOpen = scalars[position - 1] == 0x2C
                guard minimum != nil || maximum != nil, peek == 0x7D else {
                    throw fault("a broken repetition", "{m}, {m,} or {m,n}", at: start)
                }
                if let maximum, maximum < minimum ?? 0, !isOpen {
                    throw fault("{\(minimum ?? 0),\(maximum)}", "{m,n} with m <= n", at: start)
                }
                part = .repetition(part, minimum ?? 0, isOpen ? nil : maximum)
            default: return part
            }
            count += 1
            guard count <= limits.depth else {
                throw .tooLarge(place: "grammar", what: "repetitions of one", limit: limits.depth)
            }
            position += 1
        }
        return part
    }

    private mutating func number() throws(ConstraintError) -> Int? {
        var value: Int?
        while let next = peek, (0x30...0x39).contains(next) {
            value = (value ?? 0) * 10 + Int(next - 0x30)
            guard let value, value <= limits.states else {
                throw .tooLarge(place: "grammar", what: "repetitions", limit: limits.states)
            }
            position += 1
        }
        return value
    }

    private mutating func literal(from start: Int) throws(ConstraintError) -> String {
        var text = String.UnicodeScalarView()
        while let next = peek, next != 0x22, next != 0x0A {
            guard let scalar = Unicode.Scalar(try character()) else {
                throw fault("half of a surrogate pair", "characters of Unicode")
            }
            text.append(scalar)
        }
        guard take("\"") else { throw fault("a text without end", "\"...\"", at: start) }
        return String(text)
    }

    private mutating func characterClass(from start: Int) throws(ConstraintError) -> CodePointSet {
        let isNegated = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while let next = peek, next != 0x5D, next != 0x0A {
            let place = position
            let low = try character()
            guard peek == 0x2D, position + 1 < scalars.count, scalars[position + 1] != 0x5D else {
                ranges.append(low...low)
                continue
            }
            position += 1
            let high = try character()
            guard low <= high else {
                throw fault("a range that runs backwards", "from low to high", at: place)
            }
            ranges.append(low...high)
        }
        guard take("]") else { throw fault("a class without ']'", "[...]", at: start) }
        let set = CodePointSet(ranges)
        return isNegated ? set.inverted : set
    }

    /// One character of a text or class, by an escape or as it is.
    private mutating func character() throws(ConstraintError) -> UInt32 {
        guard let next = peek else { throw fault("the end", "a character") }
        position += 1
        guard next == 0x5C else { return next }
        let start = position - 1
        guard let letter = peek, let scalar = Unicode.Scalar(letter) else {
            throw fault("a backslash at the end", "an escape", at: start)
        }
        position += 1
        switch scalar {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "x": return try hex(2, from: start)
        case "u": return try hex(4, from: start)
        case "U": return try hex(8, from: start)
        case "\\", "\"", "[", "]", "-", "^", "/", "'": return letter
        default:
            throw fault(
                "\\\(scalar)", "\\n \\r \\t \\x \\u \\U \\\\ \\\" \\[ \\]", at: start)
        }
    }

    private mutating func hex(_ count: Int, from start: Int) throws(ConstraintError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let next = peek, next < 0x80, let scalar = Unicode.Scalar(next),
                let digit = Character(scalar).hexDigitValue
            else { throw fault("too few hexadecimal digits", "\(count)", at: start) }
            value = value &<< 4 | UInt32(digit)
            position += 1
        }
        guard Unicode.Scalar(value) != nil else {
            throw fault("no character of Unicode", "code points", at: start)
        }
        return value
    }
}
