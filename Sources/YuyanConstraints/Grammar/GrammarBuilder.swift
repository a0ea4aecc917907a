/// An edge that reads one byte of a range.
struct ByteEdge: Hashable, Sendable {
    var low: UInt8
    var high: UInt8
    var target: Int32
}

/// An edge that reads what a rule describes.
struct RuleCall: Hashable, Sendable {
    var rule: Int32
    var target: Int32
}

/// How characters are written.
enum CharacterEncoding: Sendable {
    /// As UTF-8.
    case plain
    /// As inside a JSON string: escaped where JSON demands it, and only there.
    case jsonString
}

/// An automaton under construction: states with empty steps, grouped in rules.
///
/// The construction is Thompson's ("Regular Expression Search Algorithm", CACM 11, 1968), with calls
/// of rules as a further kind of edge.
struct GrammarBuilder {
    struct State {
        var edges: [ByteEdge] = []
        var empty: [Int32] = []
        var calls: [RuleCall] = []
    }

    struct Rule {
        let entry: Int32
        let accept: Int32
        let name: String
        /// Whether its empty text, if it has one, does not count.
        let isNeverEmpty: Bool
    }

    let limits: ConstraintLimits
    private(set) var states: [State] = []
    private(set) var rules: [Rule] = []
    /// Shared rules by what they mean.
    var namedRules: [String: Int32] = [:]
    /// What error messages call the constraint at hand.
    var place: String

    init(limits: ConstraintLimits, place: String) {
        self.limits = limits
        self.place = place
    }

    mutating func state() throws(ConstraintError) -> Int32 {
        guard states.count < limits.states else {
            throw .tooLarge(place: place, what: "automaton states", limit: limits.states)
        }
        states.append(State())
        return Int32(states.count - 1)
    }

    /// A rule without content.
    mutating func rule(
        _ name: String, isNeverEmpty: Bool = false
    ) throws(ConstraintError) -> Int32 {
        rules.append(
            Rule(
                entry: try state(), accept: try state(), name: name, isNeverEmpty: isNeverEmpty))
        return Int32(rules.count - 1)
    }

    /// A rule that describes a pattern.
    mutating func rule(
        _ name: String, _ pattern: Pattern, _ encoding: CharacterEncoding = .plain
    ) throws(ConstraintError) -> Int32 {
        let rule = try rule(name)
        try define(rule, pattern, encoding)
        return rule
    }

    mutating func define(
        _ rule: Int32, _ pattern: Pattern, _ encoding: CharacterEncoding = .plain
    ) throws(ConstraintError) {
        let rule = rules[Int(rule)]
        try emit(pattern, from: rule.entry, to: rule.accept, encoding)
    }

    func entry(_ rule: Int32) -> Int32 { rules[Int(rule)].entry }
    func accept(_ rule: Int32) -> Int32 { rules[Int(rule)].accept }

    mutating func edge(_ from: Int32, _ bytes: ClosedRange<UInt8>, _ to: Int32) {
        states[Int(from)].edges.append(
            ByteEdge(low: bytes.lowerBound, high: bytes.upperBound, target: to))
    }

    mutating func skip(_ from: Int32, _ to: Int32) {
        if from != to { states[Int(from)].empty.append(to) }
    }

    mutating func call(_ from: Int32, _ rule: Int32, _ to: Int32) {
        states[Int(from)].calls.append(RuleCall(rule: rule, target: to))
    }

    /// Adds a pattern between two states.
    mutating func emit(
        _ pattern: Pattern, from: Int32, to: Int32, _ encoding: CharacterEncoding = .plain
    ) throws(ConstraintError) {
        switch pattern {
        case .empty: skip(from, to)
        case .nothing: break
        case .literal(let bytes): try literal(encoded(bytes, encoding), from: from, to: to)
        case .characters(let set): try characters(set, from: from, to: to, encoding)
        case .rule(let rule): call(from, rule, to)
        case .sequence(let parts):
            var place = from
            for (index, part) in parts.enumerated() {
                let next = index + 1 == parts.count ? to : try state()
                try emit(part, from: place, to: next, encoding)
                place = next
            }
            if parts.isEmpty { skip(from, to) }
        case .choice(let options):
            var literals: [[UInt8]] = []
            for option in options {
                if case .literal(let bytes) = option {
                    literals.append(encoded(bytes, encoding))
                } else {
                    try emit(option, from: from, to: to, encoding)
                }
            }
            try self.literals(literals, from: from, to: to)
        case .repeated(let body, let minimum, let maximum):
            try repeated(body, minimum, maximum, from: from, to: to, encoding)
        }
    }

    mutating func literal(_ bytes: [UInt8], from: Int32, to: Int32) throws(ConstraintError) {
        var place = from
        for (index, byte) in bytes.enumerated() {
            let next = index + 1 == bytes.count ? to : try state()
            edge(place, byte...byte, next)
            place = next
        }
        if bytes.isEmpty { skip(from, to) }
    }

    /// Adds texts that share states where they begin alike, so that long lists stay deterministic.
    mutating func literals(_ texts: [[UInt8]], from: Int32, to: Int32) throws(ConstraintError) {
        var children: [UInt64: Int32] = [:]
        for text in texts {
            guard let last = text.last else {
                skip(from, to)
                continue
            }
            var place = from
            for byte in text.dropLast() {
                let key = UInt64(UInt32(bitPattern: place)) << 8 | UInt64(byte)
                if let next = children[key] {
                    place = next
                } else {
                    let next = try state()
                    edge(place, byte...byte, next)
                    children[key] = next
                    place = next
                }
            }
            edge(place, last...last, to)
        }
    }

    private static let fewCopies = 8

    private mutating func repeated(
        _ body: Pattern, _ minimum: Int, _ maximum: Int?, from: Int32, to: Int32,
        _ encoding: CharacterEncoding
    ) throws(ConstraintError) {
        let copies = maximum ?? minimum
        guard copies <= limits.states else {
            throw .tooLarge(place: place, what: "repetitions", limit: limits.states)
        }
        if let maximum, maximum < minimum { return }
        var body = body
        var minimum = minimum
        let size = body.size(cap: limits.states)
        // Of a body that may be empty each copy could be left out in as many ways as there are
        // copies; the same texts come from any number of copies that are not.
        if body.isNullable == true, copies > Self.fewCopies { minimum = 0 }
        if minimum == 0, copies > Self.fewCopies, body.isNullable != false, maximum != nil {
            let rule = try rule("repetition", isNeverEmpty: true)
            try define(rule, body, encoding)
            body = .rule(rule)
        } else if copies > 1, size > 12, size * copies > 64 {
            // A rule is one step per copy instead of a whole automaton per copy.
            body = .rule(try rule("repetition", body, encoding))
        }
        var place = from
        for _ in 0..<minimum {
            let next = try state()
            try emit(body, from: place, to: next, encoding)
            place = next
        }
        guard let maximum else {
            let loop = try state()
            skip(place, loop)
            try emit(body, from: loop, to: loop, encoding)
            skip(loop, to)
            return
        }
        for _ in minimum..<maximum {
            skip(place, to)
            let next = try state()
            try emit(body, from: place, to: next, encoding)
            place = next
        }
        skip(place, to)
    }
}
