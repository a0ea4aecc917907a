/// Where an answer stands in its grammar; a value, so that a copy is a way back.
public struct ConstraintState: Sendable {
    /// The tokens that may come next, end tokens among them where the text may end.
    ///
    /// - Parameter tokensLeft: Tokens that the answer may still have, this one included. Tokens after
    ///   which the text could not be closed in time are left out.
    public mutating func allowedTokens(tokensLeft: Int) -> TokenMask { TokenMask(words: []) }

    /// Goes on by an allowed token.
    public mutating func accept(_ token: Int32) {}

    /// Whether only an end token may follow.
    public var isFinished: Bool { false }
}
