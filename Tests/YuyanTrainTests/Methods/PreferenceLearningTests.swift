import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One prompt with two answers of one token each, of which the model thinks the worse one likelier.
@Suite("Learning from preferences")
struct PreferenceLearningTests {
    private let device = Device(threads: 2, precision: .f32)
    private let prompt: [Int32] = [1, 17, 42]

    private func start(_ recipe: Recipe) throws -> ModelTrainee {
        let model = try TrainableModel(
            Checkpoint(path: Goldens.path("models/llama-gqa")), method: TrainingMethod(recipe),
            on: device)
        let trainee = ModelTrainee(model, recipe: recipe, device: device)
        trainee.refresh()
        return trainee
    }

    private func method(_ base: ModelTrainee, _ recipe: Recipe) throws -> any Trainee {
        recipe.method.stage == .kto
            ? try UnpairedTrainee(base, recipe: recipe, device: device)
            : try PreferenceTrainee(base, recipe: recipe, device: device)
    }

    private func sample(
        _ answer: [Int32], _ companion: SampleCompanion, row: Int = 1
    ) -> TrainingSample {
        TrainingSample(
            tokens: prompt + answer, weights: prompt.map { _ in 0 } + answer.map { _ in 1 },
            source: SampleSource(file: "pairs", row: row), companion: companion)
    }

    private func pair(_ chosen: [Int32], over rejected: [Int32], row: Int = 1) -> TrainingSample {
        let weights: [Float] = prompt.map { _ in 0 } + rejected.map { _ in 1 }
        return sample(
            chosen,
            .rejected(
                RejectedAnswer(tokens: prompt + rejected, weights: weights, margin: nil)),
            row: row)
    }

    // MARK: - Optima

    /// What a run of steps led to.
    private struct Course {
        /// By how much the better answer gained on the worse one, in nats, as steps went on.
        var gains: [Double] = []
        /// By how much it is likelier in the end.
        var lead = 0.0
    }

    /// Takes steps at a rate that falls to nothing, and looks at the model after some of them.
    private func course(
        steps: Int, rate: Double, looksAt: [Int], _ change: (inout Recipe) -> Void
    ) throws -> Course {
        var recipe = Recipe()
        recipe.method.stage = .dpo
        recipe.method.loraRank = 4
        recipe.alignment.referenceCache = "none"
        change(&recipe)
        let base = try start(recipe)
        let trainee = try method(base, recipe)
        func logProbabilities(_ answers: [Int32]) -> [Double] {
            let group = AnswerGroup(prompt: prompt, answers: answers.map { [$0] })
            return base.model.logProbabilities(of: [group], on: device)[0].map { Double($0[0]) }
        }
        // Two neighbours in the order of likelihood, so that the order can be turned.
        let candidates: [Int32] = [5, 11, 23, 38, 47, 60, 74, 88]
        let ordered = zip(candidates, logProbabilities(candidates)).sorted { $0.1 < $1.1 }
        let (chosen, rejected) = (ordered[3].0, ordered[4].0)
        func lead() -> Double {
            let values = logProbabilities([chosen, rejected])
            return values[0] - values[1]
        }
        let batch = TrainingBatch(
            recipe.method.stage == .kto
                ? [
                    sample([chosen], .verdict(isDesirable: true)),
                    sample([rejected], .verdict(isDesirable: false), row: 2),
                ] : [pair([chosen], over: [rejected])])
        let before = lead()
        #expect(before < 0)
        var course = Course()
        let optimizer = try Optimizer(recipe, trainee.parameters, folder: nil)
        for step in 1...steps {
            for parameter in trainee.parameters { parameter.zeroGradient() }
            var statistics = LossStatistics()
            let normalizer = try trainee.begin(step: step, [batch])
            try trainee.accumulate(
                batch, normalizer: normalizer, tokensBefore: 0, statistics: &statistics)
            _ = try trainee.end(step: step, statistics: &statistics)
            optimizer.step(
                learningRate: rate * (1 - Double(step - 1) / Double(steps)), on: device)
            trainee.refresh()
            if looksAt.contains(step) { course.gains.append(lead() - before) }
        }
        course.lead = lead()
        return course
    }

    @Test("IPO ends at a difference of log-ratios of 1 / (2 beta)", arguments: [0.5, 1])
    func identity(beta: Double) throws {
        let found = try course(steps: 400, rate: 5e-4, looksAt: [400]) {
            $0.alignment.preferenceLoss = .ipo
            $0.alignment.preferenceBeta = beta
        }
        expectClose(found.gains, [1 / (2 * beta)], Tolerance(absolute: 0.01))
    }

    @Test("smoothed labels end where the model is as sure as they are", arguments: [0.1, 0.25])
    func smoothed(share: Double) throws {
        let odds = log((1 - share) / share)
        let found = try course(steps: 400, rate: 5e-4, looksAt: [400]) {
            $0.alignment.labelSmoothing = share
            $0.alignment.preferenceBeta = 1
        }
        expectClose(found.gains, [odds], Tolerance(absolute: 0.02))
        // Without a reference it is the lead itself, and SimPO asks for its margin on top.
        let simpo = try course(steps: 400, rate: 5e-4, looksAt: []) {
            $0.method.stage = .simpo
            $0.alignment.labelSmoothing = share
            $0.alignment.preferenceBeta = 2
            $0.alignment.simPOGamma = 0.5
        }
        expectClose([simpo.lead], [(0.5 + odds) / 2], Tolerance(absolute: 0.02))
    }

    @Test("CPO's squared form ends at a lead of 1 / (2 beta)")
    func contrastiveIdentity() throws {
        let found = try course(steps: 400, rate: 5e-4, looksAt: []) {
            $0.method.stage = .cpo
            $0.alignment.preferenceLoss = .ipo
            $0.alignment.preferenceBeta = 0.5
            $0.alignment.contrastiveLikelihood = 0
        }
        expectClose([found.lead], [1], Tolerance(absolute: 0.01))
    }

    @Test(
        "the others come to rank right, by a margin that grows",
        arguments: [
            (Recipe.Stage.dpo, PreferenceMethod.sigmoid), (.dpo, .robust), (.dpo, .hinge),
            (.orpo, .sigmoid), (.simpo, .sigmoid), (.cpo, .sigmoid), (.cpo, .hinge),
            (.cpo, .simpo), (.kto, .sigmoid),
        ])
    func ranks(stage: Recipe.Stage, loss: PreferenceMethod) throws {
        let found = try course(steps: 150, rate: 3e-4, looksAt: [8, 150]) {
            $0.method.stage = stage
            $0.alignment.preferenceLoss = loss
            if loss == .robust { $0.alignment.labelSmoothing = 0.1 }
        }
        #expect(found.gains[0] > 0 && found.gains[1] > found.gains[0], "\(found)")
        #expect(found.lead > 0, "\(found)")
    }

    // MARK: - What a run does beside its loss

    private static let answers: [(chosen: [Int32], rejected: [Int32])] = [
        ([5, 6, 7], [60, 61]), ([9, 10, 11, 12, 13, 14, 15], [70]), ([80], [81, 82, 83, 84]),
    ]

    private func pairs() -> [TrainingSample] {
        Self.answers.enumerated().map { pair($1.chosen, over: $1.rejected, row: $0) }
    }

    private func groups() -> [AnswerGroup] {
        Self.answers.map { AnswerGroup(prompt: prompt, answers: [$0.chosen, $0.rejected]) }
    }

    private func statistics(
        _ trainee: any Trainee, _ batches: [TrainingBatch]
    ) throws -> LossStatistics {
        for parameter in trainee.parameters { parameter.zeroGradient() }
        var statistics = LossStatistics()
        let normalizer = try trainee.begin(step: 1, batches)
        for batch in batches {
            try trainee.accumulate(
                batch, normalizer: normalizer, tokensBefore: 0, statistics: &statistics)
        }
        _ = try trainee.end(step: 1, statistics: &statistics)
        return statistics
    }

    @Test("CPO's likelihood is TRL's mean over the tokens of a step, however the step is cut")
    func tokenMean() throws {
        var recipe = Recipe()
        recipe.method.stage = .cpo
        recipe.alignment.preferenceBeta = 0.1
        recipe.alignment.contrastiveLikelihood = 0.7
        let base = try start(recipe)
        let trainee = try method(base, recipe)
        let sums = base.model.logProbabilities(of: groups(), on: device).map {
            $0.map { $0.reduce(0) { $0 + Double($1) } }
        }
        let comparison = sums.reduce(0) { $0 - logSigmoid(0.1 * ($1[0] - $1[1])) } / 3
        let tokens = Self.answers.reduce(0) { $0 + $1.chosen.count }
        let likelihood = -sums.reduce(0) { $0 + $1[0] } / Double(tokens)
        let whole = try statistics(trainee, [TrainingBatch(pairs())])
        let norm = gradientNorm(trainee.parameters, on: device).length()
        expectClose(
            [whole.meanLoss], [comparison + 0.7 * likelihood], Tolerance(relative: 1e-6))
        let cut = try statistics(trainee, pairs().map { TrainingBatch([$0]) })
        expectClose([cut.meanLoss], [whole.meanLoss], Tolerance(relative: 1e-6))
        expectClose(
            [gradientNorm(trainee.parameters, on: device).length()], [norm],
            Tolerance(relative: 1e-4))
        // The mean of means is another number.
        let means = zip(sums, Self.answers).reduce(0) { $0 - $1.0[0] / Double($1.1.chosen.count) }
        #expect(abs(means / 3 - likelihood) > 1e-3)
        var evaluation = LossStatistics()
        try trainee.evaluate(TrainingBatch(pairs()), statistics: &evaluation)
        expectClose([evaluation.meanLoss], [whole.meanLoss], Tolerance(relative: 1e-6))
    }

    @Test(
        "log the mean of the head's logits over answers' tokens, as TRL does",
        arguments: [false, true])
    func logits(isKTO: Bool) throws {
        var recipe = Recipe()
        recipe.method.stage = isKTO ? .kto : .dpo
        recipe.alignment.referenceCache = "none"
        let base = try start(recipe)
        var expected = (chosen: [Double](), rejected: [Double]())
        base.model.visit(groups(), on: device) { pass in
            let (x, head) = pass.targetRows()
            let logits = head.logits(x, 0..<x.rowCount, pass.device)
            let means = (0..<x.rowCount).map { row in
                logits.withRow(row) { $0.reduce(0) { $0 + Double($1) } / Double($0.count) }
            }
            for answer in pass.answers {
                if answer.index == 0 {
                    expected.chosen += means[answer.tokens]
                } else {
                    expected.rejected += means[answer.tokens]
                }
            }
        }
        let samples =
            isKTO
            ? Self.answers.enumerated().flatMap { row, answers in
                [
                    sample(answers.chosen, .verdict(isDesirable: true), row: 2 * row),
                    sample(answers.rejected, .verdict(isDesirable: false), row: 2 * row + 1),
                ]
            } : pairs()
        let found = try statistics(method(base, recipe), [TrainingBatch(samples)])
        func mean(_ name: String) throws -> Double {
            try #require(found.named.first { $0.name == name }).mean
        }
        expectClose(
            [try mean("logits/chosen"), try mean("logits/rejected")],
            [Moments(expected.chosen).mean, Moments(expected.rejected).mean],
            Tolerance(absolute: 1e-6))
        #expect(expected.chosen.count == 11 && expected.rejected.count == 7)
        #expect(
            abs(
                try mean("rewards/margins")
                    - (mean("rewards/chosen") - mean("rewards/rejected"))) < 1e-12)
    }
}
