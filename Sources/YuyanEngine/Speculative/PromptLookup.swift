/// Guesses that what followed the last tokens before will follow them again.
///
/// Prompt lookup (Saxena, 2023; also Yang et al., "LLMA", arXiv:2304.04487): good for edits,
/// extraction and code, where answers repeat their prompt, and free where nothing is found.
final class PromptLookup: Drafter {
    /// Tokens that must agree; tried from the longest.
    private let lengths = [4, 3, 2]

    func drafts(
        for candidates: [DraftCandidate], chooser: (Int) -> DraftChooser?
    ) -> [Int: [Int32]] {
        var found: [Int: [Int32]] = [:]
        for candidate in candidates where candidate.length > 0 {
            let guess = continuation(of: candidate.tokens, length: candidate.length)
            if !guess.isEmpty { found[candidate.sequence] = guess }
        }
        return found
    }

    func forget(_ sequences: [Int]) {}

    /// What followed the latest earlier place where the last tokens stand, longest agreement first.
    func continuation(of tokens: [Int32], length: Int) -> [Int32] {
        tokens.withUnsafeBufferPointer { tokens in
            for size in lengths where tokens.count > size {
                let tail = tokens.count - size
                let last = tokens[tokens.count - 1]
                var end = tokens.count - 2
                while end >= size - 1 {
                    // Most places fail on the last token alone.
                    if tokens[end] == last,
                        (1..<size).allSatisfy({ tokens[end - $0] == tokens[tail + size - 1 - $0] })
                    {
                        return Array(tokens[(end + 1)..<min(end + 1 + length, tokens.count)])
                    }
                    end -= 1
                }
            }
            return []
        }
    }
}
