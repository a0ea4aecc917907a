import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// Learns which of two answers is better: DPO and its kin.
///
/// Both answers share one computation of their prompt, forward and backward.
final class PreferenceTrainee: ModelMethod {
    let base: ModelTrainee
    private let loss: any PreferenceLoss
    let referenceScores: ReferenceScores?
    private let device: Device
    private let seed: UInt64
    /// Mean number of learnt tokens of the step's chosen answers.
    private var likelihoodLength: Double?

    init(
        _ base: ModelTrainee, recipe: Recipe, checkpoint: Checkpoint? = nil, device: Device
    ) throws {
        self.base = base
        self.device = device
        loss = recipe.preferenceMethod.loss(PreferenceSettings(recipe))
        referenceScores =
            loss.needsReference
            ? try ReferenceScores(
                base.model, recipe: recipe, checkpoint: checkpoint, device: device) : nil
        seed = UInt64(recipe.run.seed)
    }

    func prepare(_ batches: () throws -> TrainingBatch?) throws {
        guard let reference = referenceScores, !reference.isBase else { return }
        while let batch = try batches() { try reference.note(Self.pairs(batch).map(\.group)) }
        try reference.save()
    }

    func begin(step: Int, _ batches: [TrainingBatch]) throws -> Double {
        likelihoodLength = Self.meanLength(batches)
        return sampleWeight(of: batches)
    }

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) throws {
        let pairs = Self.pairs(batch)
        var options = GroupPassOptions()
        (options.seed, options.firstToken) = (seed, tokensBefore)
        let groups = pairs.map(\.group)
        let reference = try referenceScores?.scores(of: groups)
        base.model.addGradients(of: groups, options, on: device) { pass in
            let (x, head) = pass.targetRows()
            var logits: [Float] = []
            let values = tokenLogProbabilities(
                x, targets: pass.targets, head: head, meanLogits: &logits, on: pass.device)
            let slopes = evaluate(
                pass, values.values, logits, pairs, reference, length: likelihoodLength,
                normalizer: normalizer, &statistics)
            return [(values, Tensor(slopes, shape: [slopes.count]))]
        }
    }

    var evaluationNames: [String] {
        let sides = ["rewards", "logps", "logits"].flatMap { ["\($0)/chosen", "\($0)/rejected"] }
        return sides + ["rewards/accuracies", "rewards/margins", "nll_loss"]
    }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) throws {
        let pairs = Self.pairs(batch)
        let groups = pairs.map(\.group)
        let reference = try referenceScores?.scores(of: groups)
        base.model.visit(groups, on: device) { pass in
            let (x, head) = pass.targetRows()
            var logits: [Float] = []
            let values = tokenLogProbabilities(
                x, targets: pass.targets, head: head, meanLogits: &logits, on: pass.device)
            _ = evaluate(
                pass, values.values, logits, pairs, reference, length: Self.meanLength([batch]),
                normalizer: 1, &statistics)
        }
    }

    private static func pairs(_ batch: TrainingBatch) -> [PreferencePair] {
        batch.samples.compactMap(PreferencePair.init)
    }

    /// Mean number of learnt tokens of the chosen answers, by the weights of their data sets.
    ///
    /// Sums of log-probabilities over it have the mean over tokens as their mean over pairs.
    private static func meanLength(_ batches: [TrainingBatch]) -> Double? {
        var (tokens, weights) = (0.0, 0.0)
        for pair in batches.flatMap(pairs) {
            tokens += pair.weight * Double(pair.chosen.learntCount)
            weights += pair.weight
        }
        return weights > 0 ? tokens / weights : nil
    }

    /// Adds the losses of a pass, and returns their derivatives by each token's log-probability.
    ///
    /// - Parameters:
    ///   - values: Log-probabilities of the pass's targets.
    ///   - logits: The mean logit where each of them is predicted.
    ///   - length: Mean number of tokens of chosen answers, for losses that take means over tokens.
    private func evaluate(
        _ pass: GroupPass, _ values: [Float], _ logits: [Float], _ pairs: [PreferencePair],
        _ reference: [[[Float]]]?, length: Double?, normalizer: Double,
        _ statistics: inout LossStatistics
    ) -> [Float] {
        var slopes = [Float](repeating: 0, count: values.count)
        for first in stride(from: 0, to: pass.answers.count, by: 2) {
            let (better, worse) = (pass.answers[first], pass.answers[first + 1])
            let pair = pairs[better.group]
            func score(_ answer: WeightedAnswer, _ place: GroupPass.Answer) -> SequenceScore {
                let held = reference?[place.group][place.index]
                return answer.score(
                    values[place.tokens], reference: held.map { answer.score($0).sum })
            }
            let scores = PairScores(
                chosen: score(pair.chosen, better), rejected: score(pair.rejected, worse),
                likelihoodLength: loss.takesTokenMean ? length : nil)
            let result = loss.evaluated(scores)
            for (answer, place, slope) in [
                (pair.chosen, better, result.chosenGradient),
                (pair.rejected, worse, result.rejectedGradient),
            ] {
                for (token, counts) in zip(place.tokens, answer.isLearnt) where counts {
                    slopes[token] = Float(slope * pair.weight / normalizer)
                }
            }
            statistics.lossSum += result.loss * pair.weight
            statistics.weightSum += pair.weight
            statistics.add("rewards/chosen", result.chosenReward)
            statistics.add("rewards/rejected", result.rejectedReward)
            statistics.add("rewards/accuracies", result.isRanked ? 1 : 0)
            statistics.add("rewards/margins", result.rewardMargin)
            statistics.add("logps/chosen", scores.chosen.sum)
            statistics.add("logps/rejected", scores.rejected.sum)
            statistics.add("logits/chosen", of: logits[better.tokens], pair.chosen)
            statistics.add("logits/rejected", of: logits[worse.tokens], pair.rejected)
            if result.likelihoodLoss != 0 { statistics.add("nll_loss", result.likelihoodLoss) }
        }
        return slopes
    }
}

extension Recipe {
    /// The loss of pairs: the stage's own, or `pref_loss`.
    ///
    /// Stage cpo has four forms, and `pref_loss` says which: `contrastiveForm`.
    var preferenceMethod: PreferenceMethod {
        switch method.stage {
        case .orpo: .orpo
        case .simpo: .simpo
        case .cpo: .cpo
        default: alignment.preferenceLoss
        }
    }

    /// The form of CPO: TRL's `loss_type`, which is `pref_loss` here.
    ///
    /// The sigmoid's, unless stage cpo names another; `pref_loss: cpo` is the sigmoid's too.
    var contrastiveForm: CPOLoss.Form {
        guard method.stage == .cpo else { return .sigmoid }
        return CPOLoss.Form(rawValue: alignment.preferenceLoss.rawValue) ?? .sigmoid
    }

    /// Whether pairs are told apart by SimPO's loss, alone or within CPO.
    var comparesBySimPO: Bool {
        preferenceMethod == .simpo || preferenceMethod == .cpo && contrastiveForm == .simpo
    }
}

extension PreferenceSettings {
    /// What a recipe says.
    init(_ recipe: Recipe) {
        self.init()
        let alignment = recipe.alignment
        beta = alignment.preferenceBeta
        likelihood = alignment.preferenceLikelihood
        labelSmoothing = alignment.labelSmoothing
        gamma = alignment.simPOGamma
        contrastiveLikelihood = alignment.contrastiveLikelihood
        contrastiveForm = recipe.contrastiveForm
    }
}
