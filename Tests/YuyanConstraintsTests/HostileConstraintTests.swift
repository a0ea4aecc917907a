import TestSupport
import Testing
import YuyanFormats

@testable import YuyanConstraints

@Suite("Hostile constraints")
struct HostileConstraintTests {
    static func source(_ schema: String) throws -> ConstraintSource {
        .jsonSchema(try document(schema).root)
    }

    /// The error of compiling, and that it came within seconds.
    private func failure(_ source: ConstraintSource) -> ConstraintError? {
        var error: ConstraintError?
        let time = ContinuousClock().measure {
            do throws(ConstraintError) {
                _ = try CompiledConstraint(source, vocabulary: Vocabularies.bytes)
            } catch let fault {
                error = fault
            }
        }
        #expect(time < .seconds(10))
        return error
    }

    @Test("huge and deep sources fail soon and say what is too large")
    func tooLargeFails() throws {
        let deep = 100_000
        let sources: [ConstraintSource] = [
            .regex(String(repeating: "(", count: deep) + String(repeating: ")", count: deep)),
            .regex("a{1000000000}"), .regex("(a{1000}|b{1000}){99999999999999999999}"),
            .regex("(((((a?b?){100}c?){100}d?){100}e?){100}f?){500000}"),
            .choice((0..<1_000_000).map { "choice number \($0)" }),
            .gbnf("root ::= " + String(repeating: "(", count: deep)),
            .gbnf("root ::= \"a\"{1000000000}"),
            .gbnf("root ::= " + String(repeating: "[a-z]", count: 300_000)),
            try Self.source(#"{"type": "string", "minLength": 1000000000}"#),
            try Self.source(#"{"type": "array", "minItems": 1000000000}"#),
            try Self.source(
                #"{"enum": ["#
                    + (0..<100_000).map { "\"item number \($0)\"" }.joined(separator: ",")
                    + "]}"),
            try Self.source(
                #"{"allOf": ["#
                    + (0..<40).map {
                        #"{"anyOf": [{"minimum": \#($0)}, {"maxLength": \#($0)}]}"#
                    }.joined(separator: ",") + "]}"),
        ]
        for (index, source) in sources.enumerated() {
            let error = failure(source)
            guard case .tooLarge? = error else {
                // Large lists may also fit.
                if index != 10 { Issue.record("\(index): \(String(describing: error))") }
                continue
            }
        }
    }

    @Test("repetitions in repetitions need no room for their product")
    func nestedRepetitionsAreSmall() throws {
        for pattern in ["(a{1000}){1000}", "((a{100}){100}){100}", "((a*)*)*b", "(a|a)*(a|a)*c"] {
            let constraint = try CompiledConstraint(
                .regex(pattern), vocabulary: Vocabularies.bytes)
            var state = constraint.start()
            for _ in 0..<200 {
                #expect(state.allowedTokens(tokensLeft: 5000).contains(97))
                state.accept(97)
            }
        }
    }

    @Test("a text that no answer could be long enough for is refused")
    func endlessTextsFail() {
        for pattern in ["((((a{100}){100}){100}){100}){100}", "(((a{1000}){1000}){1000}){1000}"] {
            guard case .tooLarge? = failure(.regex(pattern)) else {
                Issue.record("\(pattern): \(String(describing: failure(.regex(pattern))))")
                continue
            }
        }
    }

    @Test("schemas that contain themselves without end are refused, others are not")
    func endlessSchemasFail() throws {
        for schema in [
            ##"{"$ref": "#"}"##, ##"{"anyOf": [{"$ref": "#"}, {"type": "null"}]}"##,
            ##"{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}"##,
            ##"{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}"##,
            ##"{"type": "array", "items": {"$ref": "#"}, "minItems": 1}"##,
            "false", #"{"type": "string", "minLength": 3, "maxLength": 2}"#,
            #"{"type": "integer", "minimum": 3, "maximum": 2}"#,
            #"{"enum": [1], "type": "string"}"#,
            #"{"allOf": [{"type": "string"}, {"type": "null"}]}"#,
        ] {
            guard case .unsatisfiable? = failure(try Self.source(schema)) else {
                Issue.record("\(schema): \(String(describing: failure(try Self.source(schema))))")
                continue
            }
        }
    }

    @Test(
        "what masks cannot enforce is refused with the pointer of the schema",
        arguments: [
            (#"{"properties": {"a": {"not": {}}}}"#, "#/properties/a"),
            (#"{"items": {"uniqueItems": true}}"#, "#/items"),
            (#"{"type": "strin"}"#, "#"), (#"{"properties": {"a/b": 5}}"#, "#/properties/a~1b"),
            (#"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"#, "#"),
            (##"{"$ref": "#/$defs/x"}"##, "#"), (#"{"$ref": "http://x/y"}"#, "#"),
            (#"{"type": "string", "pattern": "a(?=b)"}"#, "#"),
            (#"{"type": "string", "pattern": "a|b*c*", "maxLength": 3}"#, "#"),
            (#"{"type": "integer", "multipleOf": 1.5}"#, "#"),
            (#"{"type": "object", "minProperties": 3}"#, "#"),
            (#"{"minLength": -1}"#, "#"), (#"{"enum": []}"#, "#"), (#"{"anyOf": []}"#, "#"),
            (#"{"if": {"type": "string"}}"#, "#"), (#"{"minimum": "3"}"#, "#"),
        ])
    func refusalsHavePointers(_ schema: String, _ pointer: String) throws {
        guard case .schema(let found, _, _)? = failure(try Self.source(schema)) else {
            Issue.record("\(schema): \(String(describing: failure(try Self.source(schema))))")
            return
        }
        #expect(found == pointer)
    }

    @Test("an empty choice, tag list or beginning is refused")
    func emptinessIsRefused() {
        let tag = ConstraintTag(begin: "", body: .jsonObject, end: "")
        for source: ConstraintSource in [
            .choice([]), .tagged(free: true, tags: [], atLeastOne: false, atMostOne: false),
            .tagged(free: true, tags: [tag], atLeastOne: false, atMostOne: false),
        ] {
            guard case .empty? = failure(source) else {
                Issue.record("\(source)")
                continue
            }
        }
    }
}
