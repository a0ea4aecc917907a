import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Steps of a policy on given answers")
struct PolicyStepTests {
    private let device = Device(threads: 2, precision: .f32)
    private let prompt: [Int32] = [5, 9, 2]
    private let answers: [[Int32]] = [[7], [3, 8, 1, 12], [4, 6]]

    // MARK: - Laws

    /// The gradient of `KL(p ‖ q)` is the mean under `p` of `(log p - log q)` times that of `log p`.
    @Test("the exact divergence's gradient is a mean over every token that there is")
    func exactGradient() throws {
        let exact = recipe {
            $0.alignment.beta = 0.3
            $0.alignment.divergence = .exact
        }
        let base = try trainee(exact).base.model
        let size = base.decoder.shape.vocabularySize
        let all = AnswerGroup(prompt: prompt, answers: (0..<Int32(size)).map { [$0] })
        let own = logProbabilities(all, base).map { $0[0] }
        let other = logProbabilities(all, base, .none).map { $0[0] }
        let terms = zip(own, other).map { p, q in
            0.3 * exp(Double(p)) * (Double(p) - Double(q))
        }
        let found = try step([group([[7]], old: [[own[7]]])], exact)
        // On these ratios, which are all 1, an advantage is minus the slope in the log-probability.
        let every = group(
            all.answers, old: own.map { [$0] }, advantages: terms.map { -$0 * Double(size) })
        let expected = try step([every], recipe())
        let largest = found.gradients.joined().reduce(Float(0)) { max($0, abs($1)) }
        #expect(largest > 1e-5)
        expectClose(
            Array(found.gradients.joined()), Array(expected.gradients.joined()),
            Tolerance(absolute: 1e-3 * Double(largest)), "gradient")
        expectClose(
            [found.statistics.meanLoss], [terms.reduce(0, +)],
            Tolerance(absolute: 1e-6, relative: 1e-3), "loss")
    }

    @Test(
        "beta weighs the exact divergence as it weighs an estimate, whatever losses are divided by",
        arguments: Recipe.PolicyLossName.allCases, [Recipe.DivergenceName.exact, .k3])
    func normalizer(_ type: Recipe.PolicyLossName, _ divergence: Recipe.DivergenceName) throws {
        func recipe(_ type: Recipe.PolicyLossName) -> Recipe {
            self.recipe {
                $0.alignment.beta = 0.3
                $0.alignment.divergence = divergence
                $0.alignment.lossType = type
                $0.alignment.completionLength = 16
            }
        }
        let base = try trainee(recipe(type)).base.model
        let all = AnswerGroup(prompt: prompt, answers: answers)
        let (own, other) = (logProbabilities(all, base), logProbabilities(all, base, .none))
        func judged(_ places: Range<Int>) -> JudgedGroup {
            group(
                Array(answers[places]), old: Array(own[places]), reference: Array(other[places]))
        }
        // Each answer by itself tells its mean divergence.
        let means = try answers.indices.map { place in
            let alone = try step([judged(place..<place + 1)], recipe(.dapo)).statistics
            return try #require(alone.named.first { $0.name == "kl" }).mean
        }
        let found = try step([judged(0..<3)], recipe(type)).statistics.meanLoss
        let expected = zip(answers, means).reduce(0.0) { sum, pair in
            let count = Double(pair.0.count)
            let weight =
                switch type {
                case .grpo: 1 / (3 * count)
                case .drGRPO: 1 / (3 * 16.0)
                case .bnpo, .dapo, .cispo: 1 / 7.0
                }
            return sum + 0.3 * weight * count * pair.1
        }
        #expect(expected > 1e-6)
        expectClose([found], [expected], Tolerance(relative: 1e-5), "\(type)")
    }

    @Test("an entropy bonus has one gradient and one loss, on policy and off it")
    func entropy() throws {
        let recipe = recipe { $0.alignment.entropyCoefficient = 0.7 }
        let base = try trainee(recipe).base.model
        let all = AnswerGroup(prompt: prompt, answers: answers)
        let judged = group(answers, old: logProbabilities(all, base))
        let on = try step([judged], recipe, number: 1)
        let off = try step([judged], recipe, number: 2)
        #expect(on.gradients == off.gradients)
        #expect(on.gradients.joined().contains { $0 != 0 })
        #expect(on.statistics.meanLoss == off.statistics.meanLoss)
        let mean = off.statistics.entropySum / 7
        #expect(off.statistics.tokenCount == 7 && mean > 0)
        expectClose([off.statistics.meanLoss], [-0.7 * mean], Tolerance(relative: 1e-12))
    }

    @Test(
        "a group that was dropped has no part in the others' step",
        arguments: [Recipe.PolicyLossName.grpo, .drGRPO, .dapo, .bnpo])
    func dropped(_ type: Recipe.PolicyLossName) throws {
        let recipe = recipe {
            $0.alignment.lossType = type
            $0.alignment.beta = 0.1
        }
        let base = try trainee(recipe).base.model
        let all = AnswerGroup(prompt: prompt, answers: answers)
        let (own, other) = (logProbabilities(all, base), logProbabilities(all, base, .none))
        let kept = group(answers, old: own, reference: other, advantages: [1, -0.5, 0.25])
        var dull = group(answers, old: own, reference: other)
        dull.isDropped = true
        let (found, alone) = (try step([kept, dull], recipe), try step([kept], recipe))
        #expect(found.statistics.meanLoss == alone.statistics.meanLoss)
        let largest = alone.gradients.joined().reduce(Float(0)) { max($0, abs($1)) }
        expectClose(
            Array(found.gradients.joined()), Array(alone.gradients.joined()),
            Tolerance(absolute: 1e-5 * Double(largest)))
        let saved = try JudgedGroup(
            JSONDocument(bytes: Array(dull.json.description.utf8), name: "group").root,
            masksTruncated: false)
        #expect(saved.isDropped && saved.learntCount == 0 && saved.countedAnswers == 0)
    }

    @Test("answers on policy are those of the present weights")
    func stale() throws {
        let trainee = try trainee(recipe())
        let all = AnswerGroup(prompt: prompt, answers: answers)
        let judged = group(answers, old: logProbabilities(all, trainee.base.model))
        trainee.hold([[judged]], version: 3, areFresh: true)
        #expect {
            try trainee.begin(step: 1, [batch])
        } throws: {
            "\($0)".contains("after 0 updates") && "\($0)".contains("there were 3")
        }
        trainee.hold([[judged]], version: 0, areFresh: true)
        #expect(try trainee.begin(step: 1, [batch]) == 1)
    }

    // MARK: - Steps

    private func recipe(_ change: (inout Recipe) -> Void = { _ in }) -> Recipe {
        var recipe = Recipe()
        recipe.method.stage = .grpo
        recipe.method.loraRank = 4
        recipe.method.loraAlpha = 8
        recipe.alignment.iterations = 2
        change(&recipe)
        return recipe
    }

    /// A policy that an adapter has led away from its reference.
    private func trainee(_ recipe: Recipe) throws -> PolicyTrainee {
        let model = try TrainableModel(
            Checkpoint(path: Goldens.path("models/llama-gqa")), method: TrainingMethod(recipe),
            on: device)
        let base = ModelTrainee(model, recipe: recipe, device: device)
        try base.load(model.parameters, from: Goldens.path("adapters/llama-all"))
        base.refresh()
        return try PolicyTrainee(
            base, recipe: recipe,
            tokenizer: Tokenizer(
                checkpoint: Checkpoint(path: Goldens.path("models/gguf/llama-gqa.gguf"))),
            place: "recipe", host: RewardHost(device: device), device: device)
    }

    private var batch: TrainingBatch {
        TrainingBatch([
            TrainingSample(
                tokens: prompt, weights: prompt.map { _ in 0 },
                source: SampleSource(file: "prompts", row: 1))
        ])
    }

    /// One micro-batch of groups; of two steps on it the first is on policy.
    private func step(
        _ groups: [JudgedGroup], _ recipe: Recipe, number: Int = 2
    ) throws -> (statistics: LossStatistics, gradients: [[Float]]) {
        let trainee = try trainee(recipe)
        trainee.hold([groups], version: 0, areFresh: true)
        for parameter in trainee.parameters { parameter.zeroGradient() }
        var statistics = LossStatistics()
        let normalizer = try trainee.begin(step: number, [batch])
        try trainee.accumulate(
            batch, normalizer: normalizer, tokensBefore: 0, statistics: &statistics)
        _ = try trainee.end(step: number, statistics: &statistics)
        return (statistics, trainee.parameters.map { $0.rowMajorGradient() ?? [] })
    }

    private func logProbabilities(
        _ group: AnswerGroup, _ model: TrainableModel,
        _ adapter: GroupPassOptions.Adapter = .trained
    ) -> [[Float]] {
        var options = GroupPassOptions()
        options.adapter = adapter
        return model.logProbabilities(of: [group], options, on: device)[0]
    }

    private func group(
        _ answers: [[Int32]], old: [[Float]], reference: [[Float]]? = nil,
        advantages: [Double]? = nil
    ) -> JudgedGroup {
        let written = zip(answers, old).map { tokens, values in
            WrittenAnswer(
                tokens: tokens, logProbabilities: values, supports: tokens.map { _ in [] },
                hasEnded: true, weightVersions: tokens.map { _ in 0 })
        }
        var judged = JudgedGroup(
            rollout: Rollout(prompt: prompt, answers: written), totals: written.map { _ in 0 },
            parts: written.map { _ in [] }, reference: reference, masksTruncated: false,
            isUniform: false)
        judged.spread(advantages ?? written.map { _ in 0 })
        return judged
    }
}
