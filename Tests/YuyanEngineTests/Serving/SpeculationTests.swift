import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

@Suite("Speculation")
struct SpeculationTests {
    private func decoder(_ name: String, on device: Device) throws -> Decoder {
        try Decoder(Checkpoint(path: Goldens.path("models/" + name)), on: device)
    }

    private func tokens(_ count: Int, seed: UInt64) -> [Int32] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in .random(in: 3..<96, using: &random) }
    }

    private func answers(
        _ engine: Engine, _ requests: [GenerationRequest]
    ) async throws -> [[TokenLogProbabilities]] {
        let streams = try requests.map { try engine.submit($0) }
        var answers: [[TokenLogProbabilities]] = []
        for stream in streams {
            var answer: [TokenLogProbabilities] = []
            for try await case .token(_, _, let scored?) in stream { answer.append(scored) }
            answers.append(answer)
        }
        return answers
    }

    private func bits(_ answers: [[TokenLogProbabilities]]) -> FloatBits {
        FloatBits(
            answers.flatMap { $0 }.flatMap { scored in
                ([scored.chosen] + scored.top).flatMap { [Float($0.token), $0.logProbability] }
            })
    }

    @Test(
        "changes no token and no log-probability, greedy or not",
        arguments: [Speculation.ngram, .draft], [Float(0), 0.7])
    func sameBits(_ speculation: Speculation, _ temperature: Float) async throws {
        let device = Device(threads: 2)
        let model = try decoder("llama-gqa", on: device)
        let requests = (0..<6).map { index in
            // A repeating prompt, so that lookup finds something.
            let part = tokens(7, seed: UInt64(index))
            var parameters = SamplingParameters()
            parameters.temperature = temperature
            parameters.seed = UInt64(index)
            parameters.maxTokens = 40
            parameters.logprobs = 2
            parameters.repetitionPenalty = index == 5 ? 1.3 : 1
            return GenerationRequest(prompt: part + part + part, parameters: parameters)
        }
        var configuration = EngineConfiguration()
        let plain = try Engine(
            model: model, device: Device(threads: 2), configuration: configuration)
        configuration.speculation = speculation
        configuration.adaptsDraftLength = false
        // A draft that is the model itself is right whenever it is asked at the right place.
        let guessing = try Engine(
            model: model, device: Device(threads: 2), configuration: configuration,
            draftModel: speculation == .draft ? model : nil)
        let expected = try await answers(plain, requests)
        #expect(expected.allSatisfy { $0.count == 40 })
        #expect(bits(try await answers(guessing, requests)) == bits(expected))
        let statistics = guessing.statistics()
        #expect(statistics.draftedTokens > 0 && statistics.usedBlocks == 0)
        if speculation == .draft {
            #expect(statistics.acceptedTokens == statistics.draftedTokens)
            #expect(statistics.steps < plain.statistics().steps)
        }
        #expect(statistics.acceptedByPosition.reduce(0, +) == statistics.acceptedTokens)
    }

    @Test("draws from the model's own distribution through a draft of another one")
    func distribution() async throws {
        let device = Device(threads: 2)
        let model = try decoder("llama-gqa", on: device)
        let other = try decoder("qwen3", on: device)
        var configuration = EngineConfiguration()
        configuration.speculation = .draft
        configuration.adaptsDraftLength = false
        configuration.maxDraftLength = 2
        let engine = try Engine(
            model: model, device: Device(threads: 2), configuration: configuration,
            draftModel: other)
        let prompt = tokens(12, seed: 8)
        var parameters = SamplingParameters()
        parameters.topK = 3
        parameters.maxTokens = 3
        parameters.logprobs = 0
        let draws = 1800
        var counts: [[Int32]: Int] = [:]
        for start in stride(from: 0, to: draws, by: 60) {
            let requests = (start..<start + 60).map { seed in
                parameters.seed = UInt64(seed)
                return GenerationRequest(prompt: prompt, parameters: parameters)
            }
            for answer in try await answers(engine, requests) {
                counts[answer.prefix(2).map(\.chosen.token), default: 0] += 1
            }
        }
        #expect(engine.statistics().drafts > draws * 9 / 10)
        var statistic = 0.0
        let first = try distribution(after: prompt, model, device, parameters)
        for (token, probability) in first {
            let second = try distribution(after: prompt + [token], model, device, parameters)
            for (next, conditional) in second {
                let mean = probability * conditional * Double(draws)
                let difference = Double(counts.removeValue(forKey: [token, next]) ?? 0) - mean
                statistic += difference * difference / mean
            }
        }
        #expect(counts.isEmpty, "impossible pairs: \(counts)")
        // The 0.999 quantile of chi-square with 8 degrees of freedom.
        #expect(statistic < 26.12)
    }

    private func distribution(
        after tokens: [Int32], _ model: Decoder, _ device: Device, _ parameters: SamplingParameters
    ) throws -> [(token: Int32, probability: Double)] {
        var sampler = try Sampler(
            parameters: parameters, vocabularySize: model.shape.vocabularySize)
        var logits = try Session(model: model, device: device).prefill(tokens).row(0)
        return try sampler.distribution(logits: &logits).filter { $0.probability > 0 }
    }

    @Test("finds what followed the last tokens before, the longest agreement first")
    func lookup() {
        let lookup = PromptLookup()
        #expect(lookup.continuation(of: [1, 2, 3, 4, 5, 6, 2, 3, 4], length: 2) == [5, 6])
        #expect(lookup.continuation(of: [9, 3, 4, 7, 1, 2, 3, 4, 8, 2, 3, 4], length: 1) == [8])
        #expect(lookup.continuation(of: [1, 2, 3], length: 4) == [])
        #expect(lookup.continuation(of: [5, 5, 5, 5], length: 3) == [5])
        #expect(lookup.continuation(of: [], length: 3) == [])
        #expect(lookup.continuation(of: [1], length: 3) == [])
    }

    @Test("guesses far where guesses are right and cheap, and not at all where they are dear")
    func control() {
        func play(rate: Double, slope: Double, draft: Double) -> SpeculationController {
            var controller = SpeculationController()
            var random = SeededGenerator(seed: 5)
            for _ in 0..<400 {
                let length = controller.lengths(for: [1])[1] ?? 0
                var right = 0
                while right < length, Double.random(in: 0..<1, using: &random) < rate { right += 1 }
                if length > 0 {
                    controller.record(sequence: 1, drafted: length, accepted: right)
                    controller.record(drafted: length, seconds: draft * Double(length))
                }
                controller.record(rows: 1 + length, seconds: 0.01 + slope * Double(length))
                controller.decide([1])
            }
            return controller
        }
        var good = play(rate: 0.9, slope: 0.0005, draft: 0.0001)
        #expect(good.state == .on && (good.lengths(for: [1])[1] ?? 0) >= 5)
        var poor = play(rate: 0.2, slope: 0.006, draft: 0.002)
        #expect(poor.state == .off && (poor.lengths(for: [1])[1] ?? 0) <= 2)
        #expect(poor.explanation.contains("does not pay"))
        // A short answer of which nothing can be guessed pays for a few rows, not for a fifth.
        var wrong = SpeculationController()
        var guessed = 0
        for _ in 0..<64 {
            let length = wrong.lengths(for: [1])[1] ?? 0
            guessed += length
            if length > 0 { wrong.record(sequence: 1, drafted: length, accepted: 0) }
            wrong.record(rows: 1 + length, seconds: 0.01 + 0.004 * Double(length))
            wrong.decide([1])
        }
        #expect(guessed <= 8, "\(guessed) rows for nothing")
        let middling = play(rate: 0.6, slope: 0.002, draft: 0.001)
        #expect(middling.state == .on)
    }
}
