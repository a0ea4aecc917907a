/// How the engine guesses tokens ahead, to verify several in one pass.
public enum Speculation: String, CaseIterable, Codable, Sendable {
    /// One token a pass.
    case off
    /// Looks for what followed the last tokens earlier in the same sequence; needs no model.
    case ngram
    /// Lets a smaller model of the same vocabulary guess.
    case draft
}

/// A decoding sequence that could use a guess.
struct DraftCandidate {
    let sequence: Int
    /// Prompt and answer so far; the last one is not computed yet.
    let tokens: [Int32]
    /// Most tokens to guess.
    let length: Int
}

/// Guesses how sequences go on. Guesses cost or save time; they never change what is chosen.
protocol Drafter: AnyObject {
    /// Guesses of at most `length` tokens for each candidate; none where it has no idea.
    ///
    /// - Parameter chooser: A copy of a sequence's sampler and constraint, to choose as it will.
    func drafts(
        for candidates: [DraftCandidate], chooser: (Int) -> DraftChooser?
    ) -> [Int: [Int32]]
    /// Drops what was kept for sequences that have ended.
    func forget(_ sequences: [Int])
}
