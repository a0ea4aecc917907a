import Testing
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

@Suite("Speed")
struct SpeedTests {
    private let device = Device(threads: 2)

    @Test("has one rate for each counted run, and none for what was not asked")
    func counts() throws {
        let model = EvaluatedModel(
            model: try EvaluationFixture("llama-gqa").decoder, device: device)
        var seen: [Int] = []
        let both = try measuredSpeed(
            of: model, promptTokens: 40, generateTokens: 5, repeats: 3, chunkSize: 16
        ) { seen.append($0) }
        #expect(seen == [1, 2, 3])
        #expect(both.prefill.count == 3 && both.decode.count == 3)
        #expect((both.prefill + both.decode).allSatisfy { $0 > 0 && $0 < 1e9 })
        let decodeOnly = try measuredSpeed(
            of: model, promptTokens: 0, generateTokens: 2, repeats: 1)
        #expect(decodeOnly.prefill.isEmpty && decodeOnly.decode.count == 1)
    }

    @Test("a prompt beyond the model's context is refused")
    func refuses() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        let limit = decoder.shape.maximumPositions
        let expected = GenerationError.contextExceeded(promptTokens: limit + 1, limit: limit)
        #expect(throws: expected) {
            try measuredSpeed(
                of: EvaluatedModel(model: decoder, device: device), promptTokens: limit + 1,
                generateTokens: 1, repeats: 1)
        }
    }

    @Test("of a batch has one rate a run and one time a step")
    func batch() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        let model = EvaluatedModel(model: decoder, device: device)
        let speed = try measuredBatchSpeed(
            of: model, sequences: 3, contextTokens: 5, steps: 4, repeats: 2)
        #expect(speed.sequences == 3 && speed.tokensPerSecond.count == 2)
        #expect(speed.stepSeconds.count == 8 && speed.stepSeconds.allSatisfy { $0 > 0 })
        let limit = decoder.shape.contextLength
        let expected = GenerationError.contextExceeded(promptTokens: limit + 1, limit: limit)
        #expect(throws: expected) {
            try measuredBatchSpeed(
                of: model, sequences: 2, contextTokens: limit, steps: 1, repeats: 1)
        }
    }

    @Test("a spread has the least, the middle and the greatest")
    func spread() {
        let odd = Spread([5, 1, 3])
        #expect([odd.least, odd.median, odd.greatest] == [1, 3, 5])
        let even = Spread([4, 1, 2, 8])
        #expect([even.least, even.median, even.greatest] == [1, 3, 8])
        #expect(Spread([7]) == Spread([7, 7, 7]))
    }
}

@Suite("ModelCost")
struct ModelCostTests {
    @Test("counts what the shape says: projections and head, panels padded to 16 rows")
    func agreesWithShape() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        let shape = decoder.shape
        let (c, f, v) = (shape.width, shape.hiddenWidth, shape.vocabularySize)
        let kv = shape.keyValueHeads * shape.headDimension
        #expect([c, f, v, kv, shape.layerCount] == [32, 40, 96, 16, 2])
        #expect(decoder.headMultiplyAdds == v * c)
        #expect(
            decoder.multiplyAddsPerToken
                == 2 * (2 * c * c + 2 * kv * c + 3 * c * f) + v * c)
        // Float32; gate and up have 40 rows, which take three panels of 16.
        let layer = 2 * c * c + 2 * kv * c + 2 * 48 * c + c * f
        #expect(decoder.bytesReadPerToken == 4 * (2 * layer + v * c))
        #expect(decoder.weightBytes == decoder.bytesReadPerToken + 4 * v * c)
    }

    @Test("a tied embedding is held once")
    func tied() throws {
        let decoder = try EvaluationFixture("llama-tied").decoder
        #expect(decoder.shape.tiedEmbeddings)
        #expect(decoder.weightBytes == decoder.bytesReadPerToken)
    }
}
