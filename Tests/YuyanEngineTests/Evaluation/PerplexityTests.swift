import TestSupport
import Testing
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Perplexity")
struct PerplexityTests {
    private static let families = ["llama-gqa", "qwen2", "qwen3"]

    @Test("is exp of the mean loss under the reference's logits", arguments: families)
    func agreesWithReference(_ name: String) throws {
        let fixture = try EvaluationFixture(name)
        let count = fixture.ids.count
        let windows = try EvaluationWindows(tokens: fixture.ids, context: count)
        let result = try perplexity(
            of: windows, model: fixture.decoder, device: Device(threads: 2, precision: .f32),
            keyValueType: .f32)
        let losses = (count / 2..<count - 1).map {
            -naiveLogSoftmax(fixture.reference[$0])[Int(fixture.ids[$0 + 1])]
        }
        let mean = losses.reduce(0, +) / Double(losses.count)
        let variance = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(losses.count)
        #expect(result.scoredTokens == losses.count)
        expectClose([result.meanLoss], [mean], Tolerance(absolute: 1e-4))
        expectClose([result.value], [exp(mean)], Tolerance(relative: 1e-4))
        expectClose(
            [result.lossError], [(variance / Double(losses.count - 1)).squareRoot()],
            Tolerance(relative: 1e-3))
    }

    @Test(
        "of a real model is that of transformers on the same weights",
        .enabled(if: Models.smolLM2 != nil), arguments: Precision.allCases)
    func agreesOnRealModel(_ precision: Precision) throws {
        let device = Device(threads: 2, precision: precision)
        let real = try RealModel(on: device)
        let count = real.ids.count
        let result = try perplexity(
            of: EvaluationWindows(tokens: real.ids, context: count), model: real.decoder,
            device: device)
        let scored = real.logProbabilities[count / 2..<count - 1]
        #expect(result.scoredTokens == scored.count)
        expectClose(
            [result.meanLoss], [-scored.reduce(0, +) / Double(scored.count)],
            Tolerance(absolute: 1e-3))
    }

    @Test("reads each window alone, behind its beginning token")
    func windowsAreAlone() throws {
        let fixture = try EvaluationFixture("llama-gqa")
        let device = Device(threads: 2, precision: .f32)
        let windows = try EvaluationWindows(tokens: fixture.ids, context: 11, beginning: 1)
        let result = try perplexity(
            of: windows, model: fixture.decoder, device: device, keyValueType: .f32)
        var losses: [Double] = []
        for start in stride(from: 0, through: fixture.ids.count - 11, by: 11) {
            let logits = try fixture.logits([1] + fixture.ids[start + 1..<start + 11], on: device)
            losses += (5..<10).map {
                -naiveLogSoftmax(logits[$0])[Int(fixture.ids[start + $0 + 1])]
            }
        }
        #expect(windows.count == 4)
        #expect(result.scoredTokens == losses.count)
        expectClose(
            [result.meanLoss], [losses.reduce(0, +) / Double(losses.count)],
            Tolerance(absolute: 1e-6))
    }

    @Test("has the same bits for any number of threads", arguments: Precision.allCases)
    func threadsDoNotMatter(_ precision: Precision) throws {
        let fixture = try EvaluationFixture("qwen3")
        let windows = try EvaluationWindows(tokens: fixture.ids, context: 15)
        let results = try [1, 2, 3].map {
            try perplexity(
                of: windows, model: fixture.decoder,
                device: Device(threads: $0, precision: precision))
        }
        #expect(Set(results).count == 1)
    }

    @Test("reports every window, the last with the final figure")
    func reports() throws {
        let fixture = try EvaluationFixture("llama-gqa")
        let windows = try EvaluationWindows(tokens: fixture.ids, context: 10)
        var seen: [Int] = []
        var last: Perplexity?
        let result = try perplexity(
            of: windows, model: fixture.decoder, device: Device(threads: 1)
        ) {
            seen.append($0)
            last = $1
        }
        #expect(seen == [1, 2, 3, 4])
        #expect(last == result)
    }

    @Test("refuses tokens and windows that the model does not have")
    func refuses() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        let device = Device(threads: 1)
        let limit = decoder.shape.maximumPositions
        let long = try EvaluationWindows(
            tokens: Array(repeating: 1, count: limit + 1), context: limit + 1)
        #expect(throws: EvaluationError.contextExceeded(context: limit + 1, limit: limit)) {
            try perplexity(of: long, model: decoder, device: device)
        }
        let strange = try EvaluationWindows(tokens: [1, 2, 96, 3], context: 4)
        #expect(throws: EvaluationError.unknownToken(96, vocabularySize: 96)) {
            try perplexity(of: strange, model: decoder, device: device)
        }
    }
}
