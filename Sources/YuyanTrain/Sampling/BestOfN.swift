/// The expected best reward of n answers, from all N that were drawn to a prompt.
///
/// The mean over all choices of n of the N answers, without replacement, of the largest reward: unbiased,
/// as the estimate of pass@k of Chen et al., "Evaluating Large Language Models Trained on Code",
/// arXiv:2107.03374, which it is for rewards of 0 and 1.
package struct BestOfN: Sendable, Hashable {
    /// The numbers of answers n: powers of two below N, and N itself.
    package let counts: [Int]
    /// Prompts that were added.
    package private(set) var promptCount = 0
    private var sums: [Double]

    /// - Parameter generations: Answers to each prompt, N.
    package init(generations: Int) {
        precondition(generations > 0, "\(generations) answers to a prompt")
        var counts: [Int] = []
        var count = 1
        while count < generations {
            counts.append(count)
            count *= 2
        }
        self.counts = counts + [generations]
        sums = [Double](repeating: 0, count: counts.count + 1)
    }

    /// Adds the rewards of a prompt's N answers.
    package mutating func add(_ rewards: [Double]) {
        precondition(
            rewards.count == counts.last, "\(rewards.count) rewards of \(counts.last ?? 0) answers")
        promptCount += 1
        for (index, count) in counts.enumerated() {
            sums[index] += Self.expectedMaximum(of: rewards, count: count)
        }
    }

    /// For each n the mean over prompts; empty without prompts.
    package var points: [(count: Int, reward: Double)] {
        guard promptCount > 0 else { return [] }
        return zip(counts, sums).map { ($0, $1 / Double(promptCount)) }
    }

    /// The expected largest of `count` of some rewards, drawn without replacement.
    ///
    /// - Precondition: `count` is from 1 to the number of rewards, which are finite.
    /// - Complexity: O(N log N), N the number of rewards.
    package static func expectedMaximum(of rewards: [Double], count: Int) -> Double {
        precondition(
            count >= 1 && count <= rewards.count, "the best \(count) of \(rewards.count) rewards")
        // How likely the k-th best is the best that was drawn: C(N - 1 - k, n - 1) / C(N, n), from 0.
        var chance = Double(count) / Double(rewards.count)
        var sum = 0.0
        for (place, reward) in rewards.sorted(by: >).enumerated() {
            sum += chance * reward
            let worse = rewards.count - 1 - place
            guard worse >= count else { break }
            chance *= Double(worse - count + 1) / Double(worse)
        }
        return sum
    }
}
