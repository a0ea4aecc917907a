extension GrammarBuilder {
    /// The control characters with a short escape, and the letter of that escape.
    private static let shortEscapes: [(character: UInt32, letter: UInt8)] = [
        (0x22, 0x22), (0x5C, 0x5C), (0x08, UInt8(ascii: "b")), (0x0C, UInt8(ascii: "f")),
        (0x0A, UInt8(ascii: "n")), (0x0D, UInt8(ascii: "r")), (0x09, UInt8(ascii: "t")),
    ]

    /// Characters that a JSON string holds as they are.
    static let unescaped = CodePointSet([0x20...0x21, 0x23...0x5B, 0x5D...CodePointSet.last])

    /// The bytes of a text as they are written.
    func encoded(_ text: [UInt8], _ encoding: CharacterEncoding) -> [UInt8] {
        encoding == .plain ? text : text.flatMap { Self.escaped($0) }
    }

    /// A byte of a JSON string's text, escaped if it must be.
    static func escaped(_ byte: UInt8) -> [UInt8] {
        if let short = shortEscapes.first(where: { $0.character == UInt32(byte) }) {
            return [0x5C, short.letter]
        }
        guard byte < 0x20 else { return [byte] }
        let digits = Array("0123456789abcdef".utf8)
        return Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }

    /// Adds one character of a set.
    mutating func characters(
        _ set: CodePointSet, from: Int32, to: Int32, _ encoding: CharacterEncoding
    ) throws(ConstraintError) {
        guard encoding == .jsonString else {
            try bytes(of: set, from: from, to: to)
            return
        }
        try bytes(of: set.intersection(Self.unescaped), from: from, to: to)
        var escapes: [[UInt8]] = []
        for character in Array(0..<0x20) + [0x22, 0x5C] where set.contains(UInt32(character)) {
            escapes.append(Self.escaped(UInt8(character)))
        }
        try literals(escapes, from: from, to: to)
    }

    /// Adds the UTF-8 forms of a set; equal endings share states.
    private mutating func bytes(
        of set: CodePointSet, from: Int32, to: Int32
    ) throws(ConstraintError) {
        var endings: [[ClosedRange<UInt8>]: Int32] = [:]
        for sequence in set.byteSequences {
            var target = to
            var ending: [ClosedRange<UInt8>] = []
            for range in sequence.dropFirst().reversed() {
                ending.append(range)
                if let shared = endings[ending] {
                    target = shared
                } else {
                    let shared = try state()
                    edge(shared, range, target)
                    endings[ending] = shared
                    target = shared
                }
            }
            edge(from, sequence[0], target)
        }
    }

    /// Adds one character of a free JSON string: plain or by any escape, surrogates in pairs.
    mutating func jsonCharacter(from: Int32, to: Int32) throws(ConstraintError) {
        try bytes(of: Self.unescaped, from: from, to: to)
        try jsonEscape(from: from, to: to)
    }

    /// Adds one character of a free JSON string, written as any of its escapes.
    mutating func jsonEscape(from: Int32, to: Int32) throws(ConstraintError) {
        let slash = try state()
        edge(from, 0x5C...0x5C, slash)
        for letter in "\"\\/bfnrt".utf8 { edge(slash, letter...letter, to) }
        let digits = try state()
        edge(slash, UInt8(ascii: "u")...UInt8(ascii: "u"), digits)
        let three = try state()
        let two = try state()
        let one = try state()
        hex(digits, 0...12, three)
        hex(digits, 14...15, three)
        let afterD = try state()
        hex(digits, 13...13, afterD)
        hex(afterD, 0...7, two)
        hex(three, 0...15, two)
        hex(two, 0...15, one)
        hex(one, 0...15, to)
        // D800 to DBFF, then the other half.
        let high = try state()
        hex(afterD, 8...11, high)
        let last = try state()
        hex(high, 0...15, last)
        let slash2 = try state()
        hex(last, 0...15, slash2)
        let letter = try state()
        edge(slash2, 0x5C...0x5C, letter)
        let low = try state()
        edge(letter, UInt8(ascii: "u")...UInt8(ascii: "u"), low)
        let low2 = try state()
        hex(low, 13...13, low2)
        hex(low2, 12...15, two)
    }

    private mutating func hex(_ from: Int32, _ values: ClosedRange<UInt8>, _ to: Int32) {
        for value in values {
            if value < 10 {
                edge(from, 0x30 + value...0x30 + value, to)
            } else {
                edge(from, 0x37 + value...0x37 + value, to)
                edge(from, 0x57 + value...0x57 + value, to)
            }
        }
    }
}
