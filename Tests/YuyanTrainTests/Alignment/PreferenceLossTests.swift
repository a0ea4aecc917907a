import TestSupport
import Testing

@testable import YuyanTrain

/// The pairs of the golden; the chosen answers' mean length divides likelihoods, as trl's mean does.
private func pairs(_ golden: GoldenFile, likelihoodLength: Double?) throws -> [PairScores] {
    let (counts, policy, reference) = (
        try golden.rows("counts"), try golden.rows("policy"), try golden.rows("reference")
    )
    return policy[0].indices.map { index in
        let answers = (0..<2).map {
            SequenceScore(
                sum: policy[$0][index], reference: reference[$0][index],
                tokenCount: Int(counts[$0][index]))
        }
        return PairScores(
            chosen: answers[0], rejected: answers[1], likelihoodLength: likelihoodLength)
    }
}

@Suite("Preference losses")
struct PreferenceLossTests {
    static let losses: [(String, any PreferenceLoss, likelihood: Double)] = [
        ("sigmoid-0.1", DPOLoss(beta: 0.1), 0),
        ("smoothed-0.1", DPOLoss(beta: 0.1, labelSmoothing: 0.25), 0),
        ("robust-0.15", DPOLoss(beta: 0.15, labelSmoothing: 0.2, isRobust: true), 0),
        ("hinge-0.2", HingeLoss(beta: 0.2), 0),
        ("ipo-0.3", IPOLoss(beta: 0.3), 0),
        ("orpo-0.2", ORPOLoss(beta: 0.2), 1),
        ("cpo-sigmoid-0.1", CPOLoss(beta: 0.1, labelSmoothing: 0.1), 1),
        ("cpo-hinge-0.05", CPOLoss(beta: 0.05, form: .hinge, likelihoodCoefficient: 0.5), 0.5),
        ("cpo-ipo-0.4", CPOLoss(beta: 0.4, form: .ipo, likelihoodCoefficient: 0), 0),
        ("cpo-simpo-2.0", SimPOLoss(beta: 2), 0),
        (
            "cpo-simpo-2.5",
            CPOLoss(
                beta: 2.5, form: .simpo, likelihoodCoefficient: 0.3, labelSmoothing: 0.1,
                gamma: 1.4), 0.3
        ),
    ]

    @Test("agree with trl in value, gradient and rewards", arguments: 0..<losses.count)
    func agree(index: Int) throws {
        let (name, loss, likelihood) = Self.losses[index]
        let golden = try GoldenFile("alignment/preference.safetensors")
        let length = Moments(try golden.rows("counts")[0]).mean
        let found = try pairs(golden, likelihoodLength: length).map { loss.evaluated($0) }
        expectClose(
            found.map { $0.loss - likelihood * $0.likelihoodLoss },
            try golden.doubles("\(name).losses"), Alignment.tolerance, "losses")
        expectClose(
            [Moments(found.map(\.loss)).mean], try golden.doubles("\(name).loss"),
            Alignment.tolerance, "mean")
        let count = Double(found.count)
        expectClose(
            (found.map(\.chosenGradient) + found.map(\.rejectedGradient)).map { $0 / count },
            try golden.doubles("\(name).gradients"), Alignment.tolerance, "gradients")
        expectClose(
            found.map(\.chosenReward) + found.map(\.rejectedReward),
            try golden.doubles("\(name).rewards"), Alignment.tolerance, "rewards")
    }

    @Test("a likelihood term without a length is LLaMA-Factory's pref_ftx")
    func agreesWithFactory() throws {
        let golden = try GoldenFile("alignment/preference.safetensors")
        var settings = PreferenceSettings()
        settings.likelihood = 0.7
        let loss = PreferenceMethod.sigmoid.loss(settings)
        let found = try pairs(golden, likelihoodLength: nil).map { loss.evaluated($0) }
        expectClose(
            [Moments(found.map(\.loss)).mean], try golden.doubles("ftx-0.1.loss"),
            Alignment.tolerance)
        expectClose(
            (found.map(\.chosenGradient) + found.map(\.rejectedGradient)).map { $0 / 7 },
            try golden.doubles("ftx-0.1.gradients"), Alignment.tolerance)
    }

    @Test("a likelihood term divides by each answer's own length, whatever CPO's divides by")
    func ownLength() throws {
        let golden = try GoldenFile("alignment/preference.safetensors")
        var settings = PreferenceSettings()
        (settings.likelihood, settings.contrastiveLikelihood) = (0.7, 0)
        let loss = PreferenceMethod.cpo.loss(settings)
        #expect(loss.takesTokenMean)
        let bare = CPOLoss(beta: settings.beta, likelihoodCoefficient: 0)
        for pair in try pairs(golden, likelihoodLength: 99) {
            let (found, base) = (loss.evaluated(pair), bare.evaluated(pair))
            expectClose([found.loss - base.loss], [-0.7 * pair.chosen.mean], Alignment.tolerance)
        }
    }

    @Test("a recipe's settings reach SimPO and the forms of CPO")
    func settings() throws {
        let golden = try GoldenFile("alignment/preference.safetensors")
        var recipe = Recipe()
        recipe.alignment.preferenceBeta = 2.5
        recipe.alignment.simPOGamma = 1.4
        recipe.alignment.labelSmoothing = 0.1
        recipe.alignment.contrastiveLikelihood = 0.3
        let all = try pairs(golden, likelihoodLength: 3)
        func found(_ stage: Recipe.Stage, _ form: PreferenceMethod) -> [PairLoss] {
            recipe.method.stage = stage
            recipe.alignment.preferenceLoss = form
            let loss = recipe.preferenceMethod.loss(PreferenceSettings(recipe))
            return all.map { loss.evaluated($0) }
        }
        let simpo = SimPOLoss(beta: 2.5, gamma: 1.4, labelSmoothing: 0.1)
        #expect(found(.simpo, .sigmoid) == all.map { simpo.evaluated($0) })
        for (form, name) in [
            (CPOLoss.Form.sigmoid, PreferenceMethod.sigmoid), (.sigmoid, .cpo), (.hinge, .hinge),
            (.ipo, .ipo), (.simpo, .simpo),
        ] {
            let loss = CPOLoss(
                beta: 2.5, form: form, likelihoodCoefficient: 0.3, labelSmoothing: 0.1, gamma: 1.4)
            #expect(found(.cpo, name) == all.map { loss.evaluated($0) }, "\(form)")
        }
    }

    @Test("ORPO's odds are those that trl logs")
    func odds() throws {
        let golden = try GoldenFile("alignment/preference.safetensors")
        let odds = try pairs(golden, likelihoodLength: nil).map { ORPOLoss.logOddsRatio(of: $0) }
        expectClose(
            [Moments(odds.map { logSigmoid($0) }).mean, Moments(odds).mean],
            try golden.doubles("orpo-0.2.odds"), Alignment.tolerance)
    }

    @Test("gradients are slopes, for every name of a recipe", arguments: PreferenceMethod.allCases)
    func slopes(method: PreferenceMethod) throws {
        var settings = PreferenceSettings()
        (settings.beta, settings.labelSmoothing, settings.likelihood) = (0.3, 0.2, 0.4)
        let loss = method.loss(settings)
        let golden = try GoldenFile("alignment/preference.safetensors")
        for pair in try pairs(golden, likelihoodLength: nil) {
            let found = loss.evaluated(pair)
            let expected = [
                Alignment.slope(pair.chosen.sum) { sum in
                    var moved = pair
                    moved.chosen.sum = sum
                    return loss.evaluated(moved).loss
                },
                Alignment.slope(pair.rejected.sum) { sum in
                    var moved = pair
                    moved.rejected.sum = sum
                    return loss.evaluated(moved).loss
                },
            ]
            expectClose(
                [found.chosenGradient, found.rejectedGradient], expected,
                Tolerance(absolute: 1e-8, relative: 1e-6))
            #expect(found.isRanked == (found.rewardMargin > 0))
        }
    }

    @Test("only those that compare with a reference ask for it")
    func references() {
        let free = PreferenceMethod.allCases.filter {
            !$0.loss(PreferenceSettings()).needsReference
        }
        #expect(Set(free) == [.orpo, .simpo, .cpo])
        let (likely, unlikely) = (
            SequenceScore(sum: -2, tokenCount: 3), SequenceScore(sum: -9, tokenCount: 4)
        )
        for method in free {
            let pair = PairScores(chosen: likely, rejected: unlikely)
            let found = method.loss(PreferenceSettings()).evaluated(pair)
            #expect(found.loss.isFinite && found.isRanked)
        }
    }

    @Test("are finite where probabilities are 1, or nearly 0")
    func extremes() {
        for method in PreferenceMethod.allCases {
            for (chosen, rejected) in [(0.0, -1e5), (-1e5, 0), (0, 0), (-1e-12, -1e-12)] {
                let found = method.loss(PreferenceSettings()).evaluated(
                    PairScores(
                        chosen: SequenceScore(sum: chosen, reference: -1, tokenCount: 1),
                        rejected: SequenceScore(sum: rejected, reference: -1, tokenCount: 2)))
                let values = [found.loss, found.chosenGradient, found.rejectedGradient]
                #expect(values.allSatisfy { $0.isFinite }, "\(method) of \(chosen), \(rejected)")
            }
        }
    }

    @Test("an answer without tokens is refused, and so is a missing reference")
    func refuses() async {
        await #expect(processExitsWith: trap) { _ = SequenceScore(sum: 0, tokenCount: 0) }
        await #expect(processExitsWith: trap) {
            _ = SequenceScore(sum: -1, tokenCount: 1).logRatio
        }
        await #expect(processExitsWith: trap) {
            _ = MarginCurve.debiasedLogistic(smoothing: 0.5).evaluated(1)
        }
    }
}

@Suite("Kahneman-Tversky loss")
struct KTOLossTests {
    @Test("agrees with trl", arguments: ["kto0.9", "kto-2.0", "apo_zero_unpaired0.0"])
    func agrees(name: String) throws {
        let golden = try GoldenFile("alignment/preference.safetensors")
        let answers = try pairs(golden, likelihoodLength: nil).map(\.chosen)
        let labels = try golden.doubles("labels").map { $0 != 0 }
        let mismatched = try golden.rows("mismatched")
        let shift = name == "kto0.9" ? 0.9 : -2
        var loss = KTOLoss(beta: 0.12, desirableWeight: 1.3, undesirableWeight: 0.7)
        if name.hasPrefix("kto") {
            loss.baseline = KTOLoss.baseline(
                ofMismatched: zip(mismatched[0], mismatched[1]).map {
                    SequenceScore(sum: $0 + shift, reference: $1, tokenCount: 1)
                })
        }
        let found = zip(answers, labels).map { loss.evaluated($0, isDesirable: $1) }
        expectClose(
            [Moments(found.map(\.loss)).mean], try golden.doubles("\(name).loss"),
            Alignment.tolerance)
        expectClose(
            found.map { $0.gradient / 7 }, try golden.doubles("\(name).gradients"),
            Alignment.tolerance)
        let rewards = [true, false].map { wanted in
            Moments(zip(found, labels).filter { $1 == wanted }.map(\.0.reward)).mean
        }
        expectClose(
            [loss.baseline] + rewards, try golden.doubles("\(name).figures"), Alignment.tolerance)
    }

    @Test("gradients are the slopes of the loss, and part good answers from bad ones")
    func slopes() throws {
        let golden = try GoldenFile("alignment/preference.safetensors")
        let loss = KTOLoss(beta: 0.2, desirableWeight: 2, baseline: 0.3)
        for answer in try pairs(golden, likelihoodLength: nil).flatMap({ [$0.chosen, $0.rejected] })
        {
            for isDesirable in [true, false] {
                let found = loss.evaluated(answer, isDesirable: isDesirable).gradient
                let expected = Alignment.slope(answer.sum) { sum in
                    var moved = answer
                    moved.sum = sum
                    return loss.evaluated(moved, isDesirable: isDesirable).loss
                }
                expectClose([found], [expected], Tolerance(absolute: 1e-8, relative: 1e-6))
                #expect(isDesirable ? found < 0 : found > 0)
            }
        }
        #expect(KTOLoss.baseline(ofMismatched: []) == 0)
    }
}
