import Testing

@testable import YuyanEngine

@Suite("Truncation")
struct TruncationTests {
    @Test("agrees with the warpers of transformers on every token and probability")
    func agreesWithTransformers() throws {
        let goldens = try SamplingGoldens("warpers.txt", "warp")
        for golden in goldens.cases {
            var parameters = SamplingParameters()
            parameters.temperature = try golden.float(2)
            parameters.topK = try golden.int(3)
            parameters.typicalP = try golden.float(4)
            parameters.topP = try golden.float(5)
            parameters.minP = try golden.float(6)
            var logits = try goldens.row(golden)
            var sampler = try Sampler(parameters: parameters, vocabularySize: logits.count)
            let found = try sampler.distribution(logits: &logits)
                .filter { $0.probability > 1e-38 }
            let expected = try golden.results.map { pair in
                let parts = pair.split(separator: ":")
                return (token: try #require(Int32(parts[0])), probability: try parts[1].floatBits)
            }
            let name = golden.fields.joined(separator: " ")
            // Below this float32 is subnormal on one side or the other.
            let visible = expected.filter { $0.probability > 1e-38 }
            #expect(found.map(\.token) == visible.map(\.token), "\(name)")
            guard found.count == visible.count else { continue }
            for (one, other) in zip(found, visible) {
                // float32 logits up to 90: exp turns 2^-17 of rounding into as much relative error.
                let error = abs(one.probability - Double(other.probability))
                #expect(error <= 2e-5 * Double(other.probability) + 1e-12, "\(name) \(one)")
            }
        }
    }

    @Test("renaming the tokens renames the result", arguments: [0 as UInt64, 1, 2, 3])
    func permutes(seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let logits = numbers.logits(500, scale: 3)
        let order = (0..<500).shuffled(using: &numbers)
        var parameters = SamplingParameters()
        parameters.temperature = 0.8
        parameters.topK = seed == 0 ? 0 : 60
        parameters.topP = 0.9
        parameters.typicalP = seed == 2 ? 0.8 : 1
        parameters.minP = 0.01
        var sampler = try Sampler(parameters: parameters, vocabularySize: 500)
        var plain = logits
        var renamed = order.map { logits[$0] }
        let expected = try sampler.distribution(logits: &plain)
        let found = try sampler.distribution(logits: &renamed)
            .map { (token: Int32(order[Int($0.token)]), probability: $0.probability) }
            .sorted { $0.token < $1.token }
        #expect(found.map(\.token) == expected.map(\.token))
        for (one, other) in zip(found, expected) {
            #expect(abs(one.probability - other.probability) <= 1e-6 * other.probability)
        }
    }

    @Test("keeps exactly k of equal logits, the lowest ids")
    func ties() throws {
        var parameters = SamplingParameters()
        parameters.topK = 3
        var logits: [Float] = [1, 2, 2, 1, 2, 2, 0, -0.0]
        var sampler = try Sampler(parameters: parameters, vocabularySize: 8)
        #expect(try sampler.distribution(logits: &logits).map(\.token) == [1, 2, 4])
        parameters.topK = 0
        parameters.topP = 0
        sampler = try Sampler(parameters: parameters, vocabularySize: 8)
        #expect(try sampler.distribution(logits: &logits).map(\.token) == [1])
    }

    @Test("always keeps a token, however hard the settings")
    func keepsOne() throws {
        var numbers = SeededNumbers(seed: 9)
        for size in [1, 2, 63, 64, 65, 1000] {
            for scale in [0, 1e-30, 1, 1e30] as [Float] {
                for temperature in [2e-5, 1, 100] as [Float] {
                    var parameters = SamplingParameters()
                    parameters.temperature = temperature
                    parameters.topP = 0
                    parameters.minP = 1
                    parameters.typicalP = .leastNormalMagnitude
                    var logits = numbers.logits(size, scale: scale)
                    var sampler = try Sampler(parameters: parameters, vocabularySize: size)
                    let kept = try sampler.distribution(logits: &logits)
                    #expect(kept.count >= 1)
                    #expect(abs(kept.reduce(0) { $0 + $1.probability } - 1) < 1e-6)
                    #expect(
                        logits.indices.contains(
                            Int(try sampler.sample(logits: &logits, position: 0))))
                }
            }
        }
    }
}
