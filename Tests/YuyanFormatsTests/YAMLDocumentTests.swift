import TestSupport
import Testing
import YuyanFormats

@Suite("YAML documents")
struct YAMLDocumentTests {
    @Test("texts read as PyYAML's base loader reads them")
    func agreesWithPyYAML() throws {
        let goldens = try JSONDocument(path: Goldens.path("formats/yaml.json"))
        let pairs = try #require(goldens.root.array)
        #expect(pairs.count > 30)
        for pair in pairs {
            let text = try #require(pair[0]?.string)
            let value = try #require(pair[1])
            let document = try YAMLDocument(bytes: Array(text.utf8), name: "text")
            // An empty document is an empty mapping here, an empty text there.
            if value.isNull
                || value.string == "" && text.allSatisfy({ $0.isWhitespace || $0 == "#" })
            {
                continue
            }
            #expect(matches(document.root, value), "\(text)\n\(document.root)")
        }
    }

    private func matches(_ node: YAMLNode, _ json: JSONCursor) -> Bool {
        switch node {
        case .scalar(let text, _, _): return json.string == text
        case .sequence(let items, _):
            guard let array = json.array, array.count == items.count else { return false }
            return zip(items, array).allSatisfy(matches)
        case .mapping(let entries, _):
            guard let others = json.entries, others.count == entries.count else { return false }
            return zip(entries, others).allSatisfy {
                $0.key == $1.key && matches($0.value, $1.value)
            }
        }
    }

    @Test(
        "what is written reads back the same",
        arguments: [
            "plain", "", "two words", "true", "No", "null", "~", "1e-4", "0x1F", "- dash", "a: b",
            "x #y",
            "'q'", "\"", "line\nbreak", "tab\t", " lead", "trail ", "[a]", "{b", "&a", "*a", "!t",
            "%d",
            "@x", "`x", "你好", "😀", "a,b", "C:\\x", "?", "a:", ":", "|", ">", "=", "<<", "/p/q",
            "${HOME}",
        ])
    func roundTrips(_ text: String) throws {
        let tree = YAMLNode.mapping(
            [
                .init(key: text, value: .scalar(text, isQuoted: true, line: 0), line: 0),
                .init(
                    key: "list",
                    value: .sequence([.scalar(text, isQuoted: true, line: 0)], line: 0),
                    line: 0),
                .init(
                    key: "map",
                    value: .mapping(
                        [.init(key: "in", value: .scalar(text, isQuoted: true, line: 0), line: 0)],
                        line: 0), line: 0),
            ], line: 0)
        let document = try YAMLDocument(bytes: Array(tree.text.utf8), name: "text")
        guard case .mapping(let entries, _) = document.root else {
            Issue.record("\(document.root)")
            return
        }
        #expect(entries.map(\.key) == [text, "list", "map"])
        #expect(scalar(entries[0].value) == text)
        guard case .sequence(let items, _) = entries[1].value,
            case .mapping(let inner, _) = entries[2].value
        else {
            Issue.record("\(document.root)")
            return
        }
        #expect(items.map(scalar) == [text])
        #expect(inner.map { scalar($0.value) } == [text])
    }

    private func scalar(_ node: YAMLNode) -> String? {
        guard case .scalar(let text, _, _) = node else { return nil }
        return text
    }

    @Test(
        "what is not read is refused at its place",
        arguments: [
            ("a: &x 1\n", 1, 4, "anchors"), ("a: 1\nb: *x\n", 2, 4, "aliases"),
            ("a: !!int 1\n", 1, 4, "tags"), ("a: 1\na: 2\n", 2, 3, "twice; first in line 1"),
            ("a: 1\n  b: 2\n", 2, 3, "indented by 2"), ("a: b: c\n", 1, 5, "quotes"),
            ("a: \"x\nb: 1\n", 1, 4, "does not end"), ("a: [1, 2\n", 1, 4, "never closed"),
            ("a:\n\tb: 1\n", 2, 2, "tab"), ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
            ("a: 'x' y\n", 1, 8, "end of the line"), ("<<: {a: 1}\n", 1, 1, "merge"),
            ("a: |2\n  x\n", 1, 5, "after |"), ("just text\nmore\n", 2, 1, "further left"),
            ("a: {b 1}\n", 1, 8, "after the key"), ("a: \"\\q\"\n", 1, 5, "unknown escape"),
            ("? a\n: b\n", 1, 1, "complex"), ("a: \u{1}\n", 1, 4, "control"),
            ("a:\n    b: 1\n  c: 2\n", 3, 3, "indented by 2"),
        ])
    func refuses(text: String, line: Int, column: Int, reason: String) {
        #expect {
            try YAMLDocument(bytes: Array(text.utf8), name: "file.yaml")
        } throws: { error in
            guard let error = error as? YAMLError else { return false }
            let isRight =
                error.line == line && error.column == column && error.what.contains(reason)
                && error.file == "file.yaml"
            if !isRight { print("found: \(error)") }
            return isRight
        }
    }

    @Test("damaged texts end in a value or an error, never in a trap")
    func survivesDamage() throws {
        let goldens = try JSONDocument(path: Goldens.path("formats/yaml.json"))
        var generator = SeededGenerator(seed: 7)
        for pair in try #require(goldens.root.array) {
            let text = Array(try #require(pair[0]?.string).utf8)
            for _ in 0..<200 {
                var bytes = text
                for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
                    let place = Int.random(in: 0..<bytes.count, using: &generator)
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: bytes.remove(at: place)
                    case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                    case 2:
                        bytes.insert(
                            Array("\n \t:-#[]{}'\"|>\\,&".utf8).randomElement(using: &generator)
                                ?? 0, at: place)
                    default: bytes.removeSubrange(place...)
                    }
                }
                _ = try? YAMLDocument(bytes: bytes, name: "damaged")
            }
        }
    }

    @Test("depth is limited")
    func limitsDepth() {
        let deep = String(repeating: "[", count: 5000)
        #expect(throws: YAMLError.self) {
            try YAMLDocument(bytes: Array(("a: " + deep).utf8), name: "deep")
        }
        let nested = (0..<200).map { String(repeating: " ", count: $0) + "k:\n" }.joined()
        #expect(throws: YAMLError.self) {
            try YAMLDocument(bytes: Array(nested.utf8), name: "deep")
        }
    }

    @Test("a flag's value reads like a value behind a key")
    func readsValues() throws {
        #expect(try YAMLDocument.value("[a, 1]", name: "flag").inline == "[a, 1]")
        #expect(throws: YAMLError.self) { try YAMLDocument.value("[a", name: "flag") }
    }
}
