import Testing

@testable import YuyanEngine

/// The logits after one step of a sampler with this history.
func penalised(
    _ parameters: SamplingParameters, _ logits: [Float], prompt: [Int32], generated: [Int32] = [],
    endOfSequence: [Int32] = []
) throws -> [Float] {
    var sampler = try Sampler(
        parameters: parameters, vocabularySize: logits.count, endOfSequence: endOfSequence)
    sampler.accept(prompt: prompt)
    for token in generated { sampler.accept(generated: token) }
    var logits = logits
    _ = try sampler.distribution(logits: &logits)
    return logits
}

@Suite("Penalties")
struct PenaltiesTests {
    @Test("agree with transformers and the OpenAI formula, bit by bit")
    func agree() throws {
        let goldens = try SamplingGoldens("penalties.txt", "penalty")
        for golden in goldens.cases {
            var parameters = SamplingParameters()
            parameters.repetitionPenalty = try golden.float(2)
            parameters.presencePenalty = try golden.float(3)
            parameters.frequencyPenalty = try golden.float(4)
            let window = try golden.int(5)
            parameters.penaltyWindow = window == 0 ? nil : window
            let texts = golden.fields[6].split(separator: "/")
            let found = try penalised(
                parameters, goldens.row(golden), prompt: texts[0].ids, generated: texts[1].ids)
            let expected = try golden.results.map { try $0.floatBits }
            #expect(found == expected, "\(golden.fields.joined(separator: " "))")
        }
    }

    @Test("a bias is added before all penalties, and minus infinity forbids")
    func bias() throws {
        var parameters = SamplingParameters()
        parameters.logitBias = [0: 3, 2: -.infinity]
        parameters.repetitionPenalty = 2
        let found = try penalised(parameters, [-1, 1, 5], prompt: [0, 1])
        #expect(found == [1, 0.5, -.infinity])
    }
}

@Suite("N-gram ban")
struct NgramBanTests {
    @Test("forbids exactly the tokens that transformers forbids")
    func agrees() throws {
        let goldens = try SamplingGoldens("penalties.txt", "ngram")
        for golden in goldens.cases {
            var parameters = SamplingParameters()
            parameters.noRepeatNgramSize = try golden.int(2)
            let logits = try goldens.row(golden)
            for split in [0, golden.ids(3).count / 2] {
                let history = golden.ids(3)
                let found = try penalised(
                    parameters, logits, prompt: Array(history[..<split]),
                    generated: Array(history[split...]))
                let forbidden = golden.results.compactMap { Int($0) }
                for token in logits.indices {
                    let expected = forbidden.contains(token) ? -.infinity : logits[token]
                    #expect(found[token] == expected, "\(golden.fields.joined(separator: " "))")
                }
            }
        }
    }

    @Test("a ban on everything is lifted, so that a token remains")
    func lifted() throws {
        var parameters = SamplingParameters()
        parameters.noRepeatNgramSize = 1
        #expect(try penalised(parameters, [1, 2, 3], prompt: [2, 1, 0]) == [1, 2, 3])
        #expect(
            try penalised(parameters, [1, 2, -.infinity], prompt: [0, 1]) == [1, 2, -.infinity])
    }

    @Test("stop tokens are forbidden for as long as in transformers")
    func minimumLength() throws {
        let goldens = try SamplingGoldens("penalties.txt", "minlength")
        for golden in goldens.cases {
            var parameters = SamplingParameters()
            parameters.minTokens = try golden.int(2)
            parameters.stopTokens = [golden.ids(3)[0]]
            let logits = try goldens.row(golden)
            let found = try penalised(
                parameters, logits, prompt: [5, 5, 5, 5],
                generated: [Int32](repeating: 0, count: try golden.int(4)),
                endOfSequence: [golden.ids(3)[1]])
            let forbidden = golden.results.compactMap { Int($0) }
            for token in logits.indices {
                #expect(
                    found[token] == (forbidden.contains(token) ? -.infinity : logits[token]))
            }
        }
    }
}

@Suite("DRY")
struct DRYTests {
    @Test("agrees with the published description, in one piece or token by token")
    func agrees() throws {
        let goldens = try SamplingGoldens("dry.txt", "dry")
        for golden in goldens.cases {
            var parameters = SamplingParameters()
            parameters.dry.multiplier = try golden.float(2)
            parameters.dry.base = try golden.float(3)
            parameters.dry.allowedLength = try golden.int(4)
            let lastN = try golden.int(5)
            parameters.dry.penaltyLastN = lastN == 0 ? nil : lastN
            parameters.dry.sequenceBreakers =
                golden.fields[6] == "-" ? [] : golden.fields[6].split(separator: ";").map(\.ids)
            let history = golden.ids(7)
            let found = try penalised(
                parameters, goldens.row(golden), prompt: Array(history[..<(history.count / 3)]),
                generated: Array(history[(history.count / 3)...]))
            let expected = try golden.results.map { try $0.floatBits }
            for (one, other) in zip(found, expected) {
                // Powers in float64, rounded once: the last bit of the sum may differ.
                #expect(
                    abs(one - other) <= other.ulp,
                    "\(golden.fields.joined(separator: " ")): \(one) \(other)")
            }
            #expect(found.count == expected.count)
        }
    }

    @Test("a repeat too long for a float leaves a finite logit")
    func saturates() throws {
        var parameters = SamplingParameters()
        parameters.dry.multiplier = 100
        parameters.dry.base = 100
        let found = try penalised(
            parameters, [1, 2], prompt: [Int32](repeating: 0, count: 5000))
        #expect(found == [-.greatestFiniteMagnitude, 2])
    }
}
