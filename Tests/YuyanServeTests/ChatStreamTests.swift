import Testing
import YuyanText
import YuyanEngine
import YuyanFormats

@testable import YuyanServe

@Suite("Streams of /v1/chat/completions")
struct ChatStreamTests {
    private static let hello = #"{"stream": true, "messages": [{"role": "user", "content": "Hi"}]"#

    @Test("come in the order that clients rely on: role, content, reason, usage, end")
    func order() async throws {
        let fixture = try ServiceFixture(answer: "Hello there, é 🙂 你好")
        let events = try await fixture.events(
            "/v1/chat/completions", Self.hello + #", "stream_options": {"include_usage": true}}"#)
        #expect(events.last?.data == "[DONE]")
        let chunks = try events.dropLast().map { try $0.json() }
        let ids = Set(chunks.map { $0["id"]?.string })
        #expect(ids.count == 1)
        #expect(chunks.allSatisfy { $0["object"]?.string == "chat.completion.chunk" })
        #expect(chunks[0].at("choices", "0", "delta", "role")?.string == "assistant")
        #expect(chunks[0].at("choices", "0", "delta", "content")?.string == "")
        let text = chunks.compactMap { $0.at("choices", "0", "delta", "content")?.string }
        #expect(text.joined() == "Hello there, é 🙂 你好")
        let ends = chunks.compactMap { $0.at("choices", "0", "finish_reason")?.string }
        #expect(ends == ["stop"])
        let last = try #require(chunks.last)
        #expect(last["choices"]?.count == 0)
        #expect(last.at("usage", "completion_tokens")?.int ?? 0 > 3)
        #expect(chunks.dropLast().allSatisfy { $0["usage"]?.isNull == true })
        #expect(chunks[chunks.count - 2].at("choices", "0", "delta")?.count == 0)
        #expect(fixture.observer.records.map(\.status) == [200])
    }

    @Test("hold back what may begin a stop string, and stop there")
    func stop() async throws {
        let fixture = try ServiceFixture(answer: "one two three four five six")
        let events = try await fixture.events(
            "/v1/chat/completions", Self.hello + #", "stop": "three fo"}"#)
        let text = try events.dropLast().compactMap {
            try $0.json().at("choices", "0", "delta", "content")?.string
        }
        #expect(text.joined() == "one two ")
        #expect(fixture.engine.dropped == 1)
    }

    @Test("take events only as the reader asks, and a dropped reader cancels")
    func backPressure() async throws {
        let fixture = try ServiceFixture(answer: "one two three four five six seven eight")
        do {
            let response = await fixture.post("/v1/chat/completions", Self.hello + "}")
            guard case .events(let events) = response.body else { throw FixtureError.noStream }
            #expect(fixture.engine.taken == 0)
            var iterator = events.makeAsyncIterator()
            _ = await iterator.next()
            _ = await iterator.next()
            #expect(fixture.engine.taken <= 5)
            #expect(fixture.engine.dropped == 0)
        }
        #expect(fixture.engine.dropped == 1)
        #expect(fixture.observer.records.map(\.status) == [499])
    }

    @Test("never begun cancel too")
    func neverRead() async throws {
        let fixture = try ServiceFixture()
        do { _ = await fixture.post("/v1/chat/completions", Self.hello + "}") }
        #expect(fixture.engine.dropped == 1)
        #expect(fixture.observer.records.map(\.status) == [499])
    }

    @Test("say what failed midway, then end")
    func failure() async throws {
        let fixture = try ServiceFixture(failure: .failed("the disk burns")) { request in
            [.token(sample: 0, token: 70, logProbabilities: nil)]
        }
        let events = try await fixture.events("/v1/chat/completions", Self.hello + "}")
        #expect(events.last?.data == "[DONE]")
        let error = try #require(try events.dropLast().last?.json()["error"])
        #expect(error["message"]?.string?.contains("the disk burns") == true)
        #expect(fixture.observer.records.map(\.status) == [500])
    }

    @Test("carry log-probabilities of every token, with tools too")
    func logProbabilitiesWithTools() async throws {
        let answer =
            "Sure.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"
        let fixture = try ServiceFixture(template: ServiceFixture.qwen2, answer: answer)
        let events = try await fixture.events(
            "/v1/chat/completions",
            Self.hello + #", "logprobs": true, "tools": [\#(ToolTests.tool)]}"#)
        let chunks = try events.dropLast().map { try $0.json() }
        let tokens = chunks.flatMap {
            $0.at("choices", "0", "logprobs", "content")?.array.map(Array.init) ?? []
        }
        #expect(tokens.count == fixture.tokenizer.encode(answer).count + 1)
        #expect(chunks.last?.at("choices", "0", "finish_reason")?.string == "tool_calls")
    }

    @Test("keep samples apart")
    func samples() async throws {
        let fixture = try ServiceFixture(answer: "one two three")
        let events = try await fixture.events("/v1/chat/completions", Self.hello + #", "n": 3}"#)
        var texts = ["", "", ""]
        for event in events.dropLast() {
            let choice = try #require(try event.json().at("choices", "0"))
            texts[try #require(choice["index"]?.int)] +=
                choice.at("delta", "content")?.string ?? ""
        }
        #expect(texts == Array(repeating: "one two three", count: 3))
    }
}
