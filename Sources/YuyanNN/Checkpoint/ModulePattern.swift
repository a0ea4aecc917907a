/// A regular expression over module paths, as `adapter_config.json` holds them.
///
/// The part of Python's syntax that says something about paths: literals, `.`, classes, groups,
/// alternatives, repetition and anchors. All ways to match are followed at once, a bit for each
/// place in the path, so that no pattern takes exponential time.
struct ModulePattern: Sendable {
    /// Why a pattern cannot be read or followed.
    enum Fault: Error, Hashable {
        case syntax(String)
        /// Repetitions nested so that following them would take too long.
        case tooComplex
    }

    private indirect enum Node: Sendable {
        case byte(ByteClass)
        case sequence([Node])
        case choice([Node])
        case repeated(Node, atLeast: Int, atMost: Int?)
        case start
        case end
    }

    /// The longest path, in bytes: one bit for each place between them.
    static let longestPath = 127
    private static let longestPattern = 4096
    private static let deepest = 32
    private static let mostSteps = 100_000
    private let root: Node

    /// - Throws: `.syntax` for what Python refuses and for lookaround, backreferences and flags.
    init(_ text: String) throws(Fault) {
        var parser = Parser(bytes: Array(text.utf8))
        guard parser.bytes.count <= Self.longestPattern else {
            throw .syntax("longer than \(Self.longestPattern) bytes")
        }
        root = try parser.choice(depth: 0)
        guard parser.isAtEnd else { throw .syntax("')' without '('") }
    }

    /// Whether the whole path matches: Python's `re.fullmatch`.
    func matches(_ path: String) throws(Fault) -> Bool {
        try matches(Array(path.utf8), from: 1)
    }

    /// Whether the path or what follows one of its dots matches, the rule of `rank_pattern`.
    func matchesEnd(of path: String) throws(Fault) -> Bool {
        let bytes = Array(path.utf8)
        var starts: UInt128 = 1
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: ".") {
            starts |= 2 << UInt128(index)
        }
        return try matches(bytes, from: starts)
    }

    private func matches(_ path: [UInt8], from starts: UInt128) throws(Fault) -> Bool {
        precondition(path.count <= Self.longestPath, "a module path of \(path.count) bytes")
        var steps = 0
        let ends = try Self.follow(root, from: starts, path, &steps)
        return ends & (1 << UInt128(path.count)) != 0
    }

    /// The places where `node` may end when it begins at one of `places`.
    private static func follow(
        _ node: Node, from places: UInt128, _ path: [UInt8], _ steps: inout Int
    ) throws(Fault) -> UInt128 {
        steps += 1
        guard steps <= mostSteps else { throw .tooComplex }
        switch node {
        case .byte(let expected):
            var ends: UInt128 = 0
            for (index, byte) in path.enumerated() where expected.contains(byte) {
                ends |= 1 << UInt128(index)
            }
            return (places & ends) << 1
        case .sequence(let parts):
            var places = places
            for part in parts where places != 0 {
                places = try follow(part, from: places, path, &steps)
            }
            return places
        case .choice(let parts):
            var ends: UInt128 = 0
            for part in parts { ends |= try follow(part, from: places, path, &steps) }
            return ends
        case .repeated(let part, let atLeast, let atMost):
            var places = places
            for _ in 0..<atLeast where places != 0 {
                places = try follow(part, from: places, path, &steps)
            }
            var (ends, fresh) = (places, places)
            var count = atLeast
            while fresh != 0, count < atMost ?? .max {
                fresh = try follow(part, from: fresh, path, &steps) & ~ends
                ends |= fresh
                count += 1
            }
            return ends
        case .start: return places & 1
        case .end: return places & (1 << UInt128(path.count))
        }
    }

    /// A set of bytes; paths are ASCII.
    private struct ByteClass: Sendable {
        var low: UInt128 = 0
        var isNegated = false

        static let any = ByteClass(isNegated: true)

        mutating func insert(_ bytes: ClosedRange<UInt8>) {
            for byte in bytes where byte < 128 { low |= 1 << UInt128(byte) }
        }

        func contains(_ byte: UInt8) -> Bool {
            (byte < 128 && low & (1 << UInt128(byte)) != 0) != isNegated
        }

        /// `\d`, `\w`, `\s`, or nil for another letter.
        init?(escape: UInt8) {
            switch escape {
            case UInt8(ascii: "d"): insert(UInt8(ascii: "0")...UInt8(ascii: "9"))
            case UInt8(ascii: "w"):
                insert(UInt8(ascii: "0")...UInt8(ascii: "9"))
                insert(UInt8(ascii: "a")...UInt8(ascii: "z"))
                insert(UInt8(ascii: "A")...UInt8(ascii: "Z"))
                insert(UInt8(ascii: "_")...UInt8(ascii: "_"))
            case UInt8(ascii: "s"):
                insert(9...13)
                insert(32...32)
            default: return nil
            }
        }

        init(isNegated: Bool = false) { self.isNegated = isNegated }

        init(_ byte: UInt8) { insert(byte...byte) }
    }

    private struct Parser {
        let bytes: [UInt8]
        var place = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { place == bytes.count }

        private func comes(_ text: StaticString) -> Bool {
            bytes[place...].starts(
                with: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }

        private mutating func take(_ text: StaticString) -> Bool {
            guard comes(text) else { return false }
            place += text.utf8CodeUnitCount
            return true
        }

        mutating func choice(depth: Int) throws(Fault) -> Node {
            guard depth <= ModulePattern.deepest else {
                throw .syntax("groups more than \(ModulePattern.deepest) deep")
            }
            var parts = [try sequence(depth: depth)]
            while take("|") { parts.append(try sequence(depth: depth)) }
            return parts.count == 1 ? parts[0] : .choice(parts)
        }

        private mutating func sequence(depth: Int) throws(Fault) -> Node {
            var parts: [Node] = []
            while !isAtEnd, !comes("|"), !comes(")") {
                parts.append(try repeated(atom(depth: depth)))
            }
            return .sequence(parts)
        }

        private mutating func atom(depth: Int) throws(Fault) -> Node {
            if take("(") { return try group(depth: depth) }
            if take("[") { return .byte(try byteClass()) }
            if take(".") { return .byte(.any) }
            if take("^") { return .start }
            if take("$") { return .end }
            if take("\\") { return .byte(try escape()) }
            let byte = bytes[place]
            guard !"*+?".utf8.contains(byte) else {
                throw .syntax("nothing before '\(Character(Unicode.Scalar(byte)))'")
            }
            place += 1
            return .byte(ByteClass(byte))
        }

        private mutating func group(depth: Int) throws(Fault) -> Node {
            if take("?P<") {
                guard let end = bytes[place...].firstIndex(of: UInt8(ascii: ">")) else {
                    throw .syntax("a group's name without '>'")
                }
                place = end + 1
            } else if !take("?:"), comes("?") {
                throw .syntax("a group that begins with '(?'")
            }
            let inner = try choice(depth: depth + 1)
            guard take(")") else { throw .syntax("'(' without ')'") }
            return inner
        }

        private mutating func escape() throws(Fault) -> ByteClass {
            guard !isAtEnd else { throw .syntax("a backslash at the end") }
            let byte = bytes[place]
            place += 1
            if let known = ByteClass(escape: byte) { return known }
            if var known = ByteClass(escape: byte | 0x20) {
                known.isNegated = true
                return known
            }
            let isLetterOrDigit = ByteClass(escape: UInt8(ascii: "w"))?.contains(byte) ?? false
            guard !isLetterOrDigit || byte == UInt8(ascii: "_") else {
                throw .syntax("the escape '\\\(Character(Unicode.Scalar(byte)))'")
            }
            return ByteClass(byte)
        }

        private mutating func byteClass() throws(Fault) -> ByteClass {
            var result = ByteClass(isNegated: take("^"))
            var isFirst = true
            while isFirst || !comes("]") {
                guard !isAtEnd else { throw .syntax("'[' without ']'") }
                isFirst = false
                var lower = bytes[place]
                place += 1
                if lower == UInt8(ascii: "\\") {
                    let escaped = try escape()
                    guard !isAtEnd, escaped.low.nonzeroBitCount == 1, !escaped.isNegated else {
                        guard !escaped.isNegated else { throw .syntax("a negation inside '[]'") }
                        result.low |= escaped.low
                        continue
                    }
                    lower = UInt8(escaped.low.trailingZeroBitCount)
                }
                guard comes("-"), place + 1 < bytes.count, bytes[place + 1] != UInt8(ascii: "]")
                else {
                    result.insert(lower...lower)
                    continue
                }
                let upper = bytes[place + 1]
                place += 2
                guard lower <= upper, upper != UInt8(ascii: "\\") else {
                    throw .syntax("a range in '[]'")
                }
                result.insert(lower...upper)
            }
            place += 1
            return result
        }

        private mutating func repeated(_ node: Node) throws(Fault) -> Node {
            let result: Node
            if take("*") {
                result = .repeated(node, atLeast: 0, atMost: nil)
            } else if take("+") {
                result = .repeated(node, atLeast: 1, atMost: nil)
            } else if take("?") {
                result = .repeated(node, atLeast: 0, atMost: 1)
            } else if let (atLeast, atMost) = try counts() {
                result = .repeated(node, atLeast: atLeast, atMost: atMost)
            } else {
                return node
            }
            // Lazy repetition finds the same matches, only in another order.
            _ = take("?")
            guard isAtEnd || !"*+?{".utf8.contains(bytes[place]) else {
                throw .syntax("a repetition of a repetition")
            }
            return result
        }

        private mutating func counts() throws(Fault) -> (Int, Int?)? {
            guard comes("{"), let end = bytes[place...].firstIndex(of: UInt8(ascii: "}")) else {
                return nil
            }
            let parts = bytes[place + 1..<end].split(
                separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            let numbers = parts.map { Int(String(decoding: $0, as: UTF8.self)) }
            guard (1...2).contains(parts.count),
                zip(parts, numbers).allSatisfy({ $0.isEmpty || $1 != nil }),
                !parts.allSatisfy(\.isEmpty)
            else { return nil }
            let atLeast = numbers[0] ?? 0
            let atMost = parts.count == 1 ? atLeast : numbers[1]
            guard atLeast >= 0, atLeast <= atMost ?? atLeast, atMost ?? atLeast <= 255 else {
                throw .syntax("a count of repetitions that is not 0 to 255")
            }
            place = end + 1
            return (atLeast, atMost)
        }
    }
}
