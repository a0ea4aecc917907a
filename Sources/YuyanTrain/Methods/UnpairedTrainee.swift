import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// Learns from answers that are good or bad by themselves: KTO.
///
/// The divergence that losses are measured from is estimated on the micro-batch's prompts with each
/// other's answers, as in TRL.
final class UnpairedTrainee: ModelMethod {
    let base: ModelTrainee
    private let loss: KTOLoss
    private let reference: ReferenceScores
    private let device: Device
    private let seed: UInt64

    init(
        _ base: ModelTrainee, recipe: Recipe, checkpoint: Checkpoint? = nil, device: Device
    ) throws {
        self.base = base
        self.device = device
        let alignment = recipe.alignment
        loss = KTOLoss(
            beta: alignment.preferenceBeta, desirableWeight: alignment.desirableWeight,
            undesirableWeight: alignment.undesirableWeight)
        reference = try ReferenceScores(
            base.model, recipe: recipe, checkpoint: checkpoint, device: device)
        seed = UInt64(recipe.run.seed)
    }

    var referenceScores: ReferenceScores? { reference }

    func prepare(_ batches: () throws -> TrainingBatch?) throws {
        guard !reference.isBase else { return }
        while let batch = try batches() {
            let answers = JudgedAnswer.all(of: batch)
            try reference.note(
                answers.map(\.group) + JudgedAnswer.mismatched(answers).map(\.group))
        }
        try reference.save()
    }

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) throws {
        let answers = JudgedAnswer.all(of: batch)
        let loss = try loss(with: answers)
        var options = GroupPassOptions()
        (options.seed, options.firstToken) = (seed, tokensBefore)
        let held = try reference.scores(of: answers.map(\.group))
        base.model.addGradients(of: answers.map(\.group), options, on: device) { pass in
            let (x, head) = pass.targetRows()
            var logits: [Float] = []
            let values = tokenLogProbabilities(
                x, targets: pass.targets, head: head, meanLogits: &logits, on: pass.device)
            let slopes = evaluate(
                pass, values.values, logits, answers, held, loss, normalizer: normalizer,
                &statistics)
            return [(values, Tensor(slopes, shape: [slopes.count]))]
        }
    }

    var evaluationNames: [String] {
        let sides = ["rewards", "logps", "logits"].flatMap { ["\($0)/chosen", "\($0)/rejected"] }
        return sides + ["rewards/margins", "kl"]
    }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) throws {
        let answers = JudgedAnswer.all(of: batch)
        let loss = try loss(with: answers)
        let held = try reference.scores(of: answers.map(\.group))
        base.model.visit(answers.map(\.group), on: device) { pass in
            let (x, head) = pass.targetRows()
            var logits: [Float] = []
            let values = tokenLogProbabilities(
                x, targets: pass.targets, head: head, meanLogits: &logits, on: pass.device)
            _ = evaluate(
                pass, values.values, logits, answers, held, loss, normalizer: 1, &statistics)
        }
    }

    func end(step: Int, statistics: inout LossStatistics) throws -> StepNotes {
        statistics.addMargin()
        return StepNotes()
    }

    func concludeEvaluation(statistics: inout LossStatistics) { statistics.addMargin() }

    /// The loss with the micro-batch's own baseline, through which no gradient goes.
    private func loss(with answers: [JudgedAnswer]) throws -> KTOLoss {
        let others = JudgedAnswer.mismatched(answers)
        let groups = others.map(\.group)
        let policy = base.model.logProbabilities(of: groups, on: device)
        let held = try reference.scores(of: groups)
        var loss = loss
        loss.baseline = KTOLoss.baseline(
            ofMismatched: others.indices.map { index in
                let answer = others[index].answer
                return answer.score(
                    policy[index][0], reference: answer.score(held[index][0]).sum)
            })
        return loss
    }

    private func evaluate(
        _ pass: GroupPass, _ values: [Float], _ logits: [Float], _ answers: [JudgedAnswer],
        _ held: [[[Float]]], _ loss: KTOLoss, normalizer: Double,
        _ statistics: inout LossStatistics
    ) -> [Float] {
        var slopes = [Float](repeating: 0, count: values.count)
        for place in pass.answers {
            let judged = answers[place.group]
            let score = judged.answer.score(
                values[place.tokens], reference: judged.answer.score(held[place.group][0]).sum)
            let result = loss.evaluated(score, isDesirable: judged.isDesirable)
            for (token, counts) in zip(place.tokens, judged.answer.isLearnt) where counts {
                slopes[token] = Float(result.gradient * judged.weight / normalizer)
            }
            let side = judged.isDesirable ? "chosen" : "rejected"
            statistics.lossSum += result.loss * judged.weight
            statistics.weightSum += judged.weight
            statistics.add("rewards/\(side)", result.reward)
            statistics.add("logps/\(side)", score.sum)
            statistics.add("logits/\(side)", of: logits[place.tokens], judged.answer)
            statistics.add("kl", loss.baseline)
        }
        return slopes
    }
}

extension LossStatistics {
    /// Adds the mean reward of good answers less that of bad ones, where there are both.
    fileprivate mutating func addMargin() {
        func mean(_ side: String) -> Double? {
            named.first { $0.name == "rewards/\(side)" }?.mean
        }
        guard let chosen = mean("chosen"), let rejected = mean("rejected") else { return }
        add("rewards/margins", chosen - rejected)
    }
}

/// An answer with its verdict, behind its prompt.
struct JudgedAnswer {
    let prompt: [Int32]
    let answer: WeightedAnswer
    let isDesirable: Bool
    let weight: Double

    var group: AnswerGroup { AnswerGroup(prompt: prompt, answers: [answer.tokens]) }

    static func all(of batch: TrainingBatch) -> [JudgedAnswer] {
        batch.samples.compactMap { sample in
            guard case .verdict(let isDesirable) = sample.companion else { return nil }
            let length = sample.promptLength
            return JudgedAnswer(
                prompt: Array(sample.tokens[..<length]), answer: sample.answer(behind: length),
                isDesirable: isDesirable, weight: sample.sampleWeight)
        }
    }

    /// Each prompt with the next one's answer; none of a single answer.
    static func mismatched(_ answers: [JudgedAnswer]) -> [JudgedAnswer] {
        guard answers.count > 1 else { return [] }
        return answers.indices.map { index in
            let other = answers[(index + 1) % answers.count]
            return JudgedAnswer(
                prompt: answers[index].prompt, answer: other.answer, isDesirable: other.isDesirable,
                weight: other.weight)
        }
    }
}
