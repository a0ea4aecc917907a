/// Work that one answer may cause beside the model's own.
///
/// Finding the next tokens is quick for usual constraints and for places that were met before. An
/// ambiguous grammar can take a hundred times as long, while everybody waits for the same step; so
/// each answer has some work to spend and gets some more with every token. Counts work, not time: a
/// busy machine ends no answer.
public struct ConstraintBudget: Sendable {
    /// The most that can be saved up; a unit takes a few nanoseconds.
    static let most = 40_000_000
    /// What a token adds: a few walks of a large vocabulary.
    static let perToken = 4_000_000
    /// More than anything takes.
    static let unlimited = ConstraintBudget(left: Int.max / 2)

    var left: Int

    /// What an answer begins with.
    public init() { left = Self.most }

    init(left: Int) { self.left = left }

    /// Another token is to be chosen.
    public mutating func renew() { left = min(Self.most, left + Self.perToken) }
}
