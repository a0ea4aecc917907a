import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// Learns to score answers: a linear head over the last token (`GroupPass.judgedRow`), or over the last
/// token of each step.
///
/// The head has no bias and starts at zero, so that a fresh model scores everything 0. It is saved as
/// transformers' sequence classification has it, `score.weight` `[1, C]`.
final class RewardTrainee: ModelMethod {
    let base: ModelTrainee
    private let loss: BradleyTerryLoss
    private let device: Device
    private let seed: UInt64
    private let head: PackedMatrix
    private let padding: Int32?
    /// Whether samples are answers with judged steps, not pairs.
    private let judgesSteps: Bool
    /// Pairs of the validation set that is being evaluated.
    private var judged: [ScoredPair] = []
    /// Of the last evaluation; after `restore` of the last one before the weights were saved.
    private var report: RewardReport?

    /// - Parameter padding: The token that batches are filled with: see `GroupPass.judgedRow`.
    init(_ base: ModelTrainee, recipe: Recipe, padding: Int32?, device: Device) {
        self.base = base
        self.padding = padding
        judgesSteps = recipe.method.stage == .prm
        self.device = device
        loss = BradleyTerryLoss(centering: recipe.alignment.centering)
        seed = UInt64(recipe.run.seed)
        let width = base.model.decoder.shape.width
        head = PackedMatrix(
            rows: 1, columns: width, parameter: ModelTrainee.scoreName, on: device
        ) { _, values in
            for column in 0..<width { values[column] = 0 }
        }
        base.score = head.parameter
    }

    func begin(step: Int, _ batches: [TrainingBatch]) -> Double {
        batches.reduce(0) { $1.samples.reduce($0) { $0 + $1.sampleWeight * $1.judgementCount } }
    }

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) throws {
        var options = GroupPassOptions()
        (options.seed, options.firstToken) = (seed, tokensBefore)
        let samples = batch.samples
        var all: [Float] = []
        base.model.addGradients(of: samples.map(\.judgedGroup), options, on: device) { pass in
            let scores = scores(pass, samples)
            let values = scores.values
            all += values
            let slopes = evaluate(pass, values, samples, normalizer: normalizer, &statistics)
            return [(scores, Tensor(slopes, shape: [slopes.count, 1]))]
        }
        noteExtremes(of: all, samples, &statistics)
    }

    var evaluationNames: [String] {
        guard !judgesSteps else { return ["accuracy"] }
        return [
            "accuracy", "margin", "mean_reward", "min_reward", "max_reward", "calibration_error",
            "length_correlation", "accuracy_longer", "accuracy_shorter",
        ]
    }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) {
        let samples = batch.samples
        var all: [Float] = []
        base.model.visit(samples.map(\.judgedGroup), on: device) { pass in
            let scores = scores(pass, samples)
            let values = scores.values
            all += values
            _ = evaluate(pass, values, samples, normalizer: 1, &statistics)
            guard values.count == pass.answers.count else { return }
            for first in stride(from: 0, to: values.count - 1, by: 2) {
                guard let pair = PreferencePair(samples[pass.answers[first].group]) else {
                    continue
                }
                judged.append(
                    ScoredPair(
                        chosenScore: Double(values[first]),
                        rejectedScore: Double(values[first + 1]),
                        chosenLength: pair.chosen.learntCount,
                        rejectedLength: pair.rejected.learntCount))
            }
        }
        noteExtremes(of: all, samples, &statistics)
    }

    /// How far scores can be trusted as chances, and whether they pay for length.
    func concludeEvaluation(statistics: inout LossStatistics) {
        defer { judged = [] }
        guard let found = RewardReport(judged) else { return }
        report = found
        for (name, value) in [
            ("calibration_error", found.calibrationError),
            ("length_correlation", found.lengthCorrelation),
            ("accuracy_longer", found.accuracyOfLonger),
            ("accuracy_shorter", found.accuracyOfShorter),
        ] {
            if let value { statistics.add(name, value) }
        }
    }

    func reportSections() -> [ReportSection] { report.map { [ReportSection($0)] } ?? [] }

    // MARK: - Files

    func save(to folder: String) throws {
        try base.save(to: folder)
        try report?.write(to: folder)
    }

    func export(to folder: String, as type: ElementType) throws {
        try base.export(to: folder, as: type)
        try report?.write(to: folder)
    }

    func restore(from folder: String) throws {
        try base.restore(from: folder)
        report = try RewardReport.read(from: folder)
    }

    // MARK: - Scores

    /// Scores `[n, 1]` of all answers, or of all steps of all answers, in order.
    private func scores(_ pass: GroupPass, _ samples: [TrainingSample]) -> Tensor {
        let rows = pass.answers.flatMap { answer -> [Int] in
            guard case .steps(let steps) = samples[answer.group].companion else {
                return [pass.judgedRow(answer, padding: padding)]
            }
            // An answer with steps is its whole sample behind the first token.
            let first = answer.lastRow + 1 - samples[answer.group].tokens.count
            return steps.map { first + $0.end }
        }
        return linear(pass.normalized(rows: rows), head, on: pass.device)
    }

    private func evaluate(
        _ pass: GroupPass, _ scores: [Float], _ samples: [TrainingSample], normalizer: Double,
        _ statistics: inout LossStatistics
    ) -> [Float] {
        var slopes = [Float](repeating: 0, count: scores.count)
        var row = 0
        var group = 0
        while row < scores.count {
            let sample = samples[pass.answers[group].group]
            let weight = sample.sampleWeight
            if case .steps(let steps) = sample.companion {
                let judged = weight * Double(steps.count)
                let result = ProcessRewardLoss.evaluated(
                    scores: scores[row..<row + steps.count].map(Double.init),
                    labels: steps.map { $0.isRight ? 1 : 0 }, stepCount: steps.count)
                statistics.lossSum += result.loss * judged
                statistics.weightSum += judged
                for index in steps.indices {
                    slopes[row + index] = Float(result.gradients[index] * judged / normalizer)
                    let score = scores[row + index]
                    statistics.add("accuracy", (score > 0) == steps[index].isRight ? 1 : 0)
                }
                (row, group) = (row + steps.count, group + 1)
                continue
            }
            guard let pair = PreferencePair(sample) else {
                preconditionFailure("a sample without anything to judge")
            }
            let (chosen, rejected) = (Double(scores[row]), Double(scores[row + 1]))
            let result = loss.evaluated(chosen: chosen, rejected: rejected, margin: pair.margin)
            slopes[row] = Float(result.chosenGradient * weight / normalizer)
            slopes[row + 1] = Float(result.rejectedGradient * weight / normalizer)
            statistics.lossSum += result.loss * weight
            statistics.weightSum += weight
            statistics.add("accuracy", chosen > rejected ? 1 : 0)
            statistics.add("margin", chosen - rejected)
            statistics.add("mean_reward", (chosen + rejected) / 2)
            (row, group) = (row + 2, group + 2)
        }
        return slopes
    }

    /// Adds the least and the greatest score of a micro-batch of pairs, better and worse answers alike.
    ///
    /// As TRL's `RewardTrainer`, whose log has their means over the micro-batches since the last line.
    private func noteExtremes(
        of scores: [Float], _ samples: [TrainingSample], _ statistics: inout LossStatistics
    ) {
        guard let first = samples.first, PreferencePair(first) != nil,
            let least = scores.min(), let most = scores.max()
        else { return }
        statistics.add("min_reward", Double(least))
        statistics.add("max_reward", Double(most))
    }
}

extension TrainingSample {
    /// Judgements that a loss is taken over: a pair's one, or one a step.
    fileprivate var judgementCount: Double {
        guard case .steps(let steps) = companion else { return 1 }
        return Double(steps.count)
    }

    /// Two answers to a prompt, or one behind its first token.
    fileprivate var judgedGroup: AnswerGroup {
        if let pair = PreferencePair(self) { return pair.group }
        return AnswerGroup(prompt: Array(tokens[..<1]), answers: [Array(tokens[1...])])
    }
}
