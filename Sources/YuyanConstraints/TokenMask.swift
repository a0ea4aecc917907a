/// A set of token ids, one bit each.
public struct TokenMask: Sendable, Hashable {
    /// Bit `i % 64` of word `i / 64` stands for token `i`.
    public let words: [UInt64]

    /// The tokens whose bits are set.
    public init(words: [UInt64]) { self.words = words }

    /// Whether a token is in the set.
    @inlinable public func contains(_ token: Int32) -> Bool {
        let index = Int(token)
        return index >= 0 && index < words.count * 64 && words[index / 64] >> (index % 64) & 1 == 1
    }
}
