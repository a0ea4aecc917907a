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

@Suite("Divergence")
struct DivergenceTests {
    private let device = Device(threads: 2, precision: .f32)

    @Test("of a model from itself is zero, with the same top token everywhere")
    func zeroFromItself() throws {
        let fixture = try EvaluationFixture("llama-gqa")
        let windows = try EvaluationWindows(tokens: fixture.ids, context: 16)
        let own = EvaluatedModel(model: fixture.decoder, device: device)
        let result = try divergence(of: own, from: own, on: windows)
        #expect(result.sortedDivergences == Array(repeating: 0, count: 2 * 7))
        #expect(result.sameTop == 1)
        #expect(result.logRatio == 0)
        #expect(result.rmsProbabilityChange == 0)
        #expect(result.perplexity == result.basePerplexity)
    }

    @Test("of two models is what float64 sums over their logits give")
    func agreesWithNaive() throws {
        let (model, base) = (
            try EvaluationFixture("llama-gqa"), try EvaluationFixture("llama-head-dim")
        )
        let context = 20
        let windows = try EvaluationWindows(tokens: model.ids, context: context)
        let result = try divergence(
            of: EvaluatedModel(model: model.decoder, device: device, keyValueType: .f32),
            from: EvaluatedModel(model: base.decoder, device: device, keyValueType: .f32),
            on: windows)
        var divergences: [Double] = []
        var changes: [Double] = []
        var ratios: [Double] = []
        var same = 0
        for start in stride(from: 0, through: model.ids.count - context, by: context) {
            let ids = Array(model.ids[start..<start + context])
            let q = try model.logits(ids, on: device).map(naiveLogSoftmax)
            let p = try base.logits(ids, on: device).map(naiveLogSoftmax)
            for row in context / 2..<context - 1 {
                divergences.append(zip(p[row], q[row]).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) })
                let target = Int(ids[row + 1])
                changes.append(exp(q[row][target]) - exp(p[row][target]))
                ratios.append(p[row][target] - q[row][target])
                if p[row].firstIndex(of: p[row].max() ?? 0)
                    == q[row].firstIndex(
                        of: q[row].max() ?? 0)
                {
                    same += 1
                }
            }
        }
        let count = Double(divergences.count)
        let tolerance = Tolerance(absolute: 1e-9, relative: 1e-9)
        expectClose(result.sortedDivergences, divergences.sorted(), tolerance)
        expectClose([result.mean], [divergences.reduce(0, +) / count], tolerance)
        expectClose([result.logRatio], [ratios.reduce(0, +) / count], tolerance)
        expectClose([result.meanProbabilityChange], [changes.reduce(0, +) / count], tolerance)
        expectClose(
            [result.meanAbsoluteProbabilityChange],
            [changes.reduce(0) { $0 + abs($1) } / count], tolerance)
        expectClose(
            [result.rmsProbabilityChange],
            [(changes.reduce(0) { $0 + $1 * $1 } / count).squareRoot()], tolerance)
        #expect(result.largestProbabilityChange == result.largestProbabilityChange.magnitude)
        expectClose(
            [result.largestProbabilityChange], [changes.map(abs).max() ?? 0], tolerance)
        #expect(result.sameTop == Double(same) / count)
    }

    @Test("quantiles interpolate between neighbours, from the least to the greatest")
    func quantiles() throws {
        let rows = [3.0, 0.0, 1.0, 2.0].map {
            RowDivergence(
                loss: 1, baseLoss: 1, divergence: $0, sameTop: true, logitChange: Float($0) / 2)
        }
        let result = Divergence(rows)
        #expect(result.largestLogitChange == 1.5)
        expectClose(
            [0, 0.25, 0.5, 0.99, 1].map(result.quantile), [0, 0.75, 1.5, 2.97, 3],
            Tolerance(absolute: 1e-12))
    }

    @Test("models of different vocabularies are refused", .enabled(if: Models.smolLM2 != nil))
    func refusesVocabularies() throws {
        let small = try EvaluationFixture("llama-gqa")
        let large = try RealModel(on: device)
        let windows = try EvaluationWindows(tokens: small.ids, context: 8)
        #expect(throws: EvaluationError.vocabularies(96, base: 49152)) {
            try divergence(
                of: EvaluatedModel(model: small.decoder, device: device),
                from: EvaluatedModel(model: large.decoder, device: device), on: windows)
        }
    }

    @Test(
        "16-bit activations move a real model by less than 1e-5 nats",
        .enabled(if: Models.smolLM2 != nil), arguments: [KeyValueType.f16, .f32])
    func roundedActivations(_ kv: KeyValueType) throws {
        let real = try RealModel(on: device)
        let windows = try EvaluationWindows(tokens: real.ids, context: 32)
        let result = try divergence(
            of: EvaluatedModel(
                model: real.decoder, device: Device(threads: 2, precision: .int16),
                keyValueType: kv),
            from: EvaluatedModel(model: real.decoder, device: device, keyValueType: kv),
            on: windows)
        #expect(result.mean > 0 && result.mean < 1e-5)
        #expect(result.sameTop > 0.95)
        expectClose([result.logRatio], [0], Tolerance(absolute: 2e-3))
    }
}
