import YuyanNN

/// Samples that a run evaluates on and does not train on.
package struct ValidationSet {
    /// Empty for the only one; else the data set's name, as in `eval_NAME_loss`.
    package let name: String
    /// Micro-batches, in order.
    package let batches: [TrainingBatch]

    package init(name: String = "", batches: [TrainingBatch]) {
        self.name = name
        self.batches = batches
    }

    /// What stands before the names of what is logged.
    package var prefix: String { name.isEmpty ? "eval_" : "eval_\(name)_" }
}

extension Trainee {
    /// All that evaluations on some sets may log, under the names of transformers and TRL.
    func loggedNames(on sets: [ValidationSet]) -> [String] {
        sets.flatMap { set in (["loss"] + evaluationNames).map { set.prefix + $0 } }
    }
}

/// What an evaluation found.
package struct ValidationResult: Sendable, Hashable {
    /// `ValidationSet.prefix`.
    package let prefix: String
    /// Over all tokens, in order, so that the cut into micro-batches changes no bit.
    package let total: LossStatistics

    /// Under the names of transformers and TRL.
    package var metrics: [(key: String, value: Double)] {
        [(prefix + "loss", total.meanLoss)] + total.means.map { (prefix + $0.key, $0.value) }
    }
}

extension LossStatistics {
    /// What was measured beside the loss, under TRL's names.
    var means: [(key: String, value: Double)] {
        // Methods that look at whole answers do not count tokens.
        let tokens =
            tokenCount == 0
            ? []
            : [("mean_token_accuracy", meanTokenAccuracy), ("entropy", meanEntropy)]
        return tokens + named.map { ($0.name, $0.mean) }
    }
}

/// Which of two values of a metric is better.
struct BestMetric: Sendable {
    /// With `eval_` in front, as it is logged.
    let name: String
    let isGreaterBetter: Bool

    init(_ run: Recipe.Run) {
        let asked = run.bestMetric ?? "eval_loss"
        name = asked.hasPrefix("eval_") ? asked : "eval_" + asked
        isGreaterBetter = run.greaterIsBetter ?? !name.hasSuffix("loss")
    }

    /// Refuses a name that no evaluation of a run will log.
    ///
    /// - Parameter names: What evaluations may log.
    func check(among names: [String]) throws(RecipeError) {
        guard names.contains(name) else { throw missing(among: names) }
    }

    /// Says what is logged instead.
    func missing(among names: [String]) -> RecipeError {
        .badValue(
            place: "recipe", key: "metric_for_best_model", found: "'\(name)'",
            expected: "one of " + names.joined(separator: ", "))
    }

    func isBetter(_ value: Double, than best: Double?) -> Bool {
        guard let best else { return !value.isNaN }
        return isGreaterBetter ? value > best : value < best
    }
}

extension Recipe {
    /// Whether any evaluation comes, before, during or instead of the training.
    func evaluates(on sets: [ValidationSet]) -> Bool {
        let isAsked = !run.doesTrain || run.evaluatesOnStart || evaluationInterval != .no
        return isAsked && !sets.isEmpty
    }
}
