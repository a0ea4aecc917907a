import Testing
import YuyanEngine
import YuyanFormats
import YuyanText

@testable import yuyan

@Suite("Chat input")
struct ChatInputTests {
    @Test("a line is a message unless it starts with one slash")
    func lines() {
        let cases: [(String, ChatInput)] = [
            ("Hello there", .message("Hello there")),
            ("  indented /reset", .message("  indented /reset")),
            ("", .nothing), (" \t", .nothing),
            ("/reset", .reset), ("/stats", .stats), ("/help", .help), ("/quit", .quit),
            ("/exit ", .quit),
            ("/system Be brief.  ", .system("Be brief.")), ("/system", .system("")),
            ("/save a b.json", .save("a b.json")), ("/save", .unknown("/save")),
            ("/reset now", .unknown("/reset")), ("/etc/passwd", .unknown("/etc/passwd")),
            ("//etc is a folder", .message("/etc is a folder")),
        ]
        for (line, expected) in cases { #expect(ChatInput(line) == expected, "'\(line)'") }
    }

    @Test("JSON values are cut where their brackets close, however they are laid out")
    func splitting() {
        var splitter = JSONSplitter()
        #expect(splitter.append(#"[{"content": "a ] } \" {"}]"#) == #"[{"content": "a ] } \" {"}]"#)
        #expect(splitter.append("  ") == nil)
        #expect(splitter.append("{") == nil)
        #expect(splitter.append(#"  "a": "[""#) == nil)
        #expect(splitter.rest == "{\n  \"a\": \"[\"")
        #expect(splitter.append("}") == "{\n  \"a\": \"[\"\n}")
        #expect(splitter.rest == nil)
        #expect(splitter.append("]") == "]")
        #expect(splitter.append("{}") == "{}")
    }

    @Test("a request is a list of messages or an object with settings")
    func requests() throws {
        let list = try ChatRequest(#"[{"role": "user", "content": "Hi"}]"#, name: "r")
        #expect(list.messages == [["role": "user", "content": "Hi"]])
        #expect(!list.hasSystem && list.tools == nil)
        let object = try ChatRequest(
            #"{"messages": [{"role": "system", "content": "x", "n": [1, 2.5, null, true]}], "#
                + #""tools": [{"name": "f"}], "max_tokens": 7, "temperature": 0.5, "seed": -1}"#,
            name: "r")
        #expect(object.hasSystem)
        #expect(object.tools == [["name": "f"]])
        #expect(
            object.messages
                == [["role": "system", "content": "x", "n": [1, 2.5, nil, true]]])
        let applied = object.applied(to: .init())
        #expect(applied.maxTokens == 7 && applied.temperature == 0.5 && applied.seed == .max)
        #expect(applied.topP == 1)
    }

    @Test(
        "a wrong request is refused with its name and key",
        arguments: [
            ("[", "r:1:2"), ("[]", "'messages' is empty"), ("{}", "no key 'messages'"),
            (#"{"messages": 3}"#, "'messages'"), ("[3]", "'messages[0]'"),
            (#"[{"content": "a"}]"#, "'role'"),
            (#"{"messages": [{"role": "user"}], "stream": true}"#, "'stream'"),
            (#"{"messages": [{"role": "user"}], "max_tokens": "7"}"#, "'max_tokens'"),
        ])
    func refusals(_ text: String, _ expected: String) {
        let error = #expect(throws: FormatError.self) { try ChatRequest(text, name: "r") }
        let message = error?.description ?? ""
        #expect(message.contains(expected) && message.hasPrefix("r:"), "\(message)")
    }
}
