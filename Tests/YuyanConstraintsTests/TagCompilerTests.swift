import TestSupport
import Testing
import YuyanFormats

@testable import YuyanConstraints

@Suite("Tagged pieces")
struct TagCompilerTests {
    static func call(_ name: String, _ arguments: String) throws -> ConstraintTag {
        let schema = """
            {"type": "object", "properties": {"name": {"const": "\(name)"}, "arguments": \(arguments)},
             "required": ["name", "arguments"], "additionalProperties": false}
            """
        return ConstraintTag(
            begin: "<tool_call>\n", body: .jsonSchema(try document(schema).root),
            end: "\n</tool_call>")
    }

    static func calls(free: Bool, atLeastOne: Bool, atMostOne: Bool) throws -> ConstraintSource {
        .tagged(
            free: free,
            tags: [
                try call("get", #"{"type": "object", "properties": {"q": {"type": "integer"}}}"#),
                try call("stop", #"{"type": "object", "properties": {}, "required": ["s"]}"#),
            ], atLeastOne: atLeastOne, atMostOne: atMostOne)
    }

    static let get = "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"q\": 1}}\n</tool_call>"
    static let stop =
        "<tool_call>\n{\"name\": \"stop\", \"arguments\": {\"s\": \"\"}}\n</tool_call>"

    @Test("free text may say anything but a malformed call")
    func freeText() throws {
        let source = try Self.calls(free: true, atLeastOne: false, atMostOne: false)
        let constraint = try CompiledConstraint(source, vocabulary: Vocabularies.bytes)
        let (get, stop) = (Self.get, Self.stop)
        for text in [
            "", "hello <tool_call> <tool 雨", get, "I call: \(get) and \(stop)\n<tool", get + get,
            "<<tool_call>\n" + get.dropFirst(12),
        ] {
            #expect(accepts(constraint, Array(text.utf8)), "\(text)")
        }
        for text in [
            "<tool_call>\n", "x<tool_call>\nhello", "<tool_call>\n{\"name\": \"put\"",
            get.replacing("1", with: "\"1\""), String(get.dropLast()),
        ] {
            #expect(!accepts(constraint, Array(text.utf8)), "\(text)")
        }
        #expect(!accepts(constraint, [0xE9]))
    }

    @Test("one call at least, one call at most, and nothing but calls")
    func counts() throws {
        let (get, stop) = (Self.get, Self.stop)
        let cases: [(free: Bool, least: Bool, most: Bool, yes: [String], no: [String])] = [
            (true, true, false, [get, "a" + get + "b" + stop], ["", "a", "<tool_call>"]),
            (true, false, true, ["", "a", "a" + get], [get + "a", get + get]),
            (true, true, true, ["a" + get], ["a", get + get]),
            (false, true, false, [get, get + "\n" + stop, get + stop], ["", "a", get + "a"]),
            (false, false, false, ["", get + "\n\n" + stop], [get + "\n\n\n" + stop, "\n" + get]),
            (false, true, true, [get], ["", get + get, get + "\n"]),
        ]
        for item in cases {
            let source = try Self.calls(
                free: item.free, atLeastOne: item.least, atMostOne: item.most)
            let constraint = try CompiledConstraint(source, vocabulary: Vocabularies.bytes)
            for text in item.yes { #expect(accepts(constraint, Array(text.utf8)), "\(text)") }
            for text in item.no { #expect(!accepts(constraint, Array(text.utf8)), "\(text)") }
        }
    }

    @Test("of overlapping beginnings each leads to its body")
    func overlappingBeginnings() throws {
        let tags = [
            ConstraintTag(begin: "<a", body: .regex("1+"), end: ">"),
            ConstraintTag(begin: "<a=b", body: .regex("2+"), end: ">"),
            ConstraintTag(begin: "x<", body: .regex("3"), end: ""),
        ]
        let constraint = try CompiledConstraint(
            .tagged(free: true, tags: tags, atLeastOne: false, atMostOne: false),
            vocabulary: Vocabularies.bytes)
        for text in ["<a11>", "<a=b22>", "y<<a1>", "x<3<a1>", "<"] {
            #expect(accepts(constraint, Array(text.utf8)), "\(text)")
        }
        for text in ["<a", "<a2>", "<a=b1>", "<a=c", "x<", "x<a1>"] {
            #expect(!accepts(constraint, Array(text.utf8)), "\(text)")
        }
    }

    @Test("random walks never leave a call open, whatever the budget")
    func walksCloseCalls() throws {
        var random = SeededGenerator(seed: 5)
        for (free, least) in [(true, false), (true, true), (false, true)] {
            let source = try Self.calls(free: free, atLeastOne: least, atMostOne: false)
            let constraint = try CompiledConstraint(source, vocabulary: Vocabularies.pieces)
            let reader = try CompiledConstraint(source, vocabulary: Vocabularies.bytes)
            let shortest = leastTokens(constraint, Vocabularies.pieces)
            for extra in 0..<40 {
                let walk = Walk(
                    constraint, Vocabularies.pieces, budget: shortest + extra * 3, &random)
                #expect(walk.isComplete && accepts(reader, walk.bytes), "\(walk.text)")
            }
        }
    }
}
