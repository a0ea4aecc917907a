import YuyanConstraints

/// A regular expression with at most one group that captures, run without backtracking.
///
/// The dialect is that of constraints: no lookaround, no back references. The expression is cut into
/// what stands before, in and behind the capturing group; each part is an automaton. Of all matches the
/// leftmost counts, and in it each part takes as many characters as it can, or as few as it can if it
/// holds a lazy quantifier. That is what backtracking engines find too unless alternatives or mixed
/// quantifiers make the order of trying matter.
struct CapturePattern: Sendable {
    /// What the expression is cut into.
    private struct Part: Sendable {
        /// Nil reads nothing.
        let automaton: ByteAutomaton?
        let isLazy: Bool

        func ends(_ bytes: ArraySlice<UInt8>, _ budget: inout ByteAutomaton.Budget) throws -> [Int]
        {
            guard let automaton else { return [bytes.startIndex] }
            let ends = try automaton.ends(bytes, &budget)
            return isLazy ? ends : ends.reversed()
        }
    }

    private let before: Part
    private let group: Part?
    private let after: Part
    private let whole: ByteAutomaton
    private let somewhere: ByteAutomaton
    private let isAnchoredAtStart: Bool
    private let isAnchoredAtEnd: Bool

    /// - Parameter matchesWhole: Whether the whole text must match.
    /// - Throws: `RewardFault` or `ConstraintError` if the expression cannot be read.
    init(_ pattern: String, matchesWhole: Bool) throws {
        let cut = try PatternCut(pattern)
        isAnchoredAtStart = cut.isAnchoredAtStart || matchesWhole
        isAnchoredAtEnd = cut.isAnchoredAtEnd || matchesWhole
        func automaton(_ text: String) throws -> ByteAutomaton {
            try ByteAutomaton(.regex(cut.flags + text))
        }
        func part(_ text: String) throws -> Part {
            Part(
                automaton: text.isEmpty ? nil : try automaton("(?:\(text))"),
                isLazy: Self.isLazy(text))
        }
        before = try part(cut.before)
        group = try cut.group.map(part)
        after = try part(cut.after)
        // Alternatives at the top stay inside their brackets.
        let body = cut.before + (cut.group.map { "(?:\($0))" } ?? "") + cut.after
        whole = try automaton("(?:\(body))")
        let rest = "[\\s\\S]*"
        somewhere = try automaton(
            (isAnchoredAtStart ? "" : rest) + "(?:\(body))" + (isAnchoredAtEnd ? "" : rest))
    }

    /// A match: what the group captured, or all of it without a group.
    struct Match {
        let range: Range<Int>
        let captured: Range<Int>
    }

    /// The first or last match of a text; nil if there is none.
    ///
    /// - Throws: If the search takes too many steps.
    func match(in bytes: [UInt8], takesLast: Bool) throws -> Match? {
        var budget = ByteAutomaton.Budget()
        guard try somewhere.accepts(bytes[...], &budget) else { return nil }
        var start = 0
        var found: Match?
        while start <= bytes.count {
            guard let match = try match(from: start, in: bytes, &budget) else { break }
            found = match
            guard takesLast, !isAnchoredAtStart else { break }
            start = max(match.range.upperBound, match.range.lowerBound + 1)
        }
        return found
    }

    private func match(
        from first: Int, in bytes: [UInt8], _ budget: inout ByteAutomaton.Budget
    ) throws -> Match? {
        for start in first...bytes.count {
            guard start == 0 || !isAnchoredAtStart else { return nil }
            // A character's later bytes begin nothing.
            guard start == bytes.count || bytes[start] & 0xC0 != 0x80 else { continue }
            let possible = try whole.ends(bytes[start...], &budget)
            let reaches = isAnchoredAtEnd ? possible.last == bytes.count : !possible.isEmpty
            guard reaches else { continue }
            if let match = try split(from: start, in: bytes, &budget) { return match }
        }
        return nil
    }

    private func split(
        from start: Int, in bytes: [UInt8], _ budget: inout ByteAutomaton.Budget
    ) throws -> Match? {
        for open in try before.ends(bytes[start...], &budget) {
            let closes = try group?.ends(bytes[open...], &budget) ?? [open]
            for close in closes {
                let ends = try after.ends(bytes[close...], &budget)
                let last = isAnchoredAtEnd ? ends.first { $0 == bytes.count } : ends.first
                guard let end = last else { continue }
                let range = start..<end
                return Match(range: range, captured: group == nil ? range : open..<close)
            }
        }
        return nil
    }

    private static func isLazy(_ text: String) -> Bool {
        ["*?", "+?", "??", "}?"].contains { text.contains($0) }
    }
}

/// The texts before, in and behind the one capturing group of an expression.
private struct PatternCut {
    var flags = ""
    var before = ""
    var group: String?
    var after = ""
    var isAnchoredAtStart = false
    var isAnchoredAtEnd = false

    init(_ pattern: String) throws {
        var body = Array(pattern.unicodeScalars)
        if pattern.hasPrefix("(?i)") || pattern.hasPrefix("(?s)") {
            flags = String(pattern.prefix(4))
            body.removeFirst(4)
        }
        var (depth, isEscaped, isClass) = (0, false, false)
        var (open, close): (Int?, Int?) = (nil, nil)
        var hasChoice = false
        for (index, scalar) in body.enumerated() {
            if isEscaped {
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else if isClass {
                if scalar == "]" { isClass = false }
            } else if scalar == "[" {
                isClass = true
            } else if scalar == "(" {
                if index + 1 >= body.count || body[index + 1] != "?" {
                    guard open == nil, depth == 0 else {
                        throw RewardFault(
                            "'\(pattern)' has several capturing groups or one inside another; "
                                + "leave one, and write the others as (?:…)")
                    }
                    open = index
                }
                depth += 1
            } else if scalar == ")" {
                depth -= 1
                if depth == 0, open != nil, close == nil { close = index }
            } else if scalar == "|", depth == 0 {
                hasChoice = true
            }
        }
        guard let open, let close else {
            (before, isAnchoredAtStart, isAnchoredAtEnd) = Self.anchors(
                body, isChoice: hasChoice)
            return
        }
        let next = close + 1 < body.count ? body[close + 1] : " "
        guard !hasChoice, !"*+?{".unicodeScalars.contains(next) else {
            throw RewardFault(
                "'\(pattern)' has its capturing group in an alternative or repeats it; enclose "
                    + "alternatives in (?:…) and repeat inside the group")
        }
        (before, isAnchoredAtStart, _) = Self.anchors(Array(body[..<open]), isChoice: false)
        group = Self.text(body[(open + 1)..<close])
        (after, _, isAnchoredAtEnd) = Self.anchors(Array(body[(close + 1)...]), isChoice: false)
    }

    /// An expression without anchors at its ends, and which it had.
    private static func anchors(
        _ scalars: [Unicode.Scalar], isChoice: Bool
    ) -> (text: String, atStart: Bool, atEnd: Bool) {
        // Anchors of one alternative are not those of the others: left for the parser to judge.
        guard !isChoice else { return (text(scalars[...]), false, false) }
        var rest = scalars[...]
        var (atStart, atEnd) = (false, false)
        while rest.first == "^" {
            rest.removeFirst()
            atStart = true
        }
        if rest.starts(with: ["\\", "A"]) {
            rest.removeFirst(2)
            atStart = true
        }
        func isEscaped(_ index: Int) -> Bool {
            rest[..<index].reversed().prefix { $0 == "\\" }.count % 2 == 1
        }
        while let last = rest.indices.last, rest[last] == "$", !isEscaped(last) {
            rest.removeLast()
            atEnd = true
        }
        if let last = rest.indices.last, rest[last] == "Z" || rest[last] == "z", isEscaped(last) {
            rest.removeLast(2)
            atEnd = true
        }
        return (text(rest), atStart, atEnd)
    }

    private static func text(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        return text
    }
}
