import TestSupport
import Testing
import YuyanFormats
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Tokenizer files that are wrong")
struct TokenizerRefusalTests {
    // MARK: - tokenizer.json

    /// A minimal tokenizer.json, with parts replaced.
    static func json(
        vocab: String = #"{"a": 0, "b": 1, "ab": 2}"#, merges: String = #"["a b"]"#,
        model: String = #""type": "BPE""#, added: String = "[]",
        pre: String = #"{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}"#,
        other: String = #""normalizer": null"#
    ) -> String {
        """
        {"added_tokens": \(added), "pre_tokenizer": \(pre), \(other),
         "model": {\(model), "vocab": \(vocab), "merges": \(merges)}}
        """
    }

    static func load(_ text: String) throws -> Tokenizer {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        _ = folder.file("tokenizer.json", Array(text.utf8))
        return try Tokenizer(directory: folder.path)
    }

    static func refusal(_ text: String) -> String {
        do {
            _ = try load(text)
            return "accepted"
        } catch let error as TokenizerError {
            return error.description.split(separator: "tokenizer.json", maxSplits: 1).last.map {
                String($0)
            } ?? ""
        } catch {
            return "untyped: \(error)"
        }
    }

    @Test("the minimal file is right, so that every refusal below has one cause")
    func minimal() throws {
        #expect(try Self.load(Self.json()).encode("abba") == [2, 1, 0])
    }

    @Test(
        "each fault of tokenizer.json is named",
        arguments: [
            (json(merges: #"["a c"]"#), "merge 0 needs the token 'c'"),
            (json(merges: #"["a b", "ab ab"]"#), "merge 1 needs the token 'abab'"),
            (json(merges: #"["a b", "a 漢"]"#), "merge 1 needs the token '漢'"),
            (json(merges: #"["ab"]"#), "'model.merges[0]' is 'ab', expected two tokens"),
            (json(merges: #"[" b"]"#), "'model.merges[0]' is a rule with an empty side"),
            (json(merges: #"[["a"]]"#), "'model.merges[0]' is array"),
            (json(merges: "[1]"), "'model.merges[0]' is number"),
            (json(merges: "{}"), "'model.merges' is object, expected array"),
            (json(vocab: #"{"a": 0, "b": 0}"#), "two tokens with the id 0"),
            (json(vocab: #"{"a": 0, "a": 1}"#, merges: "[]"), "'a' has two ids, 0 and 1"),
            (json(vocab: #"{"a": -1}"#), "the id -1"),
            (json(vocab: #"{"a": 4000000000}"#), "beyond the limit of 1048575"),
            (json(vocab: #"{"a": 99999999999999999999}"#), "expected a whole number"),
            (json(vocab: #"{"a": "x"}"#), "'model.vocab.a' is string"),
            (json(vocab: "[]"), "'model.vocab' is array, expected object"),
            (json(model: #""type": "Unigram""#), "'model.type' is 'Unigram'"),
            (json(model: #""type": "WordPiece""#), "known: BPE"),
            (json(model: #""kind": "BPE""#), "'model.type' is missing"),
            (json(model: #""type": "BPE", "dropout": 0.1"#), "'model.dropout' is 0.1"),
            (json(model: #""type": "BPE", "byte_fallback": true"#), "'model.byte_fallback'"),
            (json(model: #""type": "BPE", "end_of_word_suffix": "</w>""#), "is '</w>'"),
            (json(model: #""type": "BPE", "unk_token": "?""#), "'model.unk_token' is '?'"),
            (json(added: #"[{"id": 9999999, "content": "x"}]"#), "'added_tokens[0].id'"),
            (json(added: #"[{"id": 1, "content": "x"}]"#), "id 1 twice, expected 'b'"),
            (json(added: #"[{"id": 1}]"#), "'added_tokens[0].content' is missing"),
            (json(added: "7"), "'added_tokens' is number"),
            (json(pre: "null"), "'pre_tokenizer' is missing"),
            (json(pre: #"{"type": "Metaspace"}"#), "'pre_tokenizer.type' is 'Metaspace'"),
            (json(pre: #"{"type": "Sequence", "pretokenizers": []}"#), "an empty Sequence"),
            (
                json(
                    pre: #"""
                        {"type": "Sequence", "pretokenizers": [{"type": "Split", "invert": false,
                        "pattern": {"Regex": "(.*)*"}, "behavior": "Isolated"},
                        {"type": "ByteLevel"}]}
                        """#),
                "'pre_tokenizer[0].pattern.Regex' is '(.*)*', which is not supported; known:"
            ),
            (json(other: #""normalizer": {"type": "NFKC"}"#), "'normalizer.type' is 'NFKC'"),
            (json(other: #""decoder": {"type": "Metaspace"}"#), "'decoder.type'"),
            (json(other: #""post_processor": {"type": "X"}"#), "'post_processor.type' is 'X'"),
            (
                json(
                    other: #"""
                        "post_processor": {"type": "TemplateProcessing", "single":
                        [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {}}
                        """#),
                "'post_processor.special_tokens.<s>' is missing"
            ),
            ("[]", "'model' is missing"),
            ("{", "not valid JSON"),
            ("", "not valid JSON"),
        ])
    func refusesJSON(_ text: String, _ message: String) {
        let refusal = Self.refusal(text)
        #expect(refusal.contains(message), "\(refusal)")
    }

    @Test("a folder without tokenizer.json is named")
    func missingFile() {
        #expect {
            _ = try Tokenizer(directory: "/nonexistent")
        } throws: {
            "\($0)".contains("/nonexistent/tokenizer.json")
        }
    }

    // MARK: - GGUF

    static let good: [(String, Value)] = [
        ("tokenizer.ggml.model", .text("gpt2")), ("tokenizer.ggml.pre", .text("gpt-2")),
        ("tokenizer.ggml.tokens", .texts(["a", "b", "ab", "<s>", "é"].map { Array($0.utf8) })),
        ("tokenizer.ggml.token_type", .numbers([1, 1, 1, 3, 1])),
        ("tokenizer.ggml.merges", .texts([Array("a b".utf8)])),
        ("tokenizer.ggml.bos_token_id", .number(3)),
    ]

    static func gguf(_ key: String, _ value: Value?) throws -> Tokenizer {
        let pairs = good.filter { $0.0 != key } + (value.map { [(key, $0)] } ?? [])
        var bytes = Array("GGUF".utf8)
        bytes += little(UInt32(3)) + little(UInt64(0)) + little(UInt64(pairs.count))
        for (key, value) in pairs { bytes += text(Array(key.utf8)) + value.bytes }
        return try Tokenizer(gguf: GGUFFile(file: MappedFile(bytes: bytes, name: "test.gguf")))
    }

    @Test("the minimal GGUF file is right")
    func minimalGGUF() throws {
        let tokenizer = try Self.gguf("", nil)
        #expect(tokenizer.encode("abba<s>") == [2, 1, 0])
        #expect(tokenizer.encode("ab<s>", parseSpecial: true) == [2, 3])
        #expect(tokenizer.bytes(of: 4) == [0xE9])
        #expect(tokenizer.text(of: 4) == "\u{FFFD}")
        #expect(tokenizer.id(of: "<s>") == 3)
        #expect(tokenizer.beginningOfSequence == 3)
    }

    @Test("tokens that are not UTF-8 are kept as bytes, and no text becomes them")
    func invalidUTF8() throws {
        let tokens: [[UInt8]] = [[0xFF, 0xFE], [0x61], [0x62], [0xC3], Array("ab".utf8), [0xF0]]
        let pairs = Value.texts(tokens)
        #expect(throws: TokenizerError.self) { try Self.gguf("tokenizer.ggml.tokens", pairs) }
        let five = Value.texts([[0xFF, 0xFE], [0x61], [0x62], [0xC3], Array("ab".utf8)])
        let tokenizer = try Self.gguf("tokenizer.ggml.tokens", five)
        #expect(tokenizer.bytes(of: 0) == [0xFF, 0xFE])
        #expect(tokenizer.decode([0, 1, 3]) == "\u{FFFD}\u{FFFD}a\u{FFFD}")
        #expect(tokenizer.encode("ab\u{FF}") == [4])
    }

    @Test(
        "each fault of a GGUF file is named",
        arguments: [
            ("tokenizer.ggml.model", Value.text("llama"), "'llama', which is not supported"),
            ("tokenizer.ggml.model", nil, "no key 'tokenizer.ggml.model'"),
            ("tokenizer.ggml.model", .number(1), "expected a string"),
            ("tokenizer.ggml.pre", .text("nonesuch"), "known: default, gpt-2"),
            ("tokenizer.ggml.tokens", nil, "no key 'tokenizer.ggml.tokens'"),
            ("tokenizer.ggml.tokens", .numbers([1]), "an array of int32"),
            ("tokenizer.ggml.tokens", .texts([]), "is empty"),
            (
                "tokenizer.ggml.tokens", .texts(["a", "b", "ab", "a", "b"].map { Array($0.utf8) }),
                "'b' has two ids, 1 and 4"
            ),
            ("tokenizer.ggml.token_type", .numbers([1]), "1 types, expected 5"),
            ("tokenizer.ggml.merges", nil, "no key 'tokenizer.ggml.merges'"),
            ("tokenizer.ggml.merges", .texts([Array("a zz".utf8)]), "the token 'zz'"),
            ("tokenizer.ggml.merges", .texts([Array("b a".utf8)]), "the token 'ba'"),
            ("tokenizer.ggml.merges", .texts([[0xFF, 0x20, 0x61]]), "merge 0 needs the token"),
            ("tokenizer.ggml.merges", .texts([[]]), "expected two tokens"),
            ("tokenizer.ggml.bos_token_id", .number(5), "is 5, expected an id below 5"),
            ("tokenizer.ggml.eos_token_id", .text("x"), "expected an integer"),
        ] as [(String, Value?, String)])
    func refusesGGUF(_ key: String, _ value: Value?, _ message: String) {
        do {
            _ = try Self.gguf(key, value)
            Issue.record("accepted")
        } catch {
            #expect(error is TokenizerError)
            #expect("\(error)".contains(message), "\(error)")
            #expect("\(error)".contains("test.gguf"))
        }
    }

    /// A metadata value as GGUF writes it.
    enum Value: Sendable {
        case text([UInt8])
        case number(UInt32)
        case numbers([Int32])
        case texts([[UInt8]])

        static func text(_ string: String) -> Value { .text(Array(string.utf8)) }

        var bytes: [UInt8] {
            switch self {
            case .text(let bytes):
                little(UInt32(8)) + TokenizerRefusalTests.text(bytes)
            case .number(let number):
                little(UInt32(4)) + little(number)
            case .numbers(let numbers):
                little(UInt32(9)) + little(UInt32(5)) + little(UInt64(numbers.count))
                    + numbers.flatMap { little(UInt32(bitPattern: $0)) }
            case .texts(let texts):
                little(UInt32(9)) + little(UInt32(8)) + little(UInt64(texts.count))
                    + texts.flatMap { TokenizerRefusalTests.text($0) }
            }
        }
    }

    private static func text(_ bytes: [UInt8]) -> [UInt8] {
        little(UInt64(bytes.count)) + bytes
    }
}

private func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
}
