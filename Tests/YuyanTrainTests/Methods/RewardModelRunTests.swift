import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

@Suite("Reward models in runs")
struct RewardModelRunTests {
    private let runs = AlignmentRuns()
    private let device = Device(threads: 2)
    private var folder: TemporaryFolder { runs.folder }

    private func log(_ output: String) throws -> [[String: Double]] {
        try folder.loggedNumbers(output)
    }

    // MARK: - Going on

    /// What a run's first step begins with, by the names of an adapter's file.
    private func start(_ stage: String, _ adapter: String) throws -> [String: [Float]] {
        let recipe = try runs.source(
            "unused", stage, ["--adapter_name_or_path", folder.path + "/" + adapter]
        ).recipe
        let prepared = try PreparedModel(recipe, path: runs.model, device: device)
        let trainee = try prepared.trainee(
            recipe, host: RewardHost(device: device), device: device)
        let prefix = "base_model.model."
        return Dictionary(
            uniqueKeysWithValues: trainee.parameters.map {
                ($0.name.hasPrefix(prefix) ? $0.name : prefix + $0.name, $0.rowMajor())
            })
    }

    private func tensors(_ adapter: String) throws -> [String: [Float]] {
        let file = try SafetensorsFile(
            path: folder.path + "/\(adapter)/adapter_model.safetensors")
        return Dictionary(
            uniqueKeysWithValues: try file.tensors.map { ($0.name, try Tensor($0).values) })
    }

    private static let head = "base_model.model.score.weight"

    @Test("go on from an adapter with its head, to the bit", arguments: ["rm", "prm"])
    func goesOn(_ stage: String) throws {
        try runs.train("first", stage)
        let end = try tensors("first")
        #expect(try #require(end[Self.head]).contains { $0 != 0 })
        #expect(try start(stage, "first") == end)

        let flags = ["--adapter_name_or_path", folder.path + "/first"]
        #expect(try runs.train("second", stage, flags) == .finished(step: 3))
        let further = try tensors("second")
        #expect(further.keys.sorted() == end.keys.sorted())
        #expect(further[Self.head] != end[Self.head])
    }

    @Test("begin their head anew over an adapter that has none, which no other stage may bring")
    func begins() throws {
        try runs.train("plain", "dpo")
        var found = try start("rm", "plain")
        let head = found.removeValue(forKey: Self.head)
        #expect(try #require(head).allSatisfy { $0 == 0 })
        #expect(try found == tensors("plain"))

        try runs.train("judge", "rm")
        let refused = runs.refusal(
            "dpo", ["--adapter_name_or_path", folder.path + "/judge"])
        #expect(refused.contains(Self.head) && refused.contains("stage"))
    }

    // MARK: - What is logged

    @Test("log the least and the greatest score of a micro-batch, meant over micro-batches")
    func extremes() throws {
        var recipe = Recipe()
        recipe.method.stage = .rm
        recipe.method.loraRank = 2
        let model = try TrainableModel(
            Checkpoint(path: runs.model), method: TrainingMethod(recipe), on: device)
        // Several passes to a micro-batch.
        model.tokensPerPass = 16
        let base = ModelTrainee(model, recipe: recipe, device: device)
        let trainee = RewardTrainee(base, recipe: recipe, padding: nil, device: device)
        let width = model.decoder.shape.width
        try #require(base.score).load(rowMajor: (0..<width).map { Float($0 * 5 % 7) - 3 })
        let samples = (0..<4).map { (row: Int32) in
            func ids(_ first: Int32) -> [Int32] { (0..<5).map { (first + $0 * 7) % 90 + 4 } }
            let weights: [Float] = [0, 0, 0] + ids(0).map { _ in 1 }
            return TrainingSample(
                tokens: [5, 6, 7 + row] + ids(11 * row), weights: weights,
                source: SampleSource(file: "pairs", row: Int(row)),
                companion: .rejected(
                    RejectedAnswer(
                        tokens: [5, 6, 7 + row] + ids(40 + 17 * row), weights: weights,
                        margin: nil)))
        }
        func evaluated(_ batches: [[TrainingSample]]) -> [String: Double] {
            var statistics = LossStatistics()
            for batch in batches {
                trainee.evaluate(TrainingBatch(batch), statistics: &statistics)
            }
            return Dictionary(
                uniqueKeysWithValues: statistics.named.map { ($0.name, $0.mean) })
        }
        let alone = samples.map { evaluated([[$0]]) }
        let least = try alone.map { try #require($0["min_reward"]) }
        let most = try alone.map { try #require($0["max_reward"]) }
        #expect(Set(least + most).count == 8)

        let whole = evaluated([samples])
        #expect(whole["min_reward"] == least.min() && whole["max_reward"] == most.max())
        #expect(try #require(whole["mean_reward"]) > #require(whole["min_reward"]))
        let halves = evaluated([Array(samples[..<2]), Array(samples[2...])])
        #expect(halves["min_reward"] == (min(least[0], least[1]) + min(least[2], least[3])) / 2)
        #expect(halves["max_reward"] == (max(most[0], most[1]) + max(most[2], most[3])) / 2)

        var statistics = LossStatistics()
        try trainee.accumulate(
            TrainingBatch(samples), normalizer: 4, tokensBefore: 0, statistics: &statistics)
        for name in ["min_reward", "max_reward"] {
            #expect(statistics.named.first { $0.name == name }?.mean == whole[name])
        }
    }

    // MARK: - Rewards

    private func whole(_ name: String) throws -> SequenceClassifier {
        try SequenceClassifier(Checkpoint(path: folder.path + "/" + name), on: device)
    }

    @Test("a whole one scores as it was evaluated, and rewards also what changes every weight")
    func wholeModel() throws {
        let rows = AlignmentRuns.pairs.joined(separator: "\n") + "\n"
        let pairs = folder.file("judged.jsonl", Array(rows.utf8))
        let full = ["--finetuning_type", "full", "--learning_rate", "1e-3"]
        try runs.train(
            "judge", "rm", full + ["--eval_dataset", pairs, "--max_steps", "4", "--val_size", "0"])
        let evaluation = try #require(try log("judge").last { $0["eval_loss"] != nil })
        let place = folder.path + "/judge"
        let tokenizer = try Tokenizer(gguf: GGUFFile(path: runs.model))
        let judge = try whole("judge")
        #expect(judge.padding != nil && judge.padding == tokenizer.fillsWith)

        let function = try WholeRewardModel(
            ScoringModel(place, host: RewardHost(device: device)), name: "reward_model")
        let answers = try AlignmentRuns.pairs.flatMap { row in
            let root = try JSONDocument(bytes: Array(row.utf8), name: "row").root
            return try ["chosen", "rejected"].map {
                ScoredCompletion(prompt: try root.string("prompt"), text: try root.string($0))
            }
        }
        let scores = try function.scores(answers).map { try #require($0) }
        let margins = stride(from: 0, to: scores.count, by: 2).map { scores[$0] - scores[$0 + 1] }
        let mean = margins.reduce(0, +) / Double(margins.count)
        #expect(abs(mean - (try #require(evaluation["eval_margin"]))) < 1e-5)
        #expect(abs(mean) > 1e-4)

        let flags = ["--reward_model", place]
        try runs.train("full", "grpo", flags + full)
        try runs.train("ppo", "ppo", flags + ["--reward_funcs", "[]", "--ppo_epochs", "1"])
        for output in ["full", "ppo"] {
            let log = try log(output)
            #expect(log.allSatisfy { $0["rewards/reward_model/mean"]?.isFinite == true })
        }
        let bytes = judge.decoder.weightBytes + judge.head.count * 4
        let memory = try TrainingRun(
            runs.source("full-dry", "grpo", flags + full), modelPath: runs.model, isDry: true
        ) { _ in }.summary.memory
        #expect(memory.parts.first { $0.key == "reward_models" }?.bytes == bytes)
        let without = try TrainingRun(
            runs.source("full-dry", "grpo", full), modelPath: runs.model, isDry: true
        ) { _ in }.summary.memory
        #expect(!without.parts.contains { $0.key == "reward_models" })
    }

    @Test("a whole one may have another tokenizer, whatever the number of threads")
    func otherTokenizer() throws {
        let judge = try JudgeFixture(scoredBy: (0..<32).map { Float($0 % 3) - 1 })
        for threads in ["1", "3"] {
            try runs.train(
                threads, "grpo",
                ["--reward_model", judge.path, "--reward_funcs", "[]", "--threads", threads])
        }
        let log = try log("1")
        #expect(try self.log("3") == log)
        #expect(log.contains { ($0["rewards/reward_model/std"] ?? 0) > 0 })
        for line in log {
            let score = try #require(line["rewards/reward_model/mean"])
            #expect(abs(try #require(line["reward"]) - score) < 1e-9)
        }
    }

    @Test("a model of steps rewards answers, as an adapter and whole")
    func process() throws {
        try runs.train("adapter", "prm")
        try runs.train(
            "whole", "prm", ["--finetuning_type", "full", "--learning_rate", "1e-3"])
        func rewards(_ name: String) -> [String] {
            [
                "--reward_funcs",
                "[{name: prm, model: \(folder.path)/\(name), aggregate: mean, label: steps}]",
            ]
        }
        for (output, stage, flags) in [
            ("lora", "grpo", rewards("adapter") + ["--val_size", "2"]),
            ("rloo", "rloo", rewards("adapter")),
            ("ppo", "ppo", rewards("adapter") + ["--ppo_epochs", "1"]),
            (
                "full", "grpo",
                rewards("whole") + ["--finetuning_type", "full", "--learning_rate", "1e-3"]
            ),
        ] {
            try runs.train(output, stage, flags)
            let means = try log(output).compactMap { $0["rewards/steps/mean"] }
            #expect(means.count == 3 && means.allSatisfy { $0 > 0 && $0 < 1 }, "\(output)")
        }
        #expect(
            try log("lora").contains { $0["eval_rewards/steps/mean"] != nil })
        try runs.train("threads", "grpo", rewards("adapter") + ["--threads", "3"])
        try runs.train("thread", "grpo", rewards("adapter") + ["--threads", "1"])
        #expect(try log("threads") == log("thread"))
    }

    @Test("what cannot be a reward model is refused, by name")
    func refuses() throws {
        try runs.train("judge", "rm", ["--max_steps", "1"])
        try runs.train(
            "whole", "rm",
            ["--max_steps", "1", "--finetuning_type", "full", "--learning_rate", "1e-3"])
        func refusal(_ model: String, _ flags: [String] = []) -> String {
            runs.refusal("grpo", ["--reward_model", model] + flags)
        }
        let place = folder.path
        let changed = refusal(place + "/judge", ["--finetuning_type", "full"])
        #expect(changed.contains("reward_model") && changed.contains("finetuning_type: lora"))
        let writer = refusal(Goldens.path("models/llama-gqa"))
        #expect(writer.contains("reward_model") && writer.contains("ForSequenceClassification"))
        #expect(refusal("/no/such/model").contains("/no/such/model"))
        #expect(itemNames(in: place + "/refused").isEmpty)
        let recipe = try runs.source("unused", "sft", []).recipe
        #expect {
            try PreparedModel(recipe, path: place + "/whole", device: device)
        } throws: {
            "\($0)".contains("model_name_or_path") && "\($0)".contains("reward_model")
        }
    }
}
