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
}

/// What an evaluation found.
package struct ValidationResult: Sendable, Hashable {
    /// Name of the set, empty for the only one.
    package let name: String
    /// Over all tokens, in order, so that the cut into micro-batches changes no bit.
    package let total: LossStatistics

    /// Under the names of transformers and TRL.
    package var metrics: [(key: String, value: Double)] {
        let prefix = name.isEmpty ? "eval_" : "eval_\(name)_"
        return [(prefix + "loss", total.meanLoss)] + total.means.map { (prefix + $0.key, $0.value) }
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

    func isBetter(_ value: Double, than best: Double?) -> Bool {
        guard let best else { return !value.isNaN }
        return isGreaterBetter ? value > best : value < best
    }
}
