import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

@Suite("Log-probabilities in training and in the engine")
struct TrainingLogProbabilityTests {
    @Test(
        "have the same bits, with and without an adapter",
        arguments: ["llama-gqa", "qwen2", "llama-tied"], [false, true])
    func same(_ name: String, adapted: Bool) throws {
        let device = Device(threads: 2)
        let checkpoint = try Checkpoint(path: Goldens.path("models/" + name))
        var configuration = LowRankConfiguration()
        configuration.targets = .pattern(".*(q_proj|v_proj|down_proj|lm_head)")
        configuration.hasMagnitudes = true
        let model = try TrainableModel(
            checkpoint, method: adapted ? .lowRank(configuration) : .full, on: device)
        for parameter in model.parameters where parameter.name.hasSuffix("lora_B.weight") {
            parameter.load(rowMajor: (0..<parameter.count).map { Float($0 % 5 - 2) * 0.1 })
        }
        model.parametersChanged(on: device)
        let golden = try GoldenFile("models/\(name)/golden.safetensors")
        let tokens = try golden.ints("ids.1").map { Int32($0) }
        let trained = model.logProbabilities(
            of: TrainingTokens(
                tokens: tokens, weights: tokens.map { _ in 1 }, lengths: [tokens.count]),
            on: device)
        let cache = KeyValueBlocks(layout: model.decoder.cacheLayout(type: .f32))
        let blocks = (0..<Int32(tokens.count / KeyValueLayout.blockTokens + 1)).map { $0 }
        var served: [Float] = [0]
        for (position, next) in tokens.dropFirst().enumerated() {
            let batch = TokenBatch(
                tokens: [tokens[position]], firstPosition: position, blocks: blocks,
                adapter: model.adapter)
            let hidden = model.decoder.hiddenStates(batch, cache: cache, on: device)
            let logits = model.decoder.logits(
                hidden: hidden, rows: [0], of: batch, on: device
            ).row(0)
            served.append(
                try logProbabilities(of: logits.span, token: next, topCount: 0).chosen
                    .logProbability)
        }
        #expect(FloatBits(trained) == FloatBits(served))
    }
}
