import TestSupport
import Testing
import YuyanFormats

/// Every kind of value, escape and nesting in little space.
let jsonSample = #"""
    {"a": [1, -2.5e3, true, false, null, "x\n\u00e9\ud83d\ude00"], "雨燕": {"": {}, "k\u0041": []},
     "n": 9223372036854775807, "big": 1e400, "long": "0123456789abcdef0123456789éééé\\\"/\/", "a": 7}
    """#

private func fault(_ bytes: [UInt8]) -> FormatError? {
    do throws(FormatError) {
        _ = try JSONDocument(bytes: bytes, name: "text")
        return nil
    } catch {
        return error
    }
}

private func fault(_ text: String) -> FormatError? { fault(Array(text.utf8)) }

@Suite("JSON syntax")
struct JSONParserTests {
    @Test(
        "what RFC 8259 allows is accepted",
        arguments: [
            "null", "true", "false", "0", "-0", "-0.0", "1", "12", "1.5", "1e5", "1E+5", "1e-05",
            "0e0", "0.0e-0", "\"\"", "\"a\"", "[]", "{}", "[[]]", "[{}]", "{\"\":[]}",
            " \t\r\n[ 1 , 2 ] \n", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "\"\\uD800\\uDC00\"",
            "\"\\udbff\\udfff\"", "\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\"\u{7F}\"", "\"\u{80}\"",
            "\"\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}\"", "\"日本語\"",
            "123456789012345678901234567890", "1e999999999999999999999", "[1,\"2\",{\"3\":[null]}]",
        ])
    func valid(_ text: String) {
        #expect(fault(text) == nil)
    }

    @Test(
        "what RFC 8259 forbids is refused",
        arguments: [
            "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "+1", "01", "-01",
            "1.",
            ".5", "-", "-.5", "1e", "1e+", "1.e5", "0x10", "1_000", "1 2", "[1,]", "[,1]", "[1 2]",
            "[", "]", "[1", "[1,", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
            "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{\"a\" 1}", "{\"a\":}", "{1:2}", "[1}",
            "{\"a\":1]",
            "\"", "\"a", "\"\\", "\"\\\"", "\"\\x41\"", "\"\\u\"", "\"\\u12\"", "\"\\u12G4\"",
            "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\n\"", "\"\\ud800\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\ud800\\u\"", "\"\n\"", "\"\t\"", "\"\u{1F}\"", "\"\0\"", "'a'", "// x\n1", "/**/1",
            "\u{FEFF}1", "1\u{A0}", "[1]x", "{}{}", "\"a\"\"b\"", "1,", "tru", "[tru]", "\u{C}1",
        ])
    func invalid(_ text: String) {
        guard case .json("text", _, _, _)? = fault(text) else {
            Issue.record("'\(text)' is accepted")
            return
        }
    }

    @Test("exactly the byte sequences that are UTF-8 are accepted inside strings")
    func utf8() {
        let edges: [UInt8] = [0x20, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
        for first in UInt8(0x80) ... .max {
            for second in UInt8(0x23) ... .max where second != 0x5C {
                check([first, second, 0xBF, 0x80])
            }
            for second in edges {
                for third in edges {
                    for fourth in edges { check([first, second, third, fourth]) }
                }
            }
        }
        for cut: [UInt8] in [[0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xF0]] {
            #expect(fault([0x22] + cut + [0x22]) != nil)
            #expect(fault([0x22] + cut) != nil)
        }
    }

    private func check(_ bytes: [UInt8]) {
        let isValid = String(validating: bytes, as: UTF8.self) != nil
        let isAccepted = fault([0x22] + bytes + [0x22]) == nil
        if isValid != isAccepted { Issue.record("\(bytes)") }
    }

    @Test("special bytes are found at every distance from the start of a string")
    func distances() {
        for distance in 0..<40 {
            let text = String(repeating: "a", count: distance)
            #expect(fault("[\"\(text)\", 1]") == nil)
            #expect(fault("\"\(text)\u{1F}\(text)\"") != nil)
            #expect(fault("\"\(text)\\q\(text)\"") != nil)
            #expect(fault("\"\(text)\"\(text)\"") != nil)
            #expect(fault(Array("\"\(text)".utf8) + [0xFF] + Array("\(text)\"".utf8)) != nil)
        }
    }

    @Test("nesting is limited, and deep texts do not overflow the stack")
    func depth() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(fault(nested(512)) == nil)
        #expect(
            fault(nested(513))
                == .json(file: "text", line: 1, column: 513, what: "nested deeper than 512"))
        #expect(fault(String(repeating: "{\"a\":[", count: 1_000_000)) != nil)
    }

    @Test("errors say line and column")
    func places() {
        #expect(
            fault("{\n  \"a\": 1,\n  \"é\": tru\n}")
                == .json(file: "text", line: 3, column: 9, what: "expected a value"))
        #expect(
            fault("[1\n2]") == .json(file: "text", line: 2, column: 1, what: "expected ',' or ']'"))
        #expect(
            fault("") == .json(file: "text", line: 1, column: 1, what: "the text ends too early"))
        #expect(
            fault("\u{FEFF}{}")
                == .json(
                    file: "text", line: 1, column: 1,
                    what: "a byte order mark; save the file as UTF-8 without it"))
    }

    @Test("every cut and every changed byte is refused or read, never a crash")
    func damage() {
        let bytes = Array(jsonSample.utf8)
        #expect(survivesJSON(bytes))
        for length in bytes.indices { #expect(!survivesJSON(Array(bytes[..<length]))) }
        for place in bytes.indices {
            for value in UInt8.min ... .max {
                var image = bytes
                image[place] = value
                _ = survivesJSON(image)
            }
        }
        var mutations = Mutations(of: bytes, seed: 3)
        let survivors = (0..<3000).count { _ in survivesJSON(mutations.next()) }
        #expect((1..<3000).contains(survivors))
    }
}
