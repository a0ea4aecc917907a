import TestSupport
import Testing
import YuyanFormats

@testable import YuyanNN

@Suite("Module patterns")
struct ModulePatternTests {
    private static let golden: JSONCursor = {
        guard let document = try? JSONDocument(path: Goldens.path("adapters/patterns.json")) else {
            preconditionFailure("no adapters/patterns.json")
        }
        return document.root
    }()

    @Test("take the key of rank_pattern that peft takes")
    func keys() throws {
        var found = 0
        for item in try Self.golden.array("keys") {
            let path = try item.string("path")
            let patterns = try item.array("patterns").compactMap(\.string)
            let first = try patterns.first { try ModulePattern($0).matchesEnd(of: path) }
            let expected = try item.optionalString("key")
            #expect(first == expected, "\(patterns), \(path)")
            if expected != nil { found += 1 }
        }
        #expect(found > 100)
    }

    @Test("name the target modules that peft finds")
    func targets() throws {
        var found = 0
        for item in try Self.golden.array("targets") {
            let path = try item.string("path")
            let target = try item.value("target")
            let isList = target.kind == .array
            let text = isList ? "" : try item.string("target")
            let names = isList ? try item.array("target").compactMap(\.string) : []
            let list = names.map { JSONOutput.string($0) }
            let json: JSONOutput = [
                "peft_type": "LORA",
                "target_modules": isList ? .array(list) : .string(text),
            ]
            let configuration = try AdapterConfiguration(
                JSONDocument(bytes: Array(json.description.utf8), name: "test"))
            let expected = try item.bool("found")
            #expect(
                try configuration.names(path) == expected, "\(isList ? "\(names)" : text), \(path)")
            if expected { found += 1 }
        }
        #expect(found > 30)
    }

    @Test(
        "refuse what they would read otherwise than Python",
        arguments: [
            "(?=a)b", "(?i)a", "a(", "a)", "[a", "a\\", "*a", "a**", "a*+", "a{2}{3}", "\\bq",
            "(a)\\1", "a{300}", "[z-a]", "(?P<x", "a{3,2}", String(repeating: "(", count: 200),
            String(repeating: "a", count: 5000), "[\\D]",
        ])
    func refused(_ text: String) {
        #expect(throws: ModulePattern.Fault.self) { try ModulePattern(text) }
    }

    @Test("read literals, classes and counts as Python does")
    func syntax() throws {
        for (pattern, path, expected) in [
            ("a{2}b", "aab", true), ("a{2}b", "ab", false), ("a{,2}", "aaa", false),
            ("a{1,}", "aaaa", true), ("a{x}", "a{x}", true), ("[]a]+", "a]a", true),
            ("[^]a]", "]", false), ("[a-c-]+", "b-", true), ("\\.", ".", true),
            ("\\.", "a", false), ("a||b", "", true), ("(a|ab)(c|bcd)", "abcd", true),
            ("(a*)*", "aaaa", true), ("(?P<n>a)b", "ab", true), ("\\w+\\.\\d", "x_9.7", true),
            ("\\W", ".", true), ("[\\d.]+", "1.2", true), ("a^b", "ab", false), ("^a$", "a", true),
        ] {
            #expect(try ModulePattern(pattern).matches(path) == expected, "\(pattern), \(path)")
        }
    }

    @Test("take little time, however they are nested")
    func time() throws {
        let path = "model.layers.10.self_attn.q_proj"
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try !ModulePattern("((((.*)*)*)*)*x").matches(path))
        #expect(try !ModulePattern("(.*.*.*.*.*.*.*.*)*x").matches(path))
        var nested = "(|a)"
        for _ in 0..<6 { nested = "(\(nested){255})" }
        #expect(throws: ModulePattern.Fault.tooComplex) {
            try ModulePattern(nested).matches(path)
        }
        #expect(clock.now - start < .seconds(1))
    }
}
