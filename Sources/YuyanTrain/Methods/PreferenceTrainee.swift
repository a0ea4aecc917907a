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
            let values = tokenLogProbabilities(
                x, targets: pass.targets, head: head, on: pass.device)
            let slopes = evaluate(
                pass, values.values, pairs, reference, normalizer: normalizer, &statistics)
            return [(values, Tensor(slopes, shape: [slopes.count]))]
        }
    }

    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) throws {
        let pairs = Self.pairs(batch)
        let groups = pairs.map(\.group)
        let reference = try referenceScores?.scores(of: groups)
        base.model.visit(groups, on: device) { pass in
            let (x, head) = pass.targetRows()
            let values = tokenLogProbabilities(
                x, targets: pass.targets, head: head, on: pass.device)
            _ = evaluate(pass, values.values, pairs, reference, normalizer: 1, &statistics)
        }
    }

    private static func pairs(_ batch: TrainingBatch) -> [PreferencePair] {
        batch.samples.compactMap(PreferencePair.init)
    }

    /// Adds the losses of a pass, and returns their derivatives by each token's log-probability.
    private func evaluate(
        _ pass: GroupPass, _ values: [Float], _ pairs: [PreferencePair], _ reference: [[[Float]]]?,
        normalizer: Double, _ statistics: inout LossStatistics
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
                chosen: score(pair.chosen, better), rejected: score(pair.rejected, worse))
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
            if result.likelihoodLoss != 0 { statistics.add("nll_loss", result.likelihoodLoss) }
        }
        return slopes
    }
}

extension Recipe {
    /// The loss of pairs: the stage's own, or `pref_loss`.
    var preferenceMethod: PreferenceMethod {
        switch method.stage {
        case .orpo: .orpo
        case .simpo: .simpo
        case .cpo: .cpo
        default: alignment.preferenceLoss
        }
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
    }
}
