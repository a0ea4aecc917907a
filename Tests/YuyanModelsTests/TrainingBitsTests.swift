import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// How a step over some samples is computed; the result must not depend on it.
private struct Way: CustomStringConvertible, Sendable {
    var threads = 1
    var samplesPerCall = Int.max
    var tokensPerPass = 10_000
    var checkpoints = false
    var instructionSet = InstructionSet.best

    var description: String {
        "\(threads) threads, \(samplesPerCall) samples a call, \(tokensPerPass) tokens a pass, "
            + "checkpointing \(checkpoints), \(instructionSet)"
    }
}

private let ways: [Way] = [
    Way(threads: 2), Way(threads: 3), Way(samplesPerCall: 1), Way(samplesPerCall: 3),
    Way(tokensPerPass: 1), Way(tokensPerPass: 40), Way(checkpoints: true),
    Way(threads: 2, samplesPerCall: 2, tokensPerPass: 20, checkpoints: true),
    Way(instructionSet: .scalar),
]

@Suite("The same bits of gradients come")
struct TrainingBitsTests {
    private static let methods: [(name: String, method: TrainingMethod, frozen: FrozenWeights)] = [
        ("full", .full, .stored),
        ("LoRA", .lowRank(configuration()), .stored),
        (
            "DoRA with dropout and the head",
            .lowRank(
                configuration {
                    $0.hasMagnitudes = true
                    $0.dropout = 0.25
                    $0.targets = .pattern(".*(q_proj|down_proj|lm_head)")
                }, whole: ["embed_tokens", "norm"]), .widened
        ),
        (
            "LoRA of the embedding",
            .lowRank(configuration { $0.targets = .names(["embed_tokens", "q_proj"]) }), .stored
        ),
    ]

    private static func configuration(
        _ change: (inout LowRankConfiguration) -> Void = { _ in }
    ) -> LowRankConfiguration {
        var configuration = LowRankConfiguration()
        configuration.initialization = .gaussian
        change(&configuration)
        return configuration
    }

    @Test("whatever threads, cuts, company, instructions and checkpointing", arguments: 0..<4)
    func sameBits(_ index: Int) throws {
        for name in ["llama-tied", "qwen2"] {
            let base = try ModelCase(folder: name)
            let expected = try step(base.checkpoint, index, Way())
            #expect(expected.gradients.contains { $0.patterns.contains { $0 != 0 } })
            for way in ways {
                let found = try step(base.checkpoint, index, way)
                #expect(found.statistics == expected.statistics, "\(name), \(way)")
                #expect(found.gradients == expected.gradients, "\(name), \(way)")
            }
        }
    }

    @Test("over block-quantised weights too, in both precisions", arguments: Precision.allCases)
    func sameBitsQuantised(_ precision: Precision) throws {
        let checkpoint = try SyntheticModel.small.checkpoint()
        let expected = try step(checkpoint, 1, Way(), precision)
        for way in ways {
            let found = try step(checkpoint, 1, way, precision)
            #expect(found.statistics == expected.statistics, "\(way)")
            #expect(found.gradients == expected.gradients, "\(way)")
        }
    }

    private func step(
        _ checkpoint: Checkpoint, _ method: Int, _ way: Way, _ precision: Precision = .int16
    ) throws -> (statistics: LossStatistics, gradients: [FloatBits]) {
        let device = Device(
            threads: way.threads, instructionSet: way.instructionSet, precision: precision)
        let entry = Self.methods[method]
        let model = try TrainableModel(
            checkpoint, method: entry.method, frozen: entry.frozen, on: device)
        model.tokensPerPass = way.tokensPerPass
        model.checkpointsLayers = way.checkpoints
        // What begins at zero is moved away from it, so that the other matrix receives gradients.
        for parameter in model.parameters
        where parameter.name.hasSuffix("lora_B.weight")
            || parameter.name.hasSuffix("lora_embedding_A")
        {
            parameter.load(
                rowMajor: (0..<parameter.count).map { Float($0 % 7 - 3) * 0.05 })
        }
        model.parametersChanged(on: device)
        var random = SeededGenerator(seed: 11)
        let lengths = [13, 2, 33, 5, 40, 8]
        let choices: [Float] = [0, 1, 0.5, 1]
        var samples: [(tokens: [Int32], weights: [Float])] = []
        for length in lengths {
            let tokens = (0..<length).map { _ in Int32.random(in: 3..<60, using: &random) }
            let weights = (0..<length).map { _ in
                choices[Int.random(in: 0..<4, using: &random)]
            }
            samples.append((tokens, weights))
        }
        let total = samples.reduce(0.0) { sum, sample in
            sample.weights.dropFirst().reduce(sum) { $0 + Double($1) }
        }
        var statistics = LossStatistics()
        var (first, tokensBefore) = (0, 0)
        while first < samples.count {
            let part = samples[first..<min(samples.count, first + min(99, way.samplesPerCall))]
            try model.addGradients(
                of: TrainingTokens(
                    tokens: part.flatMap { $0.tokens }, weights: part.flatMap { $0.weights },
                    lengths: part.map { $0.tokens.count }, firstToken: UInt64(tokensBefore)),
                normalizer: total, statistics: &statistics, seed: 3, on: device)
            first += part.count
            tokensBefore += part.reduce(0) { $0 + $1.tokens.count }
        }
        return (
            statistics, try model.parameters.map { FloatBits(try #require($0.rowMajorGradient())) }
        )
    }

    @Test("of log-probabilities, whatever their company and cut")
    func logProbabilities() throws {
        let base = try ModelCase(folder: "llama-gqa")
        let model = try TrainableModel(base.checkpoint, method: .full, on: Device(threads: 2))
        let tokens = [try base.tokens(0), try base.tokens(1)]
        func found(_ tokens: [[Int32]]) -> [Float] {
            model.logProbabilities(
                of: TrainingTokens(
                    tokens: tokens.flatMap { $0 },
                    weights: tokens.flatMap { $0.map { _ in 0 } }, lengths: tokens.map(\.count)),
                on: Device(threads: 2))
        }
        #expect(found(tokens) == found([tokens[0]]) + found([tokens[1]]))
    }
}
