import Testing
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@testable import YuyanEngine

@Suite("Log-probabilities")
struct LogProbabilitiesTests {
    @Test("agree with a float64 log-softmax of PyTorch, best first")
    func agree() throws {
        let goldens = try SamplingGoldens("logprobs.txt", "logprobs")
        for golden in goldens.cases {
            let row = try goldens.row(golden)
            let found = try logProbabilities(
                of: row.span, token: Int32(golden.int(3)), topCount: golden.int(2))
            let expected = try golden.results.dropFirst().map { pair in
                let parts = pair.split(separator: ":")
                return (token: try #require(Int32(parts[0])), value: try parts[1].floatBits)
            }
            let chosen = try golden.results[0].floatBits
            // Two roundings of numbers up to 100, and of a sum of at most 1100 terms.
            #expect(found.chosen.token == Int32(try golden.int(3)))
            #expect(isClose(found.chosen.logProbability, chosen), "\(found.chosen) \(chosen)")
            let k = min(try golden.int(2), row.count)
            #expect(found.top.count == k)
            for (one, other) in zip(found.top, expected) {
                #expect(isClose(one.logProbability, other.value))
                #expect(one.token == other.token || other.value == -.infinity)
            }
        }
    }

    private func isClose(_ one: Float, _ other: Float) -> Bool {
        one == other || abs(one - other) <= 2e-6 + 2e-7 * abs(other)
    }

    @Test("shows the unpenalised model, whatever the sampler does")
    func raw() throws {
        var numbers = SeededNumbers(seed: 4)
        let logits = numbers.logits(300, scale: 2)
        var parameters = SamplingParameters()
        parameters.repetitionPenalty = 1.5
        parameters.temperature = 0.3
        parameters.topK = 5
        parameters.logitBias = [7: 30]
        parameters.logprobs = 4
        var sampler = try Sampler(parameters: parameters, vocabularySize: 300)
        sampler.accept(prompt: [1, 2, 3, 7])
        var work = logits
        var span = work.mutableSpan
        let found = try sampler.sampleWithLogProbabilities(logits: &span, position: 4)
        #expect(found.chosen.token == 7)
        #expect(found == (try logProbabilities(of: logits.span, token: 7, topCount: 4)))
    }

    @Test("a row with nothing allowed is an error")
    func nothing() {
        let row = [Float](repeating: -.infinity, count: 9)
        #expect(throws: SamplingError.noCandidates(vocabularySize: 9)) {
            try logProbabilities(of: row.span, token: 0, topCount: 1)
        }
    }
}

@Suite("Deterministic exponential")
struct DeterministicExpTests {
    @Test("is within one ulp of the true value over its whole range")
    func accuracy() {
        // Every 61st float of either sign, subnormal results included.
        for sign in [0 as UInt32, 0x8000_0000] {
            for bits in stride(from: 0 as UInt32, to: 0x42D0_0000, by: 61) {
                let x = Float(bitPattern: bits | sign)
                let exact = exp(Double(x))
                let found = deterministicExp(x)
                let ulp = max(Double(Float(exact).ulp), Double(Float.leastNonzeroMagnitude))
                if exact > Double(Float.greatestFiniteMagnitude) {
                    if found < .infinity, found != .greatestFiniteMagnitude {
                        Issue.record("exp(\(x)) is \(found)")
                    }
                } else if !(abs(Double(found) - exact) <= ulp) {
                    Issue.record("exp(\(x)) is \(found), not \(exact)")
                }
            }
        }
    }

    @Test("keeps the edges")
    func edges() {
        #expect(deterministicExp(0) == 1)
        #expect(deterministicExp(-0.0) == 1)
        #expect(deterministicExp(-.infinity) == 0)
        #expect(deterministicExp(.infinity) == .infinity)
        #expect(deterministicExp(-104) == 0)
        #expect(deterministicExp(-3e38) == 0)
        #expect(deterministicExp(.nan).isNaN)
    }

    @Test("has the bits it had when it was written")
    func pinned() {
        var hash: UInt64 = 0
        for bits in stride(from: 0 as UInt32, to: 0x42D0_0000, by: 10_007) {
            for x in [Float(bitPattern: bits), -Float(bitPattern: bits)] {
                hash = (hash ^ UInt64(deterministicExp(x).bitPattern)) &* 0x100_0000_01B3
            }
        }
        #expect(hash == 12_734_973_449_080_275_323)
    }
}

@Suite("Ordered sum")
struct OrderedSumTests {
    @Test("follows the documented order exactly")
    func order() {
        var numbers = SeededNumbers(seed: 1)
        for count in [0, 1, 7, 8, 9, 255, 256, 257, 1000] {
            let values = numbers.logits(count, scale: 1)
            var expected = 0.0
            for start in stride(from: 0, to: count, by: 256) {
                var lanes = [Float](repeating: 0, count: 8)
                for index in start..<min(start + 256, count) {
                    lanes[(index - start) % 8] += values[index]
                }
                let even = (lanes[0] + lanes[4]) + (lanes[2] + lanes[6])
                let odd = (lanes[1] + lanes[5]) + (lanes[3] + lanes[7])
                expected += Double(even + odd)
            }
            var blocks: [Double] = []
            #expect(orderedSum(values, blocks: &blocks) == expected)
            #expect(blocks.count == (count + 255) / 256)
        }
    }
}
