import TestSupport
import Testing
import YuyanFormats

@testable import YuyanConstraints

@Suite("Constraints with the vocabulary of SmolLM2")
struct ConstraintSpeedTests {
    static let schema = #"""
        {"type": "object", "properties": {
          "name": {"type": "string", "maxLength": 60}, "summary": {"type": "string"},
          "age": {"type": "integer", "minimum": 0, "maximum": 150}, "score": {"type": "number"},
          "kind": {"enum": ["person", "company", "place"]},
          "address": {"type": "object", "properties": {"street": {"type": "string"},
            "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}, "required": ["street", "zip"],
            "additionalProperties": false},
          "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5}},
         "required": ["name", "summary", "age", "kind", "address", "tags"],
         "additionalProperties": false}
        """#

    @Test("compiling and masks are quick; figures on the output")
    func speed() throws {
        guard let vocabulary = Vocabularies.smolLM2 else { return }
        let root = try document(Self.schema).root
        let clock = ContinuousClock()
        var random = SeededGenerator(seed: 1)
        for (name, source) in [
            ("schema", ConstraintSource.jsonSchema(root)), ("object", .jsonObject),
            ("regex", .regex("[a-zA-Z ,.]{10,200}")),
            ("call", try TagCompilerTests.calls(free: true, atLeastOne: true, atMostOne: false)),
        ] {
            var made: CompiledConstraint?
            let compile = try clock.measure {
                made = try CompiledConstraint(source, vocabulary: vocabulary)
            }
            let constraint = try #require(made)
            var first: [Duration] = []
            var cached: [Duration] = []
            var last: [Duration] = []
            var accept: [Duration] = []
            for _ in 0..<2 {
                var state = constraint.start()
                let budget = 80
                var texts: [UInt8] = []
                for step in 0..<budget {
                    var mask = TokenMask(words: [])
                    first.append(clock.measure { mask = state.allowedTokens(tokensLeft: 100_000) })
                    cached.append(clock.measure { mask = state.allowedTokens(tokensLeft: 100_000) })
                    last.append(
                        clock.measure { mask = state.allowedTokens(tokensLeft: budget - step) })
                    let choices = (0..<Int32(vocabulary.texts.count)).filter { mask.contains($0) }
                    let token = try #require(choices.randomElement(using: &random))
                    if vocabulary.isEnd[Int(token)] { break }
                    accept.append(clock.measure { state.accept(token) })
                    texts += vocabulary.texts[Int(token)] ?? []
                }
                #expect(state.allows(2), "\(String(decoding: texts, as: UTF8.self).suffix(80))")
            }
            print(
                "\(name): compile \(compile), first \(summary(first)), cached \(summary(cached)),",
                "near the end \(summary(last)), accept \(summary(accept))")
            #expect(compile < .seconds(5))
        }
    }

    private func summary(_ times: [Duration]) -> String {
        let sorted = times.sorted()
        func microseconds(_ part: Double) -> Double {
            let time = sorted[Int(Double(sorted.count - 1) * part)]
            return Double(time.components.attoseconds / 1_000_000_000) / 1000
        }
        return "median \(microseconds(0.5)) 90% \(microseconds(0.9)) max \(microseconds(1)) us"
    }
}
