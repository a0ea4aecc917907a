import Testing

@testable import YuyanEngine

@Suite("Sampler")
struct SamplerTests {
    private func parameters(
        _ change: (inout SamplingParameters) -> Void
    ) -> SamplingParameters {
        var parameters = SamplingParameters()
        change(&parameters)
        return parameters
    }

    @Test("draws with the probabilities it states", arguments: 0..<6)
    func chiSquared(setting: Int) throws {
        var numbers = SeededNumbers(seed: 31)
        let logits = numbers.logits(600, scale: 2)
        let choices: [(Float, Int, Float, Float)] = [
            (1, 0, 1, 0), (0.5, 0, 1, 0), (1.5, 20, 1, 0), (1, 0, 0.8, 0), (0.8, 50, 0.9, 0),
            (1.2, 0, 0.95, 0.02),
        ]
        let (temperature, topK, topP, minP) = choices[setting]
        var sampler = try Sampler(
            parameters: parameters {
                ($0.temperature, $0.topK, $0.topP, $0.minP) = (temperature, topK, topP, minP)
                $0.seed = 99
            }, vocabularySize: 600)
        var work = logits
        let expected = try sampler.distribution(logits: &work)
        var counts = [Int](repeating: 0, count: 600)
        let draws = 40_000
        for position in 0..<draws {
            work = logits
            counts[Int(try sampler.sample(logits: &work, position: position))] += 1
        }
        // Rare tokens share a cell, so that every cell expects at least 20.
        var (statistic, cells, restExpected, restFound) = (0.0, 0, 0.0, 0)
        for (token, probability) in expected {
            let mean = probability * Double(draws)
            if mean < 20 {
                restExpected += mean
                restFound += counts[Int(token)]
            } else {
                statistic +=
                    (Double(counts[Int(token)]) - mean) * (Double(counts[Int(token)]) - mean) / mean
                cells += 1
            }
            counts[Int(token)] = 0
        }
        if restExpected > 0 {
            statistic +=
                (Double(restFound) - restExpected) * (Double(restFound) - restExpected)
                / restExpected
            cells += 1
        }
        #expect(counts.allSatisfy { $0 == 0 }, "a token outside the support was drawn")
        // Mean plus four standard deviations of the chi-squared distribution; seeded, so fixed.
        let freedom = Double(cells - 1)
        #expect(statistic < freedom + 4 * (2 * freedom).squareRoot(), "\(statistic) of \(freedom)")
        #expect(statistic > freedom - 4 * (2 * freedom).squareRoot(), "\(statistic) of \(freedom)")
    }

    @Test("top-k of one, a temperature of zero and the argmax are the same")
    func greedy() throws {
        var numbers = SeededNumbers(seed: 2)
        for size in [1, 2, 100, 3000] {
            let logits = numbers.logits(size, scale: 2).map { ($0 * 4).rounded() }
            let best = logits.indices.reduce(0) { logits[$1] > logits[$0] ? $1 : $0 }
            for setting in [
                parameters { $0.topK = 1 }, parameters { $0.temperature = 0 },
                parameters { ($0.temperature, $0.topK) = (50, 1) },
                parameters { $0.topP = 0 },
                parameters {
                    $0.temperature = 2e-5; $0.topK = 1
                },
            ] {
                var sampler = try Sampler(parameters: setting, vocabularySize: size)
                var work = logits
                #expect(try sampler.sample(logits: &work, position: 3) == Int32(best))
            }
        }
    }

    @Test("a token depends on seed, stream and position, and on nothing else")
    func position() throws {
        var numbers = SeededNumbers(seed: 8)
        let logits = numbers.logits(5000, scale: 1)
        func draw(_ seed: UInt64, _ stream: UInt64, _ positions: [Int]) throws -> [Int32] {
            var sampler = try Sampler(
                parameters: parameters { ($0.seed, $0.topP) = (seed, 0.95) },
                vocabularySize: 5000, stream: stream)
            return try positions.map { position in
                var work = logits
                return try sampler.sample(logits: &work, position: position)
            }
        }
        let forward = try draw(1, 0, Array(0..<40))
        #expect(try draw(1, 0, Array((0..<40).reversed())) == forward.reversed())
        #expect(try draw(1, 0, [17]) == [forward[17]])
        #expect(try draw(2, 0, Array(0..<40)) != forward)
        #expect(try draw(1, 1, Array(0..<40)) != forward)
        #expect(Set(forward).count > 20)
    }

    @Test("rows of logits with nothing to choose from are errors")
    func errors() throws {
        var sampler = try Sampler(parameters: .init(), vocabularySize: 3)
        var nothing = [Float](repeating: -.infinity, count: 3)
        #expect(throws: SamplingError.noCandidates(vocabularySize: 3)) {
            try sampler.sample(logits: &nothing, position: 0)
        }
        var broken: [Float] = [0, .nan, 0]
        #expect(throws: SamplingError.notFinite(token: 1, value: "nan")) {
            try sampler.sample(logits: &broken, position: 0)
        }
        #expect(sampler.generatedCount == 0)
    }

    @Test("never draws a forbidden token")
    func forbidden() throws {
        var sampler = try Sampler(
            parameters: parameters { ($0.temperature, $0.topK) = (100, 200) }, vocabularySize: 300)
        for position in 0..<2000 {
            var logits = [Float](repeating: -.infinity, count: 300)
            for token in [0, 5, 255, 256, 299] { logits[token] = Float(token % 3) }
            let token = try sampler.sample(logits: &logits, position: position)
            #expect([0, 5, 255, 256, 299].contains(token))
        }
    }

    @Test("says why an answer ends")
    func finish() throws {
        let settings = parameters {
            ($0.stopTokens, $0.maxTokens, $0.minTokens) = ([3], 4, 1)
        }
        var sampler = try Sampler(parameters: settings, vocabularySize: 10, endOfSequence: [9])
        sampler.accept(prompt: [9, 3, 1])
        sampler.accept(generated: 9)
        #expect(sampler.finish(after: 9) == nil)
        sampler.accept(generated: 1)
        #expect(sampler.finish(after: 1) == nil)
        #expect(sampler.finish(after: 3) == .stop(.token(3)))
        #expect(sampler.finish(after: 9) == .stop(.endOfSequence(9)))
        sampler.accept(generated: 1)
        sampler.accept(generated: 1)
        #expect(sampler.finish(after: 1) == .length)
        #expect(sampler.finish(after: 9)?.reason.rawValue == "stop")
        #expect(Finish.length.reason.rawValue == "length")
        var ignoring = settings
        ignoring.ignoreEndOfSequence = true
        var other = try Sampler(parameters: ignoring, vocabularySize: 10, endOfSequence: [9])
        other.accept(generated: 1)
        other.accept(generated: 9)
        #expect(other.finish(after: 9) == nil)
    }

    @Test("traps on logits of another length")
    func shape() async {
        await #expect(processExitsWith: .failure) {
            var sampler = try Sampler(parameters: .init(), vocabularySize: 4)
            var logits: [Float] = [1, 2, 3]
            _ = try sampler.sample(logits: &logits, position: 0)
        }
    }
}
