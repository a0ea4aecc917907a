import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// Tiny checkpoints with a loss and the gradient of every parameter by transformers.
private let trainedCases = [
    "llama-gqa", "llama-tied", "llama-bias", "mistral-window", "qwen2", "qwen3-tied",
]

/// Adapters that peft trained for twenty steps.
private let trainedAdapters: [(name: String, base: String, configuration: LowRankConfiguration)] = [
    ("llama-all", "llama-gqa", lowRank(4, 8, .allLinear)),
    (
        "llama-qv", "llama-gqa",
        lowRank(8, 16, .names(["q_proj", "v_proj"])) {
            $0.dividesByRoot = true
            $0.rankPattern = [("layers.0.self_attn.q_proj", 5), ("self_attn.v_proj", 3)]
            $0.alphaPattern = [("1.self_attn.q_proj", 6), ("q_proj", 11)]
        }
    ),
    (
        "llama-dora", "llama-gqa",
        lowRank(4, 8, .names(["q_proj", "k_proj", "o_proj", "down_proj"])) {
            $0.hasMagnitudes = true
        }
    ),
    ("llama-head", "llama-gqa", lowRank(2, 2, .names(["lm_head", "up_proj"]))),
    ("llama-tied", "llama-tied", lowRank(3, 6, .names(["lm_head", "k_proj"]))),
    ("qwen2-all", "qwen2", lowRank(4, 8, .allLinear)),
    (
        "qwen2-dora", "qwen2",
        lowRank(4, 4, .names(["q_proj", "v_proj", "gate_proj"])) {
            $0.hasMagnitudes = true
            $0.dividesByRoot = true
        }
    ),
]

private func lowRank(
    _ rank: Int, _ alpha: Double, _ targets: LowRankConfiguration.Targets,
    _ change: (inout LowRankConfiguration) -> Void = { _ in }
) -> LowRankConfiguration {
    var configuration = LowRankConfiguration()
    configuration.rank = rank
    configuration.alpha = alpha
    configuration.targets = targets
    change(&configuration)
    return configuration
}

/// The two sequences of a base's golden, with the weights of a training golden.
private func samples(of base: ModelCase, _ golden: GoldenFile) throws -> TrainingTokens {
    let tokens = [try base.tokens(0), try base.tokens(1)]
    return TrainingTokens(
        tokens: tokens.flatMap { $0 },
        weights: try golden.floats("weights.0") + golden.floats("weights.1"),
        lengths: tokens.map(\.count))
}

@Suite("Training against transformers and peft")
struct TrainableModelTests {
    private let device = Device(threads: 2, precision: .f32)

    @Test("gives transformers' loss and the gradient of every parameter", arguments: trainedCases)
    func agreesWithAutograd(_ name: String) throws {
        let golden = try GoldenFile("training/models.\(name).safetensors")
        let base = try ModelCase(folder: name)
        let model = try TrainableModel(base.checkpoint, method: .full, on: device)
        let samples = try samples(of: base, golden)
        var statistics = LossStatistics()
        let total = samples.weights.reduce(0) { $0 + Double($1) }
        try model.addGradients(
            of: samples, normalizer: total, statistics: &statistics, on: device)
        expectClose(
            [Float(statistics.meanLoss)], try golden.floats("loss"), Tolerance(relative: 1e-5))
        let expected = golden.names.filter { $0.hasPrefix("grad.") }
        #expect(Set(expected) == Set(model.parameters.map { "grad." + $0.name }))
        for parameter in model.parameters {
            let reference = try golden.floats("grad." + parameter.name)
            let largest = reference.reduce(0) { max($0, abs(Double($1))) }
            // Two layers of sums of 60 tokens, heads and widths: chains of a few thousand roundings.
            expectClose(
                try #require(parameter.rowMajorGradient()), reference,
                Tolerance(sumLength: 4096, magnitude: largest), parameter.name)
        }
    }

    @Test("gives transformers' log-probabilities of every token", arguments: trainedCases)
    func logProbabilities(_ name: String) throws {
        let golden = try GoldenFile("training/models.\(name).safetensors")
        let base = try ModelCase(folder: name)
        let model = try TrainableModel(base.checkpoint, method: .full, on: device)
        let found = model.logProbabilities(of: try samples(of: base, golden), on: device)
        expectClose(
            found, try golden.floats("logprobs.0") + golden.floats("logprobs.1"),
            Tolerance(absolute: 1e-4))
    }

    @Test("follows peft for twenty steps", arguments: trainedAdapters.map(\.name))
    func followsPEFT(_ name: String) throws {
        let entry = try #require(trainedAdapters.first { $0.name == name })
        let golden = try GoldenFile("training/adapters.\(name).safetensors")
        let file = try GoldenFile("adapters/\(name)/adapter_model.safetensors")
        let base = try ModelCase(folder: entry.base)
        let model = try TrainableModel(
            base.checkpoint, method: .lowRank(entry.configuration), on: device)
        #expect(Set(model.parameters.map(\.name)) == Set(file.names))
        #expect(model.tokensPerPass == 512)
        for parameter in model.parameters {
            #expect(parameter.shape == (try file.shape(parameter.name)))
            parameter.load(rowMajor: try file.floats(parameter.name))
        }
        try expectSameCourse(model, samples(of: base, golden), golden)
    }

    @Test("follows peft for twenty steps over a base in double-quantised NF4")
    func followsQLoRA() throws {
        let golden = try GoldenFile("training/qlora/golden.safetensors")
        let model = try TrainableModel(
            Checkpoint(path: Goldens.path("training/qlora")),
            method: .lowRank(lowRank(4, 8, .allLinear)),
            frozen: .fourBit(.nf4, doubleQuantized: true), on: device)
        #expect(model.tokensPerPass == 256)
        let names = golden.names.filter { $0.hasPrefix("adapter.") }
        #expect(Set(names) == Set(model.parameters.map { "adapter." + $0.name }))
        for parameter in model.parameters {
            parameter.load(rowMajor: try golden.floats("adapter." + parameter.name))
        }
        let tokens = try (0..<2).map { try golden.ints("ids.\($0)").map { Int32($0) } }
        let samples = TrainingTokens(
            tokens: tokens.flatMap { $0 },
            weights: try golden.floats("weights.0") + golden.floats("weights.1"),
            lengths: tokens.map(\.count))
        try expectSameCourse(model, samples, golden)
    }

    /// Twenty steps of plain descent: the first gradients, and all losses.
    private func expectSameCourse(
        _ model: TrainableModel, _ samples: TrainingTokens, _ golden: GoldenFile
    ) throws {
        model.parametersChanged(on: device)
        let total = samples.weights.reduce(0) { $0 + Double($1) }
        var losses: [Float] = []
        for step in 0..<20 {
            model.zeroGradients()
            var statistics = LossStatistics()
            try model.addGradients(
                of: samples, normalizer: total, statistics: &statistics, on: device)
            losses.append(Float(statistics.meanLoss))
            for parameter in model.parameters {
                let gradient = try #require(parameter.rowMajorGradient())
                if step == 0 {
                    let reference = try golden.floats("grad." + parameter.name)
                    let largest = reference.reduce(0) { max($0, abs(Double($1))) }
                    expectClose(
                        gradient, reference, Tolerance(sumLength: 4096, magnitude: largest),
                        parameter.name)
                }
                parameter.descend(rate: 0.001)
            }
            model.parametersChanged(on: device)
        }
        expectClose(losses, try golden.floats("losses"), Tolerance(relative: 1e-4))
    }

    @Test("starts an adapter at its base exactly, and serves the one that is trained")
    func freshAdapter() throws {
        let base = try ModelCase(folder: "llama-gqa")
        for hasMagnitudes in [false, true] {
            let configuration = lowRank(4, 8, .allLinear) { $0.hasMagnitudes = hasMagnitudes }
            let model = try TrainableModel(
                base.checkpoint, method: .lowRank(configuration), on: device)
            let tokens = try base.tokens(1)
            let plain = logits(model.decoder, tokens, on: device)
            let fresh = logits(
                model.decoder, tokens, Feeding(adapter: model.adapter), on: device)
            #expect(fresh == plain, "DoRA \(hasMagnitudes)")
            let down = try #require(model.parameters.first)
            #expect(down.name.hasSuffix("q_proj.lora_A.weight"))
            let bound = 1 / Float(32).squareRoot()
            #expect(down.rowMajor().allSatisfy { abs($0) <= bound })
            #expect(Set(down.rowMajor()).count > down.count / 2)
        }
    }

    @Test("gives an embedding's update the gradients of finite differences, tied head or not")
    func updatesEmbeddings() throws {
        for name in ["llama-gqa", "llama-tied"] {
            let base = try ModelCase(folder: name)
            let configuration = lowRank(3, 6, .names(["embed_tokens", "v_proj"]))
            let model = try TrainableModel(
                base.checkpoint, method: .lowRank(configuration), on: device)
            let ends = ["lora_embedding_A", "lora_embedding_B"]
            let found = model.parameters.filter { parameter in
                ends.contains { parameter.name.hasSuffix($0) }
            }
            try #require(found.count == 2)
            let (down, up) = (found[0], found[1])
            let shape = model.decoder.shape
            #expect(down.shape == [shape.vocabularySize, 3] && up.shape == [shape.width, 3])
            #expect(down.rowMajor().allSatisfy { $0 == 0 })
            #expect(up.rowMajor().contains { $0 != 0 })
            let tokens = try base.tokens(0)
            let samples = TrainingTokens(
                tokens: tokens, weights: tokens.map { _ in 1 }, lengths: [tokens.count])
            let untouched = try TrainableModel(base.checkpoint, method: .full, on: device)
            #expect(
                model.logProbabilities(of: samples, on: device)
                    == untouched.logProbabilities(of: samples, on: device))
            down.load(rowMajor: (0..<down.count).map { Float($0 % 7 - 3) * 0.02 })
            up.load(rowMajor: (0..<up.count).map { Float($0 % 5 - 2) * 0.1 })
            func loss() throws -> Double {
                model.parametersChanged(on: device)
                var statistics = LossStatistics()
                model.addLoss(of: samples, statistics: &statistics, on: device)
                return statistics.lossSum
            }
            model.parametersChanged(on: device)
            var statistics = LossStatistics()
            model.zeroGradients()
            try model.addGradients(
                of: samples, normalizer: 1, statistics: &statistics, on: device)
            for (parameter, places) in [
                (down, (0..<3).map { 3 * Int(tokens[1]) + $0 }), (up, [0, 7, up.count - 1]),
            ] {
                let gradient = try #require(parameter.rowMajorGradient())
                let values = parameter.rowMajor()
                for place in places {
                    let step: Float = 0.02
                    func moved(by step: Float) throws -> Double {
                        var changed = values
                        changed[place] += step
                        parameter.load(rowMajor: changed)
                        return try loss()
                    }
                    let slope = (try moved(by: step) - moved(by: -step)) / Double(2 * step)
                    parameter.load(rowMajor: values)
                    let tolerance = 0.02 * max(0.1, abs(slope))
                    #expect(
                        abs(Double(gradient[place]) - slope) < tolerance,
                        "\(name) \(parameter.name)[\(place)]: \(gradient[place]), \(slope)")
                }
            }
            // Tokens that are not there have no gradient.
            let gradient = try #require(down.rowMajorGradient())
            let absent = try #require(
                (0..<shape.vocabularySize).first { !tokens.contains(Int32($0)) })
            #expect(gradient[3 * absent..<3 * absent + 3].allSatisfy { $0 == 0 })
        }
        var magnitudes = lowRank(3, 6, .names(["embed_tokens"]))
        magnitudes.hasMagnitudes = true
        #expect {
            try TrainableModel(
                ModelCase(folder: "llama-gqa").checkpoint, method: .lowRank(magnitudes),
                on: device)
        } throws: { "\($0)".contains("use_dora") && "\($0)".contains("embed_tokens") }
    }

    @Test("descends on random weights, and draws them by name")
    func random() throws {
        let base = try ModelCase(folder: "qwen3-tied")
        let (_, shape) = try Families.shape(of: base.checkpoint)
        let model = try TrainableModel(random: shape, seed: 5, on: device)
        let again = try TrainableModel(random: shape, seed: 5, on: device)
        #expect(model.parameters.map { $0.rowMajor() } == again.parameters.map { $0.rowMajor() })
        let table = try #require(model.parameters.first).rowMajor()
        let mean = table.reduce(0) { $0 + Double($1) } / Double(table.count)
        let squares = table.reduce(0) { $0 + Double($1 * $1) }
        let deviation = (squares / Double(table.count)).squareRoot()
        #expect(abs(mean) < 0.02 * 4 / Double(table.count).squareRoot())
        #expect(abs(deviation - 0.02) < 0.001)
        let tokens = try base.tokens(1)
        let samples = TrainingTokens(
            tokens: tokens, weights: tokens.map { _ in 1 }, lengths: [tokens.count])
        var losses: [Double] = []
        for _ in 0..<30 {
            model.zeroGradients()
            var statistics = LossStatistics()
            try model.addGradients(
                of: samples, normalizer: Double(tokens.count - 1), statistics: &statistics,
                on: device)
            losses.append(statistics.meanLoss)
            for parameter in model.parameters { parameter.descend(rate: 1) }
        }
        #expect(abs(losses[0] - deterministicLog(Double(shape.vocabularySize))) < 0.05)
        #expect(losses[29] < losses[0] - 0.5, "\(losses)")
    }

    @Test("trains the layers and weights that a rule names, and no others")
    func freeze() throws {
        let base = try ModelCase(folder: "llama-gqa")
        func names(_ rule: FreezeRule) throws -> [String] {
            try TrainableModel(base.checkpoint, method: .freeze(rule), on: device)
                .parameters.map(\.name)
        }
        let last = try names(FreezeRule(layers: 1))
        #expect(last.count == 9 && last.allSatisfy { $0.hasPrefix("model.layers.1.") })
        let first = try names(FreezeRule(layers: -1, modules: ["mlp"]))
        #expect(first.count == 3 && first.allSatisfy { $0.hasPrefix("model.layers.0.mlp.") })
        #expect(
            try names(FreezeRule(layers: 0, others: ["lm_head", "embed_tokens"])) == [
                "model.embed_tokens.weight", "lm_head.weight",
            ])
        #expect(throws: TrainingError.self) { try names(FreezeRule(layers: 0)) }
        let full = try gradients(base, .full)
        let part = try gradients(base, .freeze(FreezeRule(layers: 1, others: ["norm"])))
        for (name, gradient) in part { #expect(full[name] == gradient, "\(name)") }
        #expect(part.count == 10)
    }

    private func gradients(
        _ base: ModelCase, _ method: TrainingMethod
    ) throws -> [String: FloatBits] {
        let model = try TrainableModel(base.checkpoint, method: method, on: device)
        let tokens = try base.tokens(1)
        let samples = TrainingTokens(
            tokens: tokens, weights: tokens.map { _ in 1 }, lengths: [tokens.count])
        var statistics = LossStatistics()
        try model.addGradients(of: samples, normalizer: 1, statistics: &statistics, on: device)
        return Dictionary(
            uniqueKeysWithValues: try model.parameters.map {
                ($0.name, FloatBits(try #require($0.rowMajorGradient())))
            })
    }

    @Test("refuses targets that are not there")
    func wrongTargets() throws {
        let base = try ModelCase(folder: "llama-gqa")
        func open(_ change: (inout LowRankConfiguration) -> Void) throws {
            var configuration = LowRankConfiguration()
            change(&configuration)
            _ = try TrainableModel(
                base.checkpoint, method: .lowRank(configuration), on: device)
        }
        #expect(throws: AdapterError.self) { try open { $0.targets = .names(["q_prj"]) } }
        #expect(throws: AdapterError.self) { try open { $0.targets = .pattern("nothing") } }
        #expect(throws: AdapterError.self) { try open { $0.targets = .pattern("(") } }
        #expect(throws: AdapterError.self) { try open { $0.rank = 0 } }
        #expect(throws: AdapterError.self) { try open { $0.dropout = 1 } }
        #expect(throws: TrainingError.self) {
            _ = try TrainableModel(
                base.checkpoint,
                method: .lowRank(LowRankConfiguration(), whole: ["embed_token"]), on: device)
        }
    }

    @Test("names the first operation whose numbers are not finite")
    func tripwire() throws {
        let base = try ModelCase(folder: "llama-gqa")
        let model = try TrainableModel(base.checkpoint, method: .full, on: device)
        let broken = try #require(
            model.parameters.first { $0.name == "model.layers.1.mlp.up_proj.weight" })
        broken.values[3] = .infinity
        let tokens = try base.tokens(0)
        let samples = TrainingTokens(
            tokens: tokens, weights: tokens.map { _ in 1 }, lengths: [tokens.count])
        var statistics = LossStatistics()
        do {
            try model.addGradients(
                of: samples, normalizer: 1, statistics: &statistics, on: device)
            Issue.record("no fault was found")
        } catch {
            #expect(error.operation == "linear" && error.place == "model.layers.1")
            #expect(error.direction == .forward)
        }
    }
}

extension Parameter {
    /// One step of plain gradient descent.
    func descend(rate: Float) {
        guard let gradient else { return }
        for index in 0..<storageCount { values[index] -= rate * gradient[index] }
    }
}
