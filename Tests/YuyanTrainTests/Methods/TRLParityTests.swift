import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

/// Ten steps from the same adapter over the same tokens: `Tools/goldens/alignment_runs.py`.
@Suite("Alignment against trl's own runs")
struct TRLParityTests {
    private let device = Device(threads: 2, precision: .f32)
    private let golden: GoldenFile

    init() throws { golden = try GoldenFile("alignment/runs.safetensors") }

    @Test("follows trl's DPO for ten steps")
    func followsDPO() throws {
        let recipe = recipe(.dpo)
        let base = try start(recipe)
        let samples = try (0..<3).map { try pair($0) }
        let pairs = samples.compactMap(PreferencePair.init)
        let reference = try ReferenceScores(base.model, recipe: recipe, device: device)
            .scores(of: pairs.map(\.group))
        expectClose(
            reference.flatMap { $0.map { $0.reduce(0, +) } },
            try golden.floats("dpo.reference"), Self.tolerance, "reference")
        try follow(
            "dpo", PreferenceTrainee(base, recipe: recipe, device: device),
            TrainingBatch(samples), recipe, figures: ["margin": "rewards/margins"])
    }

    /// The first step is on policy; in the others the answers are older than the weights.
    @Test("follows trl's GRPO for ten steps on one set of answers")
    func followsGRPO() throws {
        let recipe = recipe(.grpo)
        let base = try start(recipe)
        let groups = try (0..<2).map { group in
            AnswerGroup(
                prompt: try ids("grpo.prompt.\(group)"),
                answers: try (0..<3).map { try ids("grpo.answer.\(group).\($0)") })
        }
        let old = try logProbabilities("old", of: groups, base.model, .trained)
        let reference = try logProbabilities("reference", of: groups, base.model, .none)
        let advantages = try golden.floats("grpo.advantages").map(Double.init)
        let judged = groups.indices.map { index in
            judgedGroup(
                groups[index], old: old[index], reference: reference[index],
                advantages: Array(advantages[3 * index..<3 * index + 3]))
        }
        let trainee = try PolicyTrainee(
            base, recipe: recipe,
            tokenizer: Tokenizer(
                checkpoint: Checkpoint(path: Goldens.path("models/gguf/llama-gqa.gguf"))),
            place: "recipe", host: RewardHost(device: device), device: device)
        trainee.hold([judged], version: 0, areFresh: true)
        let prompts = groups.enumerated().map { row, group in
            TrainingSample(
                tokens: group.prompt, weights: group.prompt.map { _ in 0 },
                source: SampleSource(file: "prompts", row: row))
        }
        try follow(
            "grpo", trainee, TrainingBatch(prompts), recipe,
            figures: ["kl": "kl", "clipped": "clip_ratio/region_mean"])
    }

    // MARK: - Ten steps

    /// PyTorch's own float32 and float64 agree ten times better than this.
    private static let tolerance = Tolerance(relative: 1e-4)

    private func recipe(_ stage: Recipe.Stage) -> Recipe {
        var recipe = Recipe()
        recipe.method.stage = stage
        recipe.method.loraRank = 4
        recipe.method.loraAlpha = 8
        recipe.optimisation.learningRate = 3e-4
        recipe.alignment.preferenceBeta = 0.1
        recipe.alignment.beta = 0.04
        recipe.alignment.epsilon = 0.2
        recipe.alignment.iterations = 10
        return recipe
    }

    private func start(_ recipe: Recipe) throws -> ModelTrainee {
        let model = try TrainableModel(
            Checkpoint(path: Goldens.path("models/llama-gqa")), method: TrainingMethod(recipe),
            on: device)
        let trainee = ModelTrainee(model, recipe: recipe, device: device)
        try trainee.load(model.parameters, from: Goldens.path("adapters/llama-all"))
        trainee.refresh()
        return trainee
    }

    /// Takes steps as `TrainingLoop` does, at one rate, and compares all that was seen on the way.
    ///
    /// - Parameter figures: What is logged beside loss and norm, by the golden's name for it.
    private func follow(
        _ name: String, _ trainee: any Trainee, _ batch: TrainingBatch, _ recipe: Recipe,
        figures: [String: String]
    ) throws {
        let optimizer = try Optimizer(recipe, trainee.parameters, folder: nil)
        var found: [String: [Float]] = [:]
        for step in 1...10 {
            for parameter in trainee.parameters { parameter.zeroGradient() }
            var statistics = LossStatistics()
            let normalizer = try trainee.begin(step: step, [batch])
            try trainee.accumulate(
                batch, normalizer: normalizer, tokensBefore: 0, statistics: &statistics)
            _ = try trainee.end(step: step, statistics: &statistics)
            let norm = gradientNorm(trainee.parameters, on: device)
            found["loss", default: []].append(Float(statistics.meanLoss))
            found["norm", default: []].append(Float(norm.length()))
            for (figure, logged) in figures {
                let value = try #require(statistics.named.first { $0.name == logged })
                found[figure, default: []].append(Float(value.mean))
            }
            optimizer.step(
                learningRate: recipe.optimisation.learningRate,
                gradientScale: norm.gradientScale(limit: recipe.optimisation.maximumGradientNorm),
                on: device)
            trainee.refresh()
        }
        for (figure, values) in found {
            expectClose(
                values, try golden.floats("\(name).\(figure)"), Self.tolerance,
                "\(name).\(figure)")
        }
        let end = "\(name).end."
        #expect(
            Set(golden.names.filter { $0.hasPrefix(end) })
                == Set(trainee.parameters.map { end + $0.name }))
        for parameter in trainee.parameters {
            // A thirtieth of what one step moves an element by.
            expectClose(
                parameter.rowMajor(), try golden.floats(end + parameter.name),
                Tolerance(absolute: 1e-5), end + parameter.name)
        }
    }

    // MARK: - Tokens

    private func ids(_ name: String) throws -> [Int32] {
        try golden.ints(name).map { Int32($0) }
    }

    private func pair(_ index: Int) throws -> TrainingSample {
        let prompt = try ids("dpo.prompt.\(index)")
        func text(_ kind: String) throws -> (tokens: [Int32], weights: [Float]) {
            let answer = try ids("dpo.\(kind).\(index)")
            return (prompt + answer, prompt.map { _ in 0 } + answer.map { _ in 1 })
        }
        let (chosen, rejected) = (try text("chosen"), try text("rejected"))
        return TrainingSample(
            tokens: chosen.tokens, weights: chosen.weights,
            source: SampleSource(file: "pairs", row: index),
            companion: .rejected(
                RejectedAnswer(
                    tokens: rejected.tokens, weights: rejected.weights, margin: nil)))
    }

    /// Our own log-probabilities, once they are known to be trl's.
    private func logProbabilities(
        _ name: String, of groups: [AnswerGroup], _ model: TrainableModel,
        _ adapter: GroupPassOptions.Adapter
    ) throws -> [[[Float]]] {
        var options = GroupPassOptions()
        options.adapter = adapter
        let found = model.logProbabilities(of: groups, options, on: device)
        for (group, answers) in found.enumerated() {
            for (index, values) in answers.enumerated() {
                let place = "grpo.\(name).\(group).\(index)"
                expectClose(values, try golden.floats(place), Tolerance(absolute: 1e-4), place)
            }
        }
        return found
    }

    private func judgedGroup(
        _ group: AnswerGroup, old: [[Float]], reference: [[Float]], advantages: [Double]
    ) -> JudgedGroup {
        let answers = zip(group.answers, old).map { tokens, values in
            WrittenAnswer(
                tokens: tokens, logProbabilities: values, supports: tokens.map { _ in [] },
                hasEnded: true, weightVersions: tokens.map { _ in 0 })
        }
        var judged = JudgedGroup(
            rollout: Rollout(prompt: group.prompt, answers: answers),
            totals: answers.map { _ in 0 }, parts: answers.map { _ in [] },
            reference: reference, masksTruncated: false, isUniform: false)
        judged.spread(advantages)
        return judged
    }
}
