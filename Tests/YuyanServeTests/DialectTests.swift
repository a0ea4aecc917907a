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

    @Test("give an answer the form that output_config or output_format asks for")
    func form() async throws {
        let format = #"{"type": "json_schema", "schema": {"type": "integer"}}"#
        for field in [
            #""output_config": {"format": \#(format), "effort": "low"}"#,
            #""output_format": \#(format)"#,
        ] {
            let fixture = try ServiceFixture(answer: "7")
            let (status, _) = try await fixture.json("/v1/messages", Self.ask + ", \(field)}")
            #expect(status == 200 && fixture.engine.requests[0].constraint != nil)
        }
        let fixture = try ServiceFixture()
        let (status, error) = try await fixture.json(
            "/v1/messages", Self.ask + #", "output_config": {"format": {"type": "poem"}}}"#)
        #expect(status == 400)
        #expect(error.at("error", "message")?.string?.contains("output_config.format") == true)
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

    @Test("says what was used where the request said nothing")
    func echo() async throws {
        var configuration = ServiceConfiguration()
        configuration.sampling.temperature = 0.25
        configuration.sampling.topP = 0.5
        let fixture = try ServiceFixture(configuration: configuration)
        let (_, body) = try await fixture.json("/v1/responses", #"{"input": "Hi"}"#)
        #expect(body["temperature"]?.double == 0.25 && body["top_p"]?.double == 0.5)
        let (_, own) = try await fixture.json(
            "/v1/responses", #"{"input": "Hi", "temperature": 2, "top_p": 1}"#)
        #expect(own["temperature"]?.double == 2 && own["top_p"]?.double == 1)
    }

    @Test("whole and streamed, list the log-probabilities of the text's tokens and of no others")
    func sameScores() async throws {
        let answer = "<think>\nHm.\n</think>\n\nLook here." + ToolTests.call(#"{"a": [1]}"#)
        let fixture = try ServiceFixture(template: ServiceFixture.qwen3, answer: answer)
        let ask = #"""
            {"input": "Hi", "top_logprobs": 1, "tools": [{"type": "function", "name": "f", \#
            "parameters": {"type": "object"}}], "include": ["message.output_text.logprobs"]
            """#
        let (_, whole) = try await fixture.json("/v1/responses", ask + "}")
        let events = try await fixture.events("/v1/responses", ask + #", "stream": true}"#)
        let streamed = try #require(try events.last?.json()["response"])
        func scores(_ body: JSONCursor) -> [String] {
            (body["output"]?.array.map(Array.init) ?? []).flatMap { item in
                (item.at("content", "0", "logprobs")?.array.map(Array.init) ?? []).map {
                    JSONOutput($0).description
                }
            }
        }
        #expect(scores(whole) == scores(streamed))
        let text = (whole["output"]?.array.map(Array.init) ?? []).flatMap { item in
            (item.at("content", "0", "logprobs")?.array.map(Array.init) ?? []).compactMap {
                $0["token"]?.string
            }
        }.joined()
        #expect(text.contains("Look here.") && !text.contains("Hm") && !text.contains("[1]"))
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
