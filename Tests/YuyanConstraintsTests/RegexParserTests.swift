import TestSupport
import Testing
import YuyanFormats

@testable import YuyanConstraints

@Suite("Regular expressions")
struct RegexParserTests {
    @Test("a text is accepted exactly if Python's fullmatch accepts it")
    func verdictsAgree() throws {
        let file = try JSONDocument(path: Goldens.path("constraints/regexes.json"))
        let cases = try #require(file.root.array.map { Array($0) })
        #expect(cases.count == 250)
        for item in cases {
            let pattern = try item.string("pattern")
            let constraint = try CompiledConstraint(
                .regex(pattern), vocabulary: Vocabularies.bytes)
            for (key, isMatch) in [("yes", true), ("no", false)] {
                for text in try item.array(key).compactMap(\.string) {
                    #expect(
                        accepts(constraint, Array(text.utf8)) == isMatch,
                        "\(pattern) and '\(text)'")
                }
            }
        }
    }

    @Test(
        "anchors, escapes, ignoring case and long repetitions mean what they usually mean",
        arguments: [
            ("^ab$", ["ab"], ["a", "abb"]),
            ("^a|b$", ["a", "b"], ["ab"]),
            ("(?i)gr[uü]n{2}", ["GrunN", "grünn"], ["grun", "GRÜNN"]),
            ("(?s).", ["\n", "雨"], ["", "ab"]),
            ("[^\\d-]+", ["ab "], ["1", "-"]),
            ("[a\\-z\\]]+", ["a-z]"], ["b"]),
            ("\\u{1F600}\\ud83d\\ude00\\x41", ["😀😀A"], ["😀A"]),
            ("(?P<x>a)(?<y>b)(?:c)", ["abc"], ["ab"]),
            ("a{,2}b{", ["aab{", "b{"], ["aaab{", "a{,2}b{"]),
            ("(a?){0,2000}b", ["b", "aab"], ["a"]),
            ("(ab{3}){2}", ["abbbabbb"], ["abbbabb"]),
            ("", [""], ["a"]),
        ] as [(String, [String], [String])])
    func meansTheUsual(_ pattern: String, _ yes: [String], _ no: [String]) throws {
        let constraint = try CompiledConstraint(.regex(pattern), vocabulary: Vocabularies.bytes)
        for text in yes { #expect(accepts(constraint, Array(text.utf8)), "\(text)") }
        for text in no { #expect(!accepts(constraint, Array(text.utf8)), "\(text)") }
    }

    @Test(
        "only well-formed UTF-8 is a character, for all sequences of up to four bytes at its edges")
    func utf8IsWellFormed() throws {
        let constraint = try CompiledConstraint(.regex("(?s)."), vocabulary: Vocabularies.bytes)
        let edges: [UInt8] = [
            0, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC,
            0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        var texts: [[UInt8]] = [[]]
        for _ in 0..<4 {
            texts = texts.flatMap { text in edges.map { text + [$0] } }
            for text in texts {
                let isCharacter = String(validating: text, as: UTF8.self)?.unicodeScalars.count == 1
                #expect(accepts(constraint, text) == isCharacter, "\(text)")
            }
            // Longer texts only go on from what a character can begin with.
            texts = texts.filter { text in
                var state = constraint.start()
                for byte in text {
                    guard state.allows(Int32(byte)) else { return false }
                    state.accept(Int32(byte))
                }
                return true
            }
        }
    }

    @Test(
        "what is wrong or not regular is named with its offset",
        arguments: [
            ("a(?=b)", 1), ("(a)\\1", 3), ("a\\b", 1), ("a(b", 1), ("ab)", 2), ("[a", 0),
            ("*a", 0), ("a**", 3), ("a{2,1}", 0), ("a^b", 1), ("a\\", 1), ("\\xZZ", 0),
            ("[z-a]", 1), ("x\\p{L}", 1), ("a$b", 2), ("(?<!a)b", 0), ("\\ud800", 0),
        ])
    func faultsHaveOffsets(_ pattern: String, _ offset: Int) {
        do {
            _ = try CompiledConstraint(.regex(pattern), vocabulary: Vocabularies.bytes)
            Issue.record("accepted \(pattern)")
        } catch {
            guard case .regex(let found, _, _) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(found == offset, "\(pattern): \(error)")
        }
    }
}
