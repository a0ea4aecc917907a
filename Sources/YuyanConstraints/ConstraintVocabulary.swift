/// The tokens of a model as bytes, prepared once for all its constraints.
///
/// Bytes that are no token by themselves could leave a text that no token continues; texts with
/// such bytes are therefore never allowed. Byte-level vocabularies have all that UTF-8 needs.
public final class ConstraintVocabulary: Sendable {
    /// The bytes of each token; `nil` for tokens that are no text.
    let texts: [[UInt8]?]
    let endTokens: [Int32]
    let isEnd: [Bool]
    let all: TokenTrie
    /// Tokens that are not in `plain`.
    let unusual: TokenTrie
    /// `plain[n]`: tokens of at most `n` whole characters that JSON strings hold as they are.
    let plain: [[UInt64]]
    /// Whether a byte is a token by itself.
    let hasByte: [Bool]

    /// Words of a mask.
    var wordCount: Int { (texts.count + 63) / 64 }

    /// Longer tokens are left to the walk.
    private static let longestPlain = 32

    /// Prepares a vocabulary.
    ///
    /// - Parameters:
    ///   - tokens: The bytes of each id; `nil` for control tokens, which no text contains. Empty
    ///     bytes count as `nil`.
    ///   - endTokens: Tokens that end an answer, allowed exactly where the text may end.
    public init(tokens: [[UInt8]?], endTokens: Set<Int32>) {
        texts = tokens
        self.endTokens = endTokens.filter { $0 >= 0 && Int($0) < tokens.count }.sorted()
        var isEnd = [Bool](repeating: false, count: tokens.count)
        for token in self.endTokens { isEnd[Int(token)] = true }
        self.isEnd = isEnd
        var hasByte = [Bool](repeating: false, count: 256)
        var chosen: [Int32] = []
        for (index, text) in tokens.enumerated() {
            guard let text, !text.isEmpty, !isEnd[index] else { continue }
            chosen.append(Int32(index))
            if text.count == 1 { hasByte[Int(text[0])] = true }
        }
        self.hasByte = hasByte
        all = TokenTrie(texts: tokens, chosen: chosen)

        var plain: [[UInt64]] = [[UInt64](repeating: 0, count: (tokens.count + 63) / 64)]
        var byLength: [[Int32]] = Array(repeating: [], count: Self.longestPlain + 1)
        var unusual: [Int32] = []
        for token in chosen {
            let length = plainLength(tokens[Int(token)] ?? [], hasByte)
            if length > 0, length <= Self.longestPlain {
                byLength[length].append(token)
            } else {
                unusual.append(token)
            }
        }
        for length in 1...Self.longestPlain {
            var words = plain[length - 1]
            for token in byLength[length] { words[Int(token) / 64] |= 1 << UInt64(token % 64) }
            plain.append(words)
        }
        self.plain = plain
        self.unusual = TokenTrie(texts: tokens, chosen: unusual)
    }
}

/// The number of whole characters that need no escape in JSON, or 0 if there is anything else.
private func plainLength(_ text: [UInt8], _ hasByte: [Bool]) -> Int {
    var state = 0
    var length = 0
    for byte in text {
        guard hasByte[Int(byte)], state > 0 || isPlainASCII(byte) || byte >= 0x80,
            let next = UTF8Steps.next(state, byte)
        else { return 0 }
        state = next
        if state == 0 { length += 1 }
    }
    return state == 0 ? length : 0
}

/// Whether a JSON string holds this character of ASCII as it is.
func isPlainASCII(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
}

/// The automaton of well-formed UTF-8 (RFC 3629): state 0 is between characters.
enum UTF8Steps {
    static let count = 8

    /// The state after a byte, or `nil` if the byte cannot follow.
    static func next(_ state: Int, _ byte: UInt8) -> Int? {
        switch (state, byte) {
        case (0, 0x00...0x7F): 0
        case (0, 0xC2...0xDF): 1
        case (0, 0xE0): 4
        case (0, 0xED): 5
        case (0, 0xE1...0xEF): 2
        case (0, 0xF0): 6
        case (0, 0xF4): 7
        case (0, 0xF1...0xF3): 3
        case (1, 0x80...0xBF): 0
        case (2, 0x80...0xBF), (4, 0xA0...0xBF), (5, 0x80...0x9F): 1
        case (3, 0x80...0xBF), (6, 0x90...0xBF), (7, 0x80...0x8F): 2
        default: nil
        }
    }
}
