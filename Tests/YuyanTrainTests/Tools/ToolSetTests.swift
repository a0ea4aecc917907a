import TestSupport
import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

@Suite("Tools", .serialized)
struct ToolSetTests {
    private let folder = TemporaryFolder()

    private static let echo =
        "while read -r line; do echo \"{\\\"id\\\": $(id \"$line\"), \\\"content\\\": \\\"ok\\\"}\"; done"

    private func set(_ script: String, _ settings: String = "") throws -> ToolSet {
        try toolSet("[calculator, {name: f, program: \(try folder.tool(script))\(settings)}]")
    }

    @Test("read name, arguments and the row's columns, and answer in any order")
    func protocolOfLines() throws {
        let trace = folder.path + "/trace"
        let set = try set(
            "read -r a; read -r b; printf '%s\\n' \"$a\" > \(trace)\n"
                + "echo '{\"id\": 1, \"content\": {\"x\": [1, null]}}'\n"
                + "echo '{\"id\": 0, \"content\": \"é\"}'; cat > /dev/null")
        let row = try JSONDocument(
            bytes: Array(#"{"answer": 7, "name": "column", "id": 9}"#.utf8), name: "row"
        ).root
        let columns = row.entries ?? []
        let replies = set.replies(to: [
            (ToolCall(id: "a", name: "f", arguments: #"{"q": "雨"}"#), columns),
            (ToolCall(id: "b", name: "calculator", arguments: #"{"expression": "2*3"}"#), []),
            (ToolCall(id: "c", name: "f", arguments: "{}"), []),
            (ToolCall(id: "d", name: "g", arguments: "{}"), []),
        ])
        #expect(
            replies == [
                .content("é"), .content("6"), .content(#"{"x": [1, null]}"#),
                .refused("there is no tool 'g'"),
            ])
        let line = try JSONDocument(path: trace).root
        #expect(line["id"]?.int == 0 && line["name"]?.string == "f")
        #expect(line["arguments"]?["q"]?.string == "雨" && line["answer"]?.int == 7)
    }

    @Test("one process answers all calls of a run")
    func oneProcess() throws {
        let trace = folder.path + "/starts"
        let set = try set("echo x >> \(trace)\n" + Self.echo)
        #expect(set.replies("f", "{}", "{}") == [.content("ok"), .content("ok")])
        #expect(set.replies("f", "{}") == [.content("ok")])
        #expect(try MappedFile(path: trace).count == 2)
    }

    @Test(
        "that fail give the model the reason",
        arguments: [
            ("read -r line; sleep 1000", "0 of 1 calls"), ("exit 3", "ended with code 3"),
            ("kill -SEGV $$", "signal 11"), ("echo hello; cat > /dev/null", "wrote 'hello'"),
            ("echo '{\"id\": 0}'; cat > /dev/null", "without content"),
            ("yes", "expected {\"id\": …, \"content\": \"…\"}"),
        ])
    func faults(_ script: String, _ reason: String) throws {
        let found = try set(script, ", timeout: 2, restarts: 0").replies("f", "{}")
        guard case .broken(let what) = found[0] else {
            Issue.record("\(found)")
            return
        }
        #expect(what.contains(reason), "\(what)")
        let read = try JSONDocument(bytes: Array(found[0].text.utf8), name: "message").root
        #expect(read["error"]?.string == what)
    }

    @Test("may refuse a call without being broken, and a crash costs one call")
    func ownErrors() throws {
        let refusing = try set("read -r a; echo '{\"id\": 0, \"error\": \"no such page\"}'; cat")
        #expect(refusing.replies("f", "{}") == [.refused("the program says: no such page")])
        let crashing = try set(
            "read -r a; echo \"{\\\"id\\\": $(id \"$a\"), \\\"content\\\": \\\"ok\\\"}\"; read -r a; exit 9"
        )
        let found = crashing.replies("f", "{}", "{}", "{}")
        #expect(found[0] == .content("ok") && found[2] == .content("ok"))
        guard case .broken(let what) = found[1] else {
            Issue.record("\(found)")
            return
        }
        #expect(what.contains("code 9"))
    }

    @Test("have names, descriptions and schemas of the recipe")
    func offers() throws {
        let path = try folder.tool(Self.echo)
        let set = try toolSet(
            "[{name: look-up_2, program: \(path), description: \"Finds.\", parameters: "
                + "{type: object, properties: {q: {type: string}, n: {maximum: 3}}, required: [q]}}]"
        )
        let tool = try #require(set.offers.first)
        #expect(tool.name == "look-up_2" && tool.summary == "Finds.")
        #expect(tool.parameters?["properties"]?["n"]?["maximum"]?.int == 3)
        #expect(tool.parameters?["required"]?[0]?.string == "q")
        let text = try toolSet(
            "[{name: f, program: \(path), parameters: '{\"type\": \"object\"}'}]")
        #expect(text.offers.first?.parameters?["type"]?.string == "object")
    }

    @Test(
        "mistakes in a recipe are named",
        arguments: [
            ("[calculater]", "'calculater'", "nearest: calculator"),
            ("[calculator, calculator]", "two tools called 'calculator'", "its own"),
            ("[{program: /bin/sh}]", "without name", "program: ./search.py"),
            ("[[calculator]]", "a list", "names or mappings"),
            ("[{name: calculator, depth: 3}]", "tools.calculator.depth", "unknown"),
            ("[{name: f, program: ./nowhere-at-all}]", "tools.f.program", "not there"),
            ("[{name: f, program: /bin/sh, timeout: 0}]", "tools.f.timeout", "above 0"),
            ("[{name: f, program: /bin/sh, memory: lots}]", "tools.f.memory", "amount of memory"),
            ("[{name: f, program: /bin/sh, parameters: [1]}]", "tools.f.parameters", "schema"),
            ("[{name: \"a b\", program: /bin/sh}]", "tools.a b.name", "letters"),
        ])
    func refuses(_ yaml: String, _ found: String, _ expected: String) {
        #expect {
            _ = try toolSet(yaml)
        } throws: { error in
            let text = "\(error)"
            let isRight = text.contains(found) && text.contains(expected)
            if !isRight { print("found: \(text)") }
            return isRight
        }
    }
}
