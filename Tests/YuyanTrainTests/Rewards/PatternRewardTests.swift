import TestSupport
import Testing
import YuyanConstraints
import YuyanFormats

@testable import YuyanTrain

@Suite("Rewards by pattern and schema")
struct PatternRewardTests {
    private static func capture(
        _ pattern: String, _ text: String, whole: Bool = false, last: Bool = false
    ) throws -> String? {
        let bytes = Array(text.utf8)
        let match = try CapturePattern(pattern, matchesWhole: whole)
            .match(in: bytes, takesLast: last)
        return match.map { String(decoding: bytes[$0.captured], as: UTF8.self) }
    }

    /// Python's `re.search(...).group(1)`, or `group()` without a group.
    @Test(
        "captures what Python's re captures",
        arguments: [
            ("answer: (\\d+)", "the answer: 42 and answer: 7", "42"), ("a(b*)c", "xabbbc", "bbb"),
            ("(.*?)\\.", "one. two.", "one"), ("(.*)\\.", "one. two.", "one. two"),
            ("\\d+", "ab12cd", "12"),
            ("^x(y+)$", "xyy", "yy"), ("(?i)ANSWER (yes|no)", "the answer NO!", "NO"),
            ("(?s)<a>(.*)</a>", "<a>1\n2</a>", "1\n2"), ("<([a-z]+)>", "<a><b>", "a"),
            ("x([^y]*)y", "x雨y", "雨"), ("()", "abc", ""),
            ("é(.)", "éa", "a"), ("\\((\\d)\\)", "(5)", "5"), ("(\\d+)%?$", "12 34", "34"),
        ])
    func captures(pattern: String, text: String, captured: String) throws {
        #expect(try Self.capture(pattern, text) == captured)
    }

    @Test("the last match, whole matches, and texts without any")
    func modes() throws {
        #expect(try Self.capture("answer: (\\d+)", "answer: 4, answer: 7", last: true) == "7")
        #expect(try Self.capture("\\d", "1a2b", last: true) == "2")
        #expect(try Self.capture("a(b)", "ab", whole: true) == "b")
        #expect(try Self.capture("a(b)", "xab", whole: true) == nil)
        #expect(try Self.capture("a(b)", "abx", whole: true) == nil)
        #expect(try Self.capture("^b", "ab") == nil && Self.capture("a$", "ab") == nil)
        // Where alternatives differ in length the longest counts, not the first.
        #expect(try Self.capture("(a|ab)(?:c|bcd)", "abcd") == "ab")
        #expect(try Self.capture("x", "") == nil && Self.capture("x*", "", last: true) == "")
    }

    @Test(
        "patterns that cannot be run are refused, with the reason",
        arguments: [
            "(a)(b)", "((a))", "(a)+", "x|(a)", "a(?=b)", "(a)\\1", "a)", "(", "[", "^a|b$",
        ])
    func refuses(pattern: String) {
        #expect {
            try rewards("[{name: regex, pattern: '\(pattern)'}]")
        } throws: { "\($0)".contains("r.yaml:") && "\($0)".contains("reward_funcs.regex.pattern") }
    }

    @Test(
        "patterns that make backtracking explode take bounded time",
        arguments: [
            "(?:a+)+$", "(?:a|aa)+$", "(?:a|a)*b", "(?:.*a){12}", "(?:a*)*c", "(?:x?x?x?)*y",
        ])
    func explodes(pattern: String) throws {
        let started = ContinuousClock.now
        for text in [
            String(repeating: "a", count: 3000) + "!", String(repeating: "x", count: 3000),
        ] {
            // Either a verdict or a fault that says so.
            do {
                _ = try RegexReward(pattern).score(text)
            } catch let fault as PartialRewards {
                #expect("\(fault)".contains("too many") || "\(fault)".contains("more than"))
            }
        }
        #expect(ContinuousClock.now - started < .seconds(60))
    }

    @Test("captures are compared with the column, a missing column is passed over")
    func compares() throws {
        let reward = try rewards(
            "[{name: regex, pattern: 'answer: (\\w+)', column: gold, ignore_case: true}]")[0]
        #expect(try reward.score("answer: Yes", #"{"gold": " yes "}"#) == 1)
        #expect(try reward.score("answer: no", #"{"gold": "yes"}"#) == 0)
        #expect(try reward.score("answer: 7", #"{"gold": 7}"#) == 1)
        #expect(try reward.score("nothing", #"{"gold": "yes"}"#) == 0)
        #expect(try reward.score("answer: yes") == nil)
        #expect(throws: PartialRewards.self) { try reward.score("answer: yes", #"{"gold": []}"#) }
    }

    @Test("documents are judged as jsonschema judges them, in any order and spacing")
    func schemas() throws {
        let golden = try JSONDocument(path: Goldens.path("constraints/schemas.json")).root
        var (judged, refused) = (0, 0)
        for item in try #require(golden.array) {
            guard let schema = item["schema"], let verdict = try? SchemaVerdict(schema) else {
                refused += 1
                continue
            }
            let valid = (item["canonical"]?.array?.compactMap(\.string) ?? []).map { ($0, true) }
            let others = (item["others"]?.array.map(Array.init) ?? []).map {
                ($0[0]?.string ?? "", $0[1]?.bool ?? true)
            }
            for (text, isValid) in valid + others {
                let document = try JSONDocument(bytes: Array(text.utf8), name: "document")
                let found = try verdict.allows(document.root)
                #expect(found == isValid, "\(text) of \(JSONOutput(copying: schema))")
                judged += 1
            }
        }
        #expect(judged > 1000 && refused < 15, "\(judged) judged, \(refused) refused")
    }

    private static let person =
        "{type: object, properties: {name: {type: string, minLength: 1}, age: {type: integer, "
        + "minimum: 0}}, required: [name, age], additionalProperties: false}"

    @Test(
        "a completion or its last fenced block is judged",
        arguments: [
            (#"{"age": 3, "name": "Ann"}"#, 1.0),
            ("```json\n{\"name\": \"A\",\n \"age\": 3e0}\n```", 1),
            ("Here:\n```\n{\"name\": \"A\", \"age\": 3}\n```\nDone.", 1),
            (#"{"name": "Ann"}"#, 0.25),
            (#"{"name": "", "age": 3}"#, 0.25), (#"{"name": "A", "age": -1}"#, 0.25), ("", 0),
            ("{", 0),
            (#"Sure! {"age": 3, "name": "Ann"}"#, 0), ("```json\n{\"name\": \"A\", \"age\": 3}", 0),
            (#"{"age": 3, "name": "A", "x": 1}"#, 0.25), ("[1, 2", 0),
            (#"{"age": NaN, "name": "A"}"#, 0),
        ])
    func judges(text: String, score: Double) throws {
        let reward = try rewards("[{name: json_schema, schema: \(Self.person), parsed: 0.25}]")[0]
        #expect(try reward.score(text) == score)
    }

    @Test("schemas come from the row too; those that cannot be judged are named")
    func rowSchemas() throws {
        let reward = try rewards("[{name: json_schema, schema_column: schema}]")[0]
        #expect(try reward.score("[1]", #"{"schema": {"type": "array"}}"#) == 1)
        #expect(try reward.score("1", #"{"schema": "{\"type\": \"array\"}"}"#) == 0)
        #expect(try reward.score("1") == nil)
        for schema in [#"{"not": {}}"#, "\"{\"", "7"] {
            #expect(throws: PartialRewards.self) {
                try reward.score("1", "{\"schema\": \(schema)}")
            }
        }
        #expect { try rewards("[{name: json_schema, schema: {type: thing}}]") } throws: {
            "\($0)".contains("'thing'")
        }
        #expect { try rewards("[json_schema]") } throws: { "\($0)".contains("schema_column") }
    }

    @Test("deep, long and ambiguous documents end")
    func hostileDocuments() throws {
        let started = ContinuousClock.now
        let tree =
            "{anyOf: [{type: array, items: {$ref: '#'}}, {type: array, prefixItems: [{$ref: '#'}]}, "
            + "{type: integer}]}"
        let reward = try rewards("[{name: json_schema, schema: \(tree)}]")[0]
        for depth in [20, 400, 511, 600, 100_000] {
            let text =
                String(repeating: "[", count: depth) + "\"x\""
                + String(repeating: "]", count: depth)
            do {
                #expect(try reward.score(text) == 0)
            } catch let fault as PartialRewards {
                #expect("\(fault)".contains("more than"))
            }
        }
        let strings = try rewards(
            "[{name: json_schema, schema: {type: string, pattern: '^(?:a+)+$'}}]")[0]
        #expect(try strings.score("\"" + String(repeating: "a", count: 20_000) + "!\"") == 0)
        #expect(try strings.score("\"aaa\"") == 1)
        #expect(ContinuousClock.now - started < .seconds(60))
    }
}
