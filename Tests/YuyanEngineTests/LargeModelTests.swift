import TestSupport
import Testing
import YuyanModels
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

@Suite(
    "Qwen2.5-Coder Q4_K_M", .serialized,
    .enabled(if: Models.testsLargeModels, "set YUYAN_MODEL_TESTS, as make test-models does"))
struct LargeModelTests {
    /// "Once upon a time"; the 1.5B model's answer is llama.cpp's, ", there was a".
    private let prompt: [Int32] = [12522, 5193, 264, 882]

    @Test("continues a known prompt as llama.cpp does")
    func continues() throws {
        let device = Device()
        let path = try #require(Models.qwenCoder("1.5b"))
        let session = Session(
            model: try Decoder(Checkpoint(path: path), on: device), device: device)
        var parameters = SamplingParameters()
        (parameters.temperature, parameters.maxTokens) = (0, 4)
        let answer = try session.generate(
            prompt: prompt, parameters: parameters, endOfSequence: [])
        #expect(answer.tokens == [11, 1052, 572, 264])
    }

    @Test("int16 stays within 1e-5 of f32 in mean KL", arguments: ["0.5b", "1.5b"])
    func fidelity(_ size: String) throws {
        let path = try #require(Models.qwenCoder(size))
        let devices = [Precision.f32, .int16].map { Device(precision: $0) }
        let model = try Decoder(Checkpoint(path: path), on: devices[0])
        var parameters = SamplingParameters()
        (parameters.temperature, parameters.maxTokens) = (0, 44)
        let text = try Session(model: model, device: devices[1]).generate(
            prompt: prompt, parameters: parameters, endOfSequence: [])
        let tokens = prompt + text.tokens
        var rows: [[[Float]]] = []
        for device in devices {
            var logits: [[Float]] = []
            _ = try Session(model: model, device: device).prefill(tokens) { _, row in
                logits.append(Array(row))
            }
            rows.append(logits)
        }
        let divergences = zip(rows[0], rows[1]).map(divergence)
        #expect(divergences.count == tokens.count)
        #expect(divergences.reduce(0, +) / Double(tokens.count) <= 1e-5)
        // Another top token only where the first two are as good as tied.
        for (base, other) in zip(rows[0], rows[1]) {
            let (best, found) = (
                base.indices.max { base[$0] < base[$1] },
                other.indices.max { other[$0] < other[$1] }
            )
            let first = try #require(best)
            let second = try #require(found)
            #expect(first == second || base[first] - base[second] < 0.05)
        }
    }

    /// KL(base || other) of two rows of logits, in float64.
    private func divergence(_ base: [Float], _ other: [Float]) -> Double {
        func normalizer(_ row: [Float]) -> Double {
            let top = Double(row.max() ?? 0)
            return top + log(row.reduce(0) { $0 + exp(Double($1) - top) })
        }
        let (p, q) = (normalizer(base), normalizer(other))
        return zip(base, other).reduce(0) {
            let logP = Double($1.0) - p
            return $0 + exp(logP) * (logP - (Double($1.1) - q))
        }
    }
}
