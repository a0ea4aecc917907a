import TestSupport
import Testing
import YuyanFormats

@testable import YuyanConstraints

@Suite("Token masks")
struct TokenMasksTests {
    static func sources() throws -> [ConstraintSource] {
        let person = #"""
            {"type": "object", "properties": {"name": {"type": "string", "maxLength": 40},
             "age": {"type": "integer", "minimum": 0, "maximum": 150},
             "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["name"],
             "additionalProperties": {"type": "number"}}
            """#
        return [
            .jsonObject, .jsonSchema(try document(person).root),
            .jsonSchema(try document("{}").root),
            .regex("(a|ab|abc)*\"?.{0,3}"), .regex("(?s).{2,40}"),
            .gbnf(GBNFParserTests.arithmetic), .choice(["the quick", "the", "quack 雨", ""]),
            try TagCompilerTests.calls(free: true, atLeastOne: false, atMostOne: false),
        ]
    }

    @Test("a mask holds exactly the tokens whose bytes are accepted one by one")
    func masksEqualBruteForce() throws {
        var random = SeededGenerator(seed: 9)
        let vocabulary = Vocabularies.pieces
        for source in try Self.sources() {
            let constraint = try CompiledConstraint(source, vocabulary: vocabulary)
            let reader = try CompiledConstraint(source, vocabulary: Vocabularies.bytes)
            for _ in 0..<3 {
                var state = constraint.start()
                var place = reader.start()
                for _ in 0..<25 {
                    let mask = state.allowedTokens(tokensLeft: 1_000_000)
                    var expected: [Int32] = []
                    for token in 0..<Int32(vocabulary.texts.count) {
                        var copy = place
                        if vocabulary.isEnd[Int(token)] {
                            if copy.allows(256) { expected.append(token) }
                        } else if let text = vocabulary.texts[Int(token)], !text.isEmpty {
                            let isAllowed = text.allSatisfy { byte in
                                guard copy.allows(Int32(byte)) else { return false }
                                copy.accept(Int32(byte))
                                return true
                            }
                            if isAllowed { expected.append(token) }
                        }
                    }
                    let found = (0..<Int32(vocabulary.texts.count)).filter { mask.contains($0) }
                    #expect(
                        found.hashValue == expected.hashValue, "\(found.count) \(expected.count)")
                    #expect(state.isFinished == expected.allSatisfy { vocabulary.isEnd[Int($0)] })
                    // Long tokens lead to more unusual places.
                    let texts = found.filter { !vocabulary.isEnd[Int($0)] }
                    guard let token = texts.suffix(200).randomElement(using: &random) else { break }
                    state.accept(token)
                    for byte in vocabulary.texts[Int(token)] ?? [] { place.accept(Int32(byte)) }
                }
            }
        }
    }

    @Test("a copy that goes another way leaves the original as it was")
    func copiesAreIndependent() throws {
        var random = SeededGenerator(seed: 2)
        let vocabulary = Vocabularies.pieces
        for source in try Self.sources() {
            let constraint = try CompiledConstraint(source, vocabulary: vocabulary)
            var state = constraint.start()
            for _ in 0..<20 {
                let before = state.allowedTokens(tokensLeft: 60)
                let tokens = (0..<Int32(vocabulary.texts.count)).filter { before.contains($0) }
                for _ in 0..<5 {
                    var copy = state
                    for _ in 0..<4 {
                        let mask = copy.allowedTokens(tokensLeft: 55)
                        let next = (0..<Int32(vocabulary.texts.count)).filter { mask.contains($0) }
                        guard let token = next.randomElement(using: &random) else { break }
                        copy.accept(token)
                    }
                }
                #expect(state.allowedTokens(tokensLeft: 60).hashValue == before.hashValue)
                let texts = tokens.filter { !vocabulary.isEnd[Int($0)] }
                guard let token = texts.randomElement(using: &random) else { break }
                state.accept(token)
            }
        }
    }

    @Test("masks are the same after the caches were dropped")
    func renewedCachesAgree() throws {
        var limits = ConstraintLimits()
        limits.configurations = 3
        limits.maskBytes = 1
        var random = SeededGenerator(seed: 4)
        let vocabulary = Vocabularies.pieces
        for source in try Self.sources() {
            let small = try CompiledConstraint(source, vocabulary: vocabulary, limits: limits)
            let large = try CompiledConstraint(source, vocabulary: vocabulary)
            var (a, b) = (small.start(), large.start())
            for step in 0..<30 {
                let mask = a.allowedTokens(tokensLeft: 90 - step)
                #expect(mask.hashValue == b.allowedTokens(tokensLeft: 90 - step).hashValue)
                let texts = (0..<Int32(vocabulary.texts.count))
                    .filter { mask.contains($0) && !vocabulary.isEnd[Int($0)] }
                guard let token = texts.randomElement(using: &random) else { break }
                a.accept(token)
                b.accept(token)
            }
        }
    }

    @Test("the shortest answer takes as few tokens as its best split, and is allowed to the last")
    func closingIsNotEarly() throws {
        let tokens: [[UInt8]?] =
            (0..<256).map { [UInt8($0)] } + [nil]
            + ["abc", "bcd", "cde", "\"}", "\": ", "{\"", "description"].map { Array($0.utf8) }
        let vocabulary = ConstraintVocabulary(tokens: tokens, endTokens: [256])
        let word = try CompiledConstraint(.choice(["abcde"]), vocabulary: vocabulary)
        #expect(leastTokens(word, vocabulary) == 3)
        let schema =
            #"{"properties": {"description": {"type": "string"}}, "required": ["description"], "type": "object"}"#
        let constraint = try CompiledConstraint(
            .jsonSchema(try document(schema).root), vocabulary: vocabulary)
        // {" description ": " "} in some split: `{"`, `description`, `":`..., never byte by byte.
        let least = leastTokens(constraint, vocabulary)
        #expect(least <= 7)
        // In the string one token closes; with two left any letter is still allowed.
        var state = constraint.start()
        for byte in #"{"description":""#.utf8 { state.accept(Int32(byte)) }
        let x = Int32(UInt8(ascii: "x"))
        #expect(state.allowedTokens(tokensLeft: 2).contains(x))
        #expect(!state.allowedTokens(tokensLeft: 1).contains(x))
        #expect(state.allowedTokens(tokensLeft: 1).contains(260))
        #expect(state.allowedTokens(tokensLeft: 0).contains(260))
    }

    @Test("the state after an end token allows only end tokens, and states know when they are done")
    func endIsFinal() throws {
        let constraint = try CompiledConstraint(
            .choice(["a", "ab"]), vocabulary: Vocabularies.bytes)
        var state = constraint.start()
        #expect(!state.isFinished && !state.allows(256))
        state.accept(97)
        #expect(!state.isFinished && state.allows(256))
        var ended = state
        ended.accept(256)
        #expect(ended.isFinished && !ended.allows(98) && ended.allows(256))
        #expect(ended.allowedTokens(tokensLeft: 9).contains(256))
        #expect(!ended.allowedTokens(tokensLeft: 9).contains(98))
        state.accept(98)
        #expect(state.isFinished)
    }

    @Test("a token that is not allowed traps")
    func disallowedTokensTrap() async {
        await #expect(processExitsWith: .failure) {
            let constraint = try CompiledConstraint(
                .choice(["a"]), vocabulary: Vocabularies.bytes)
            var state = constraint.start()
            state.accept(98)
        }
    }
}
