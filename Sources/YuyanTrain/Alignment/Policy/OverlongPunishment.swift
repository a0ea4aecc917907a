/// A reward that falls from 0 to -1 over the last tokens that a completion may have.
///
/// Soft overlong punishment of Yu et al., "DAPO: An Open-Source LLM Reinforcement Learning System at
/// Scale", arXiv:2503.14476, as TRL's `get_soft_overlong_punishment`.
package struct OverlongPunishment: Sendable, Hashable {
    /// Longest completion that is not punished whole.
    package let maximumLength: Int
    /// Tokens before it over which the reward falls.
    package let cacheLength: Int

    /// - Precondition: `cacheLength` is from 0 to `maximumLength`.
    package init(maximumLength: Int, cacheLength: Int) {
        precondition(
            cacheLength >= 0 && cacheLength <= maximumLength,
            "a cache of \(cacheLength) tokens of \(maximumLength)")
        self.maximumLength = maximumLength
        self.cacheLength = cacheLength
    }

    /// The reward of a completion of this many tokens.
    package func reward(tokenCount: Int) -> Double {
        if tokenCount > maximumLength { return -1 }
        let excess = tokenCount - (maximumLength - cacheLength)
        return excess <= 0 ? 0 : -Double(excess) / Double(cacheLength)
    }
}
