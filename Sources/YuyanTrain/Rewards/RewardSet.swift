/// What becomes of a reward that is not a number, infinite, missing, or failed.
public enum RewardFaultPolicy: String, CaseIterable, Sendable {
    /// The first one is an error.
    case stop
    /// It is left out and counted, as if the function did not apply.
    case skip
    /// It counts as 0 and is counted.
    case zero
}

/// Reward functions with weights: the total of a completion and every part of it.
///
/// The total is the weighted sum of the functions that apply, as TRL's GRPOTrainer has it. What is
/// no finite number never reaches a total, nor what is beyond `largest`.
package struct RewardSet: Sendable {
    /// No score and no total is further from 0: squares of what is would leave the range of numbers.
    package static let largest = 1e9

    package let functions: [any RewardFunction]
    package let weights: [Double]
    package let policy: RewardFaultPolicy

    /// - Parameter weights: One a function; nil for 1 each.
    /// - Throws: `RewardError` if weights and functions do not go together.
    package init(
        _ functions: [any RewardFunction], weights: [Double]? = nil,
        policy: RewardFaultPolicy = .stop
    ) throws(RewardError) {
        guard !functions.isEmpty else { throw .noFunctions }
        let weights = weights ?? functions.map { _ in 1 }
        guard weights.count == functions.count else {
            throw .weightCount(weights: weights.count, functions: functions.count)
        }
        var names: Set<String> = []
        for (function, weight) in zip(functions, weights) {
            guard weight.isFinite else { throw .weight(function: function.name, value: weight) }
            guard names.insert(function.name).inserted else { throw .sameName(function.name) }
        }
        self.functions = functions
        self.weights = weights
        self.policy = policy
    }

    /// Scores a batch.
    ///
    /// - Throws: `RewardError` naming function and row, under `.stop` for the first fault, under any
    ///   policy if no function applies to a row and none failed there.
    package func score(_ completions: [ScoredCompletion]) throws(RewardError) -> BatchRewards {
        var result = BatchRewards(names: functions.map(\.name), count: completions.count)
        for (place, function) in functions.enumerated() {
            result.parts[place] = try parts(of: function, completions, &result.faults)
        }
        for row in completions.indices {
            var total = 0.0
            var applies = false
            for place in functions.indices {
                guard let part = result.parts[place][row] else { continue }
                applies = true
                total += weights[place] * part
            }
            if applies {
                guard abs(total) <= Self.largest else {
                    throw .badReward(
                        function: "total", row: Self.name(row, completions),
                        what: "the weighted sum is \(total), expected a number from "
                            + "-\(Self.largest) to \(Self.largest)")
                }
                result.totals[row] = total
            } else if !result.faults.contains(where: { $0.row == row }) {
                throw .noReward(row: Self.name(row, completions), functions: result.names)
            }
        }
        return result
    }

    private func parts(
        of function: any RewardFunction, _ completions: [ScoredCompletion],
        _ faults: inout [BatchRewards.Fault]
    ) throws(RewardError) -> [Double?] {
        var scores: [Double?]
        var reasons: [Int: String] = [:]
        do {
            scores = try function.scores(completions)
        } catch let partial as PartialRewards {
            (scores, reasons) = (partial.scores, partial.faults)
        } catch {
            scores = []
            for row in completions.indices { reasons[row] = "\(error)" }
        }
        if scores.count != completions.count {
            if reasons.isEmpty {
                let what = "\(scores.count) scores for \(completions.count) completions"
                for row in completions.indices { reasons[row] = what }
            }
            scores = completions.map { _ in nil }
        }
        for row in completions.indices {
            if reasons[row] == nil, let score = scores[row], !score.isFinite {
                reasons[row] = "the score is \(score), expected a finite number"
            }
            if reasons[row] == nil, let score = scores[row], abs(score) > Self.largest {
                reasons[row] =
                    "the score is \(score), expected a number from -\(Self.largest) to \(Self.largest)"
            }
            guard let what = reasons[row] else { continue }
            if policy == .stop {
                throw .badReward(
                    function: function.name, row: Self.name(row, completions), what: what)
            }
            faults.append(.init(function: function.name, row: row, what: what))
            scores[row] = policy == .zero ? 0 : nil
        }
        return scores
    }

    private static func name(_ row: Int, _ completions: [ScoredCompletion]) -> String {
        let place = completions[row].place
        return "completion \(row)" + (place.isEmpty ? "" : " of \(place)")
    }
}

/// The rewards of a batch of completions.
package struct BatchRewards: Sendable {
    /// The functions' names, in the order of the recipe.
    package let names: [String]
    /// `parts[function][row]`, before weights; nil where the function does not apply.
    package internal(set) var parts: [[Double?]]
    /// The weighted sum of each row; nil where no function gave a score.
    package internal(set) var totals: [Double?]
    /// What went wrong without stopping the run.
    package internal(set) var faults: [Fault] = []

    /// A function that gave a row no usable score.
    package struct Fault: Sendable, Hashable {
        package let function: String
        package let row: Int
        package let what: String
    }

    init(names: [String], count: Int) {
        self.names = names
        totals = [Double?](repeating: nil, count: count)
        parts = names.map { _ in [Double?](repeating: nil, count: count) }
    }

    /// Mean and standard deviation of a function over the rows that it applies to, for the log.
    ///
    /// The deviation divides by n - 1, as PyTorch's `std`; 0 for a single row, nil for none.
    package func statistics(of function: Int) -> (mean: Double, deviation: Double)? {
        let values = parts[function].compactMap { $0 }
        guard !values.isEmpty else { return nil }
        let mean = values.reduce(0, +) / Double(values.count)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (mean, values.count > 1 ? (squares / Double(values.count - 1)).squareRoot() : 0)
    }
}
