import Testing
import YuyanConstraints
import YuyanEngine
import YuyanFormats
import YuyanText

@testable import YuyanServe

@Suite("Answers of a form after thoughts")
struct ThoughtTests {
    /// As some models have it: the prompt itself begins the thoughts.
    private static let opened = """
        {% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}<|im_end|>
        {% endfor %}{{ tools }}<|im_start|>assistant
        <think>

        """
    private static let hello = #"{"messages": [{"role": "user", "content": "Hi"}]"#
    private static let schema = """
        , "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": \
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], \
        "additionalProperties": false}}}
        """

    /// Whether a text is a complete answer by a request's constraint.
    private func isWhole(_ text: String, _ fixture: ServiceFixture) throws -> Bool {
        var state = try #require(fixture.engine.requests.last?.constraint).start()
        for id in fixture.tokenizer.encode(text, parseSpecial: true, addSpecial: false) {
            guard state.allows(id) else { return false }
            state.accept(id)
        }
        return state.allows(try #require(fixture.tokenizer.endOfGeneration.min()))
    }

    @Test("hold the form in the content, and the thoughts beside it", arguments: [false, true])
    func form(_ isStream: Bool) async throws {
        let answer = "I see {}.\n</think>\n\n{\"a\": 7}"
        let fixture = try ServiceFixture(source: Self.opened, answer: answer)
        var content = ""
        var reasoning = ""
        if isStream {
            let events = try await fixture.events(
                "/v1/chat/completions", Self.hello + Self.schema + #", "stream": true}"#)
            for event in events.dropLast() {
                let delta = try event.json().at("choices", "0", "delta")
                content += delta?["content"]?.string ?? ""
                reasoning += delta?["reasoning_content"]?.string ?? ""
            }
        } else {
            let (_, body) = try await fixture.json(
                "/v1/chat/completions", Self.hello + Self.schema + "}")
            let message = try #require(body.at("choices", "0", "message"))
            content = message["content"]?.string ?? ""
            reasoning = message["reasoning_content"]?.string ?? ""
        }
        #expect(content == #"{"a": 7}"# && reasoning == "I see {}.")
        #expect(try isWhole(answer, fixture))
        #expect(try isWhole("</think>{\"a\": 7}", fixture))
        #expect(try !isWhole("{\"a\": 7}", fixture))
        #expect(try !isWhole("I see.</think>\n\nSeven", fixture))
        #expect(try !isWhole("I see.</think>\n\n{\"b\": 7}", fixture))
    }

    @Test("are all content where thoughts are not to be split off")
    func unsplit() async throws {
        let fixture = try ServiceFixture(source: Self.opened, answer: "{\"a\": 7}")
        let (_, body) = try await fixture.json(
            "/v1/chat/completions", Self.hello + Self.schema + #", "reasoning_format": "none"}"#)
        #expect(body.at("choices", "0", "message", "content")?.string == #"{"a": 7}"#)
        #expect(try isWhole("{\"a\": 7}", fixture))
    }

    @Test("need no thoughts where the prompt has begun none")
    func unopened() async throws {
        let fixture = try ServiceFixture(template: ServiceFixture.qwen3, answer: "{\"a\": 7}")
        for more in ["", #", "chat_template_kwargs": {"enable_thinking": true}"#] {
            let (_, body) = try await fixture.json(
                "/v1/chat/completions", Self.hello + Self.schema + more + "}")
            #expect(body.at("choices", "0", "message", "content")?.string == #"{"a": 7}"#)
            #expect(try isWhole("{\"a\": 7}", fixture))
        }
    }

    @Test(
        "call a tool that must be called after the thoughts, and never in them",
        arguments: [
            #""required""#, #"{"type": "function", "function": {"name": "f"}}"#,
        ])
    func requiredCall(_ choice: String) async throws {
        let call = ToolTests.call(#"{"a": 1}"#)
        let answer = "Use <tool_call>?\n</think>\n\n" + call
        let fixture = try ServiceFixture(source: Self.opened, answer: answer)
        let ask = Self.hello + #", "tools": [\#(ToolTests.tool)], "tool_choice": \#(choice)}"#
        let (_, body) = try await fixture.json("/v1/chat/completions", ask)
        let message = try #require(body.at("choices", "0", "message"))
        #expect(message.at("tool_calls", "0", "function", "arguments")?.string == #"{"a": 1}"#)
        #expect(message["reasoning_content"]?.string == "Use <tool_call>?")
        #expect(body.at("choices", "0", "finish_reason")?.string == "tool_calls")
        #expect(try isWhole(answer, fixture))
        #expect(try !isWhole(call, fixture))
        #expect(try !isWhole("Hm.</think>\n\nNo.", fixture))
        #expect(try !isWhole("Hm. " + call + "</think>", fixture))
    }

    @Test("may call a tool after thoughts of their own, or at once")
    func ownThoughts() async throws {
        let call = ToolTests.call(#"{"a": 1}"#)
        let fixture = try ServiceFixture(template: ServiceFixture.qwen3, answer: call)
        let ask = Self.hello + #", "tools": [\#(ToolTests.tool)], "tool_choice": "required"}"#
        _ = await fixture.post("/v1/chat/completions", ask)
        #expect(try isWhole(call, fixture))
        #expect(try isWhole("<think>\nHm.\n</think>\n\n" + call, fixture))
        #expect(try !isWhole("<think>\nHm.\n</think>\n\n", fixture))
        #expect(try !isWhole("<think>\n" + call + "\n", fixture))
    }

    @Test("are free to call or not where they may, but say no half call after their thoughts")
    func offered() async throws {
        let call = ToolTests.call(#"{"a": 1}"#)
        let fixture = try ServiceFixture(source: Self.opened, answer: "x")
        _ = await fixture.post(
            "/v1/chat/completions", Self.hello + #", "tools": [\#(ToolTests.tool)]}"#)
        #expect(try isWhole("Hm <tool_call>\n</think>\n\nNo.", fixture))
        #expect(try isWhole("Hm</think>\n\n" + call, fixture))
        #expect(try !isWhole("Hm</think>\n\n<tool_call>\nno", fixture))
    }

    @Test("count thoughts as what they are")
    func counted() async throws {
        let answer = "<think>\nLet me see.\n</think>\n\nFour."
        let fixture = try ServiceFixture(template: ServiceFixture.qwen3, answer: answer)
        let (_, body) = try await fixture.json("/v1/responses", #"{"input": "Hi"}"#)
        let usage = try #require(body["usage"])
        let thoughts = try #require(usage.at("output_tokens_details", "reasoning_tokens")?.int)
        #expect(thoughts > 2 && thoughts < usage["output_tokens"]?.int ?? 0)
        let (_, chat) = try await fixture.json("/v1/chat/completions", Self.hello + "}")
        #expect(
            chat.at("usage", "completion_tokens_details", "reasoning_tokens")?.int == thoughts)
    }
}
