import Testing
import YuyanText
import YuyanEngine
import YuyanFormats

@testable import YuyanServe

@Suite("/v1/messages")
struct MessageTests {
    private static let ask =
        #"{"model": "tiny", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]"#
    private static let tools =
        #", "tools": [{"name": "f", "description": "Does.", "input_schema": {"type": "object"}}]"#

    @Test("answers in Anthropic's shape")
    func shape() async throws {
        let fixture = try ServiceFixture(answer: "Hello there")
        let (status, body) = try await fixture.json("/v1/messages", Self.ask + "}")
        #expect(status == 200 && body["type"]?.string == "message")
        #expect(body["role"]?.string == "assistant" && body["stop_reason"]?.string == "end_turn")
        #expect(body.at("content", "0", "type")?.string == "text")
        #expect(body.at("content", "0", "text")?.string == "Hello there")
        let prompt = fixture.engine.requests[0].prompt.count
        let fresh = try #require(body.at("usage", "input_tokens")?.int)
        #expect(fresh + (body.at("usage", "cache_read_input_tokens")?.int ?? 0) == prompt)
        let (_, count) = try await fixture.json("/v1/messages/count_tokens", Self.ask + "}")
        #expect(count["input_tokens"]?.int == prompt)
        let (_, stopped) = try await fixture.json(
            "/v1/messages", Self.ask + #", "stop_sequences": ["there"]}"#)
        #expect(stopped["stop_reason"]?.string == "stop_sequence")
        #expect(stopped["stop_sequence"]?.string == "there")
        let (bad, error) = try await fixture.json("/v1/messages", #"{"messages": []}"#)
        #expect(bad == 400 && error["type"]?.string == "error")
        #expect(error.at("error", "type")?.string == "invalid_request_error")
    }

    @Test("calls tools with input as an object, and takes their results")
    func tools() async throws {
        let fixture = try ServiceFixture(
            template: ServiceFixture.qwen2, answer: "Look." + ToolTests.call(#"{"a": [1]}"#))
        let (_, body) = try await fixture.json("/v1/messages", Self.ask + Self.tools + "}")
        #expect(body["stop_reason"]?.string == "tool_use" && body["content"]?.count == 2)
        #expect(body.at("content", "1", "type")?.string == "tool_use")
        #expect(body.at("content", "1", "input", "a", "0")?.int == 1)
        let history = """
            {"max_tokens": 9, "system": "S", "messages": [{"role": "user", "content": "Hi"}, {"role": \
            "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]}, \
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": \
            [{"type": "text", "text": "seven"}]}, {"type": "text", "text": "So?"}]}]\(Self.tools)}
            """
        #expect(await fixture.post("/v1/messages", history).status == 200)
        let prompt = fixture.tokenizer.decode(try #require(fixture.engine.requests.last).prompt)
        #expect(prompt.contains("<tool_response>\nseven\n</tool_response>"))
        #expect(prompt.contains(#"{"name": "f", "arguments": {"a": 1}}"#))
    }

    @Test("streams events in Anthropic's order")
    func stream() async throws {
        let fixture = try ServiceFixture(
            template: ServiceFixture.qwen2, answer: "Look here." + ToolTests.call(#"{"a": [1]}"#))
        let events = try await fixture.events(
            "/v1/messages", Self.ask + Self.tools + #", "stream": true}"#)
        var names = events.compactMap(\.name)
        for event in events { #expect(try event.json()["type"]?.string == event.name) }
        names = names.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
        #expect(
            names == [
                "message_start", "content_block_start", "content_block_delta",
                "content_block_stop", "content_block_start", "content_block_delta",
                "content_block_stop", "message_delta", "message_stop",
            ])
        let input = try events.compactMap { try $0.json().at("delta", "partial_json")?.string }
        #expect(input.joined() == #"{"a": [1]}"#)
        let end = try #require(try events.first { $0.name == "message_delta" }?.json())
        #expect(end.at("delta", "stop_reason")?.string == "tool_use")
        #expect(end.at("usage", "output_tokens")?.int ?? 0 > 3)
    }
}

@Suite("/v1/responses")
struct ResponseTests {
    @Test("answers with items")
    func shape() async throws {
        let fixture = try ServiceFixture(answer: "Hello there")
        let (status, body) = try await fixture.json(
            "/v1/responses", #"{"model": "tiny", "input": "Hi", "instructions": "Be brief."}"#)
        #expect(status == 200 && body["object"]?.string == "response")
        #expect(body["status"]?.string == "completed")
        #expect(body.at("output", "0", "type")?.string == "message")
        #expect(body.at("output", "0", "content", "0", "text")?.string == "Hello there")
        #expect(body.at("output", "0", "content", "0", "annotations")?.count == 0)
        for name in ["parallel_tool_calls", "tool_choice", "tools", "created_at", "metadata"] {
            #expect(body[name] != nil, "\(name)")
        }
        #expect(body.at("usage", "input_tokens_details", "cached_tokens")?.int == 2)
        let prompt = fixture.tokenizer.decode(fixture.engine.requests[0].prompt)
        #expect(prompt.contains("Be brief."))
        let (bad, error) = try await fixture.json(
            "/v1/responses", #"{"input": "Hi", "previous_response_id": "resp_1"}"#)
        #expect(bad == 400 && error.at("error", "param")?.string == "previous_response_id")
        let (_, cut) = try await fixture.json(
            "/v1/responses", #"{"input": "Hi", "max_output_tokens": 1}"#)
        #expect(cut["status"]?.string == "incomplete")
        #expect(cut.at("incomplete_details", "reason")?.string == "max_output_tokens")
    }

    @Test("streams events in OpenAI's order, numbered")
    func stream() async throws {
        let answer = "Look here." + ToolTests.call(#"{"a": [1]}"#)
        let fixture = try ServiceFixture(template: ServiceFixture.qwen2, answer: answer)
        let events = try await fixture.events(
            "/v1/responses",
            #"{"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], "stream": true, "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}"#
        )
        let numbers = try events.compactMap { try $0.json()["sequence_number"]?.int }
        #expect(numbers == Array(0..<events.count))
        let names = events.compactMap(\.name).reduce(into: [String]()) {
            if $0.last != $1 { $0.append($1) }
        }
        #expect(
            names.map { String($0.dropFirst("response.".count)) } == [
                "created", "in_progress", "output_item.added", "content_part.added",
                "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
                "output_item.added", "function_call_arguments.delta",
                "function_call_arguments.done", "output_item.done", "completed",
            ])
        let last = try #require(try events.last?.json()["response"])
        #expect(last.at("output", "0", "content", "0", "text")?.string == "Look here.")
        #expect(last.at("output", "1", "arguments")?.string == #"{"a": [1]}"#)
        #expect(last["status"]?.string == "completed")
    }
}
