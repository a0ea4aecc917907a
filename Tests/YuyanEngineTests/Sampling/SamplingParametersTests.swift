import FoundationEssentials
import Testing

@testable import YuyanEngine

@Suite("Sampling parameters")
struct SamplingParametersTests {
    typealias Change = @Sendable (inout SamplingParameters) -> Void

    @Test("the defaults are valid and leave the distribution alone")
    func defaults() throws {
        try SamplingParameters().validate()
        var logits: [Float] = [1, 2, 3]
        var sampler = try Sampler(parameters: .init(), vocabularySize: 3)
        #expect(try sampler.distribution(logits: &logits).count == 3)
        #expect(logits == [1, 2, 3])
    }

    @Test("a field out of range is named, with its value and what was expected")
    func ranges() {
        let wrong: [(String, String, String, Change)] = [
            ("temperature", "-0.1", "0.0 to 100.0", { $0.temperature = -0.1 }),
            ("temperature", "nan", "0.0 to 100.0", { $0.temperature = .nan }),
            ("topK", "-1", "0 or more", { $0.topK = -1 }),
            ("topP", "1.5", "0.0 to 1.0", { $0.topP = 1.5 }),
            ("minP", "-1.0", "0.0 to 1.0", { $0.minP = -1 }),
            ("typicalP", "0.0", "above 0 to 1", { $0.typicalP = 0 }),
            ("repetitionPenalty", "0.0", "0.01 to 100.0", { $0.repetitionPenalty = 0 }),
            ("presencePenalty", "inf", "-100.0 to 100.0", { $0.presencePenalty = .infinity }),
            ("frequencyPenalty", "101.0", "-100.0 to 100.0", { $0.frequencyPenalty = 101 }),
            ("penaltyWindow", "0", "1 or more", { $0.penaltyWindow = 0 }),
            ("noRepeatNgramSize", "-2", "0 or more", { $0.noRepeatNgramSize = -2 }),
            ("dry.multiplier", "-1.0", "0.0 to 100.0", { $0.dry.multiplier = -1 }),
            ("dry.base", "0.5", "1.0 to 100.0", { $0.dry.base = 0.5 }),
            ("dry.allowedLength", "0", "1 or more", { $0.dry.allowedLength = 0 }),
            (
                "dry.sequenceBreakers[1]", "[]", "token ids",
                { $0.dry.sequenceBreakers = [[1], []] }
            ),
            ("dry.penaltyLastN", "0", "1 or more", { $0.dry.penaltyLastN = 0 }),
            ("logitBias", "50", "a token id from 0 to 49", { $0.logitBias = [50: 1] }),
            ("logitBias[3]", "inf", "-10000.0 to 10000.0", { $0.logitBias = [3: .infinity] }),
            ("stop[1]", "\"\"", "a text to stop at", { $0.stop = ["a", ""] }),
            ("stopTokens", "-1", "a token id from 0 to 49", { $0.stopTokens = [-1] }),
            ("minTokens", "-1", "0 or more", { $0.minTokens = -1 }),
            ("maxTokens", "-1", "0 or more", { $0.maxTokens = -1 }),
            ("logprobs", "1001", "0 to 1000", { $0.logprobs = 1001 }),
        ]
        for (name, value, expected, change) in wrong {
            var parameters = SamplingParameters()
            change(&parameters)
            let error = SamplingError.parameter(name: name, value: value, expected: expected)
            #expect(throws: error) { try parameters.validate(vocabularySize: 50) }
            #expect(throws: error) { try Sampler(parameters: parameters, vocabularySize: 50) }
        }
        var crossed = SamplingParameters()
        (crossed.minTokens, crossed.maxTokens) = (5, 4)
        let error = SamplingError.parameter(
            name: "minTokens", value: "5", expected: "at most maxTokens, 4")
        #expect(throws: error) { try crossed.validate() }
        #expect(
            error.description
                == "sampling parameter 'minTokens' is 5; expected at most maxTokens, 4")
    }

    @Test("survives JSON, and a missing field keeps its default")
    func json() throws {
        var parameters = SamplingParameters()
        parameters.temperature = 0.25
        (parameters.topK, parameters.topP, parameters.minP) = (7, 0.5, 0.125)
        (parameters.typicalP, parameters.repetitionPenalty) = (0.75, 1.5)
        (parameters.presencePenalty, parameters.frequencyPenalty) = (0.5, -0.5)
        (parameters.penaltyWindow, parameters.noRepeatNgramSize) = (64, 3)
        parameters.dry.multiplier = 0.5
        parameters.dry.base = 2
        parameters.dry.allowedLength = 4
        parameters.dry.sequenceBreakers = [[1, 2], [3]]
        parameters.dry.penaltyLastN = 9
        (parameters.logitBias, parameters.seed) = ([50256: -100, 3: 1.5], .max)
        (parameters.stop, parameters.includeStop) = (["\n", "é"], true)
        (parameters.stopTokens, parameters.minTokens, parameters.maxTokens) = ([2], 3, 40)
        (parameters.ignoreEndOfSequence, parameters.logprobs) = (true, 5)
        let data = try JSONEncoder().encode(parameters)
        #expect(try JSONDecoder().decode(SamplingParameters.self, from: data) == parameters)
        let sparse = #"{"topK": 3, "logitBias": {"17": -2}, "dry": {"base": 3}}"#
        let read = try JSONDecoder().decode(
            SamplingParameters.self, from: Data(sparse.utf8))
        var expected = SamplingParameters()
        (expected.topK, expected.logitBias, expected.dry.base) = (3, [17: -2], 3)
        #expect(read == expected)
    }
}
