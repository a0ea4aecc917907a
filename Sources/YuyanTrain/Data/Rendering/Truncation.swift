/// Which tokens of an over-long conversation stay.
///
/// LLaMA-Factory's rule: turn by turn, each prompt with its answer gets what is left of the limit.
/// An answer of less than half of it is kept whole and its prompt is cut; else a prompt of less than
/// half is kept whole and its answer is cut; else both are cut in proportion. Ends are cut off,
/// starts stay. What does not fit at all is left out with everything behind it.
enum Truncation {
    /// A prompt and its answer, as stretches of the sample's tokens.
    struct Pair: Hashable {
        var prompt: Range<Int>
        var answer: Range<Int>
    }

    /// The stretches that stay, ascending.
    ///
    /// - Parameter fromEnd: Whether the last turns come first, as with `mask_history`.
    static func kept(_ pairs: [Pair], limit: Int, fromEnd: Bool) -> [Range<Int>] {
        var left = limit
        var kept: [Pair] = []
        for pair in fromEnd ? pairs.reversed() : pairs {
            guard left > 0 else { break }
            let (prompt, answer) = lengths(pair.prompt.count, pair.answer.count, limit: left)
            kept.append(
                Pair(prompt: pair.prompt.prefix(prompt), answer: pair.answer.prefix(answer)))
            left -= prompt + answer
        }
        if fromEnd { kept.reverse() }
        return kept.flatMap { [$0.prompt, $0.answer] }.filter { !$0.isEmpty }
    }

    static func lengths(_ prompt: Int, _ answer: Int, limit: Int) -> (prompt: Int, answer: Int) {
        let most: Int
        if answer * 2 < limit {
            most = limit
        } else if prompt * 2 < limit {
            most = limit - prompt
        } else {
            most = Int(Double(limit) * (Double(answer) / Double(prompt + answer)))
        }
        let answerLength = min(most, answer)
        return (min(max(limit - answerLength, 0), prompt), answerLength)
    }
}
