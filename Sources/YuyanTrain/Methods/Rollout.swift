import YuyanModels
import YuyanNN

/// Answers that the model wrote to one prompt, with everything that learning from them needs.
package struct Rollout: Sendable {
    /// Ids of the prompt.
    package let prompt: [Int32]
    /// As many as a group has.
    package let answers: [WrittenAnswer]

    package var group: AnswerGroup {
        AnswerGroup(prompt: prompt, answers: answers.map(\.tokens))
    }
}

/// One answer as it was drawn, token by token, with what tools said in between.
package struct WrittenAnswer: Sendable, Hashable {
    /// Ids, those that ended the model's turns included.
    package var tokens: [Int32] = []
    /// Log-probability of each in the distribution that it was drawn from; 0 for a tool's.
    package var logProbabilities: [Float] = []
    /// For each the tokens that could be drawn; empty for all, and for a tool's.
    package var supports: [[Int32]] = []
    /// Whether the model ended it; false if it was cut.
    package var hasEnded = false
    /// Updates of the weights before each token was drawn: how stale it is.
    package var weightVersions: [Int] = []
    /// Which tokens the model wrote; the others were put there by tools. Empty if it wrote all.
    package private(set) var written: [Bool] = []
    /// What was said in turns, where the model has tools; not kept in files.
    package var episode: EpisodeRecord?

    package init(
        tokens: [Int32] = [], logProbabilities: [Float] = [], supports: [[Int32]] = [],
        hasEnded: Bool = false, weightVersions: [Int] = []
    ) {
        self.tokens = tokens
        self.logProbabilities = logProbabilities
        self.supports = supports
        self.hasEnded = hasEnded
        self.weightVersions = weightVersions
    }

    /// Whether the model wrote each token: `[token]`.
    package var isWritten: [Bool] {
        written.isEmpty ? [Bool](repeating: true, count: tokens.count) : written
    }

    /// Ids of the tokens that the model wrote.
    package var writtenTokens: [Int32] {
        written.isEmpty ? tokens : zip(tokens, written).filter(\.1).map(\.0)
    }

    package var writtenCount: Int { written.isEmpty ? tokens.count : written.count { $0 } }

    /// Ids behind the last token of a tool: the model's last turn.
    package var lastTurn: ArraySlice<Int32> {
        tokens[(written.lastIndex(of: false).map { $0 + 1 } ?? 0)...]
    }

    /// Ids of each stretch that the model wrote without a tool between: its turns.
    package var writtenRuns: [[Int32]] {
        var result: [[Int32]] = []
        var start = 0
        for (place, count) in (written.isEmpty ? [tokens.count] : runs).enumerated() {
            if place % 2 == 0, count > 0 { result.append(Array(tokens[start..<start + count])) }
            start += count
        }
        return result
    }

    /// Appends a token that the model drew.
    package mutating func append(
        _ token: Int32, logProbability: Float, support: [Int32], version: Int
    ) {
        tokens.append(token)
        logProbabilities.append(logProbability)
        supports.append(support)
        weightVersions.append(version)
        if !written.isEmpty { written.append(true) }
    }

    /// Appends tokens that the model only reads.
    package mutating func append(read ids: [Int32], version: Int) {
        guard !ids.isEmpty else { return }
        written = isWritten + ids.map { _ in false }
        tokens += ids
        logProbabilities += ids.map { _ in 0 }
        supports += ids.map { _ in [] }
        weightVersions += ids.map { _ in version }
    }

    /// Numbers of tokens that were written and read by turns, the first written; none if all were.
    package var runs: [Int] {
        guard !written.isEmpty else { return [] }
        var runs = [0]
        for isWritten in written {
            // Runs of an odd place are the model's.
            if runs.count.isMultiple(of: 2) == isWritten { runs.append(0) }
            runs[runs.count - 1] += 1
        }
        return runs
    }

    /// Takes what `runs` gave.
    ///
    /// - Returns: False, and changes nothing, if they are not those of so many tokens.
    package mutating func setRuns(_ runs: [Int]) -> Bool {
        guard runs.allSatisfy({ (0...tokens.count).contains($0) }) else { return false }
        let written = runs.enumerated().flatMap { place, count in
            [Bool](repeating: place % 2 == 0, count: count)
        }
        guard written.isEmpty || written.count == tokens.count else { return false }
        self.written = written
        return true
    }
}
