import TestSupport
import Testing
import YuyanText
import YuyanEngine
import YuyanFormats

@testable import YuyanServe

@Suite("Calls of tools")
struct ToolTests {
    static let tool = """
        {"type": "function", "function": {"name": "f", "description": "Does.", "parameters": \
        {"type": "object", "properties": {"a": {"type": "integer"}, "s": {"type": "string"}}}}}
        """
    private static let ask =
        #"{"messages": [{"role": "user", "content": "Hi"}], "tools": [\#(tool)]"#

    static func call(_ arguments: String, name: String = "f") -> String {
        "<tool_call>\n{\"name\": \"\(name)\", \"arguments\": \(arguments)}\n</tool_call>"
    }

    @Test("become tool_calls, several of them, and the text before stays content")
    func calls() async throws {
        let answer =
            "Let me look.\n" + Self.call(#"{"a": 1}"#) + "\n" + Self.call(#"{"s": "x } y"}"#)
        let fixture = try ServiceFixture(template: ServiceFixture.qwen2, answer: answer)
        let (_, body) = try await fixture.json("/v1/chat/completions", Self.ask + "}")
        let message = try #require(body.at("choices", "0", "message"))
        #expect(message["content"]?.string == "Let me look.")
        let calls = try #require(message["tool_calls"]?.array.map(Array.init))
        #expect(calls.count == 2)
        #expect(Set(calls.compactMap { $0["id"]?.string }).count == 2)
        #expect(calls.allSatisfy { $0["type"]?.string == "function" })
        #expect(calls.map { $0.at("function", "name")?.string } == ["f", "f"])
        #expect(
            calls.map { $0.at("function", "arguments")?.string }
                == [#"{"a": 1}"#, #"{"s": "x } y"}"#])
        #expect(body.at("choices", "0", "finish_reason")?.string == "tool_calls")
        #expect(fixture.engine.requests[0].constraint != nil)
    }

    @Test("stream id and name first, then fragments that join to the arguments")
    func stream() async throws {
        let arguments = #"{"a": 12, "s": "caf\u00e9 é \" } 🙂", "deep": [{"x": null}]}"#
        let fixture = try ServiceFixture(
            template: ServiceFixture.qwen2, answer: Self.call(arguments) + Self.call("{}"))
        let events = try await fixture.events(
            "/v1/chat/completions", Self.ask + #", "stream": true}"#)
        let deltas = try events.dropLast().compactMap {
            try $0.json().at("choices", "0", "delta", "tool_calls", "0")
        }
        var joined = ["", ""]
        var heads: [Int] = []
        for delta in deltas {
            let index = try #require(delta["index"]?.int)
            if delta["id"] != nil {
                heads.append(index)
                #expect(joined[index].isEmpty)
                #expect(delta.at("function", "name")?.string == "f")
            }
            joined[index] += delta.at("function", "arguments")?.string ?? ""
        }
        #expect(heads == [0, 1])
        #expect(joined == [arguments, "{}"])
        #expect(deltas.count > 4)
    }

    @Test("are found wherever the text is cut, and nothing else is lost", arguments: 0..<200)
    func anyPieces(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let text =
            "<think> a < b </think>\n\nWe call.  \n" + Self.call(#"{"s": "</tool_call> é"}"#)
            + "\n\n" + Self.call("[1, 2]", name: "other") + Self.call("7") + " <tool_call>{\"x\": "
            + "1} and <tool_call>nothing"
        let whole = parts(of: [text])
        var pieces: [String] = []
        var rest = text[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...12, using: &random)
            pieces.append(String(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        #expect(parts(of: pieces) == whole)
        #expect(whole.contains(.arguments(index: 0, #"{"s": "</tool_call> é"}"#)))
        #expect(whole.first == .reasoning("a < b"))
    }

    @Test("never trap or lose text on damaged calls", arguments: 0..<4)
    func damaged(_ seed: UInt64) {
        let text = "Look: " + Self.call(#"{"a": [1, {"b": "\""}]}"#) + " done"
        var mutations = Mutations(of: Array(text.utf8), seed: seed)
        for _ in 0..<500 {
            let damaged = String(decoding: mutations.next(), as: UTF8.self)
            _ = parts(of: damaged.map(String.init))
        }
    }

    @Test(
        "that name no offered tool, or are no JSON, stay content",
        arguments: [
            "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
            "<tool_call>\nnot json\n</tool_call>", "<tool_call>", "<tool_call>{\"name\": 7}",
            "Use {\"name\": \"f\", \"arguments\": {}} here",
        ])
    func noCalls(_ text: String) {
        #expect(parts(of: [text]) == [.content(text)])
    }

    @Test("with arguments before the name, as a string, or missing")
    func oddForms() {
        #expect(
            parts(of: [#"<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>"#])
                == [.call(index: 0, id: "id", name: "f"), .arguments(index: 0, #"{"a": 1}"#)])
        #expect(
            parts(of: [#"<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>"#])
                == [.call(index: 0, id: "id", name: "f"), .arguments(index: 0, #"{"a": 1}"#)])
        #expect(
            parts(of: [#"<tool_call>{"name": "f"}</tool_call>"#])
                == [.call(index: 0, id: "id", name: "f"), .arguments(index: 0, "{}")])
    }

    /// The parts of an answer in pieces, neighbours of one kind joined.
    private func parts(of pieces: [String]) -> [AnswerPart] {
        let calls = ToolCallParser(format: .hermes, names: ["f"], makeID: { "id" })
        var parser = AnswerParser(reasoning: .tagged, calls: calls)
        var result: [AnswerPart] = []
        for part in pieces.flatMap({ parser.push($0) }) + parser.finish() {
            switch (result.last, part) {
            case (.content(let a), .content(let b)): result[result.count - 1] = .content(a + b)
            case (.reasoning(let a), .reasoning(let b)):
                result[result.count - 1] = .reasoning(a + b)
            case (.arguments(let i, let a), .arguments(let j, let b)) where i == j:
                result[result.count - 1] = .arguments(index: i, a + b)
            default: result.append(part)
            }
        }
        return result
    }

    @Test("are described to models whose templates ignore tools")
    func described() async throws {
        let fixture = try ServiceFixture(template: ServiceFixture.smolLM2)
        _ = await fixture.post("/v1/chat/completions", Self.ask + "}")
        let prompt = fixture.tokenizer.decode(fixture.engine.requests[0].prompt)
        #expect(prompt.contains("\"name\": \"f\"") && prompt.contains("<tool_call>"))
        _ = await fixture.post("/v1/chat/completions", Self.ask + #", "tool_choice": "none"}"#)
        let other = fixture.tokenizer.decode(fixture.engine.requests[1].prompt)
        #expect(!other.contains("\"name\": \"f\""))
        #expect(fixture.engine.requests[1].constraint == nil)
    }

    @Test(
        "of a client's history may be broken; they go back to the model as text",
        arguments: [
            ServiceFixture.qwen2, ServiceFixture.qwen3, ServiceFixture.smolLM2,
        ])
    func brokenHistory(_ template: String) async throws {
        let fixture = try ServiceFixture(template: template)
        let body = """
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null, \
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", \
            "arguments": "{\\"a\\": "}}]}, {"role": "tool", "tool_call_id": "c1", "content": "7"}], \
            "tools": [\(Self.tool)]}
            """
        let response = await fixture.post("/v1/chat/completions", body)
        #expect(response.status == 200)
        let prompt = fixture.tokenizer.decode(fixture.engine.requests[0].prompt)
        #expect(prompt.contains("\"arguments\": {\"a\": }"))
        #expect(prompt.contains("<tool_response>\n7\n</tool_response>"))
    }
}
