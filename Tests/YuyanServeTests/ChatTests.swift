import Testing
import YuyanText
import YuyanConstraints
import YuyanEngine
import YuyanFormats

@testable import YuyanServe

@Suite("/v1/chat/completions")
struct ChatTests {
    static let hello = #"{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]"#

    @Test("has the fields that OpenAI's clients require, and counts tokens")
    func shape() async throws {
        let fixture = try ServiceFixture(answer: "Hello there")
        let (status, body) = try await fixture.json("/v1/chat/completions", Self.hello + "}")
        #expect(status == 200)
        #expect(body["object"]?.string == "chat.completion")
        #expect(body["id"]?.string?.hasPrefix("chatcmpl-") == true)
        #expect(body["model"]?.string == "tiny")
        #expect(body["created"]?.int ?? 0 > 1_600_000_000)
        let choice = try #require(body.at("choices", "0"))
        #expect(choice["index"]?.int == 0)
        #expect(choice.at("message", "role")?.string == "assistant")
        #expect(choice.at("message", "content")?.string == "Hello there")
        #expect(choice["finish_reason"]?.string == "stop")
        #expect(choice["logprobs"]?.isNull == true)
        let request = try #require(fixture.engine.requests.first)
        let generated = fixture.tokenizer.encode("Hello there").count + 1
        #expect(body.at("usage", "prompt_tokens")?.int == request.prompt.count)
        #expect(body.at("usage", "completion_tokens")?.int == generated)
        #expect(body.at("usage", "total_tokens")?.int == request.prompt.count + generated)
        #expect(body.at("usage", "prompt_tokens_details", "cached_tokens")?.int == 2)
        #expect(request.client == "someone")
    }

    @Test("tells the observer what was asked and done")
    func record() async throws {
        let fixture = try ServiceFixture(answer: "Hello there")
        _ = await fixture.post(
            "/chat/completions", Self.hello + #", "n": 2, "frobnicate": 1, "max_tokens": 50}"#)
        let record = try #require(fixture.observer.records.first)
        #expect(fixture.observer.records.count == 1)
        #expect(record.endpoint == "/v1/chat/completions")
        #expect(record.status == 200 && record.model == "tiny" && record.sampleCount == 2)
        #expect(record.maxTokens == 50 && record.finishReasons == ["stop", "stop"])
        #expect(record.ignoredFields == ["frobnicate"])
        #expect(record.interTokenSeconds.count == record.generatedTokens - 2)
        #expect(record.queueTime == .milliseconds(3) && record.timeToFirstToken != nil)
    }

    @Test("hands sampling parameters to the engine under all their names")
    func parameters() async throws {
        let fixture = try ServiceFixture()
        let (status, _) = try await fixture.json(
            "/v1/chat/completions",
            Self.hello + """
                , "temperature": 0.5, "top_p": 0.9, "top_k": -1, "min_p": 0.1, "typical_p": 0.8,
                "repetition_penalty": 1.2, "presence_penalty": 0.3, "frequency_penalty": 0.4,
                "dry_multiplier": 0.8, "dry_base": 2, "dry_allowed_length": 3, "seed": -1,
                "logit_bias": {"5": -100, "7": 2.5}, "stop": "END", "stop_token_ids": [9],
                "ignore_eos": true, "min_tokens": 2, "max_completion_tokens": 8, "max_tokens": 99,
                "include_stop_str_in_output": true, "priority": 3, "cache_salt": "s", "n": 3}
                """)
        #expect(status == 200)
        let request = try #require(fixture.engine.requests.first)
        let sampling = request.parameters
        #expect(sampling.temperature == 0.5 && sampling.topP == 0.9 && sampling.topK == 0)
        #expect(sampling.minP == 0.1 && sampling.typicalP == 0.8)
        #expect(sampling.repetitionPenalty == 1.2 && sampling.presencePenalty == 0.3)
        #expect(sampling.frequencyPenalty == 0.4 && sampling.dry.multiplier == 0.8)
        #expect(sampling.dry.base == 2 && sampling.dry.allowedLength == 3)
        #expect(sampling.seed == .max && sampling.logitBias == [5: -100, 7: 2.5])
        #expect(sampling.stop == ["END"] && sampling.stopTokens == [9])
        #expect(sampling.ignoreEndOfSequence && sampling.includeStop)
        #expect(sampling.minTokens == 2 && sampling.maxTokens == 8)
        #expect(request.priority == 3 && request.cacheSalt == "s" && request.sampleCount == 3)
    }

    @Test("cuts the answer at a stop string, names it, and lets the request go")
    func stop() async throws {
        let fixture = try ServiceFixture(answer: "one two three four five six")
        let (_, body) = try await fixture.json(
            "/v1/chat/completions", Self.hello + #", "stop": [" thr", "zzz"]}"#)
        #expect(body.at("choices", "0", "message", "content")?.string == "one two")
        #expect(body.at("choices", "0", "finish_reason")?.string == "stop")
        #expect(body.at("choices", "0", "stop_reason")?.string == " thr")
        let all = fixture.tokenizer.encode("one two three four five six").count
        #expect(body.at("usage", "completion_tokens")?.int ?? 0 < all)
        #expect(fixture.engine.dropped == 1)
    }

    @Test("ends with length at the limit, and repeats samples by index")
    func length() async throws {
        let fixture = try ServiceFixture(answer: "one two three four five six")
        let (_, body) = try await fixture.json(
            "/v1/chat/completions", Self.hello + #", "max_tokens": 3, "n": 2}"#)
        #expect(body["choices"]?.count == 2)
        #expect(body.at("choices", "1", "index")?.int == 1)
        #expect(body.at("choices", "1", "finish_reason")?.string == "length")
        #expect(body.at("usage", "completion_tokens")?.int == 6)
    }

    @Test("gives each token's log-probability and bytes")
    func logProbabilities() async throws {
        let fixture = try ServiceFixture(answer: "Hi é")
        let (_, body) = try await fixture.json(
            "/v1/chat/completions",
            Self.hello + #", "logprobs": true, "top_logprobs": 2, "return_token_ids": true}"#)
        let ids = fixture.tokenizer.encode("Hi é")
        let entries = try #require(body.at("choices", "0", "logprobs", "content")?.array)
        #expect(entries.count == ids.count + 1)
        for (id, entry) in zip(ids, entries) {
            #expect(entry["token"]?.string == fixture.tokenizer.text(of: id))
            #expect(
                entry["bytes"]?.array?.compactMap(\.int)
                    == fixture.tokenizer.bytes(of: id).map { Int($0) })
            #expect(entry["logprob"]?.double == -Double(id % 7) / 4)
            #expect(entry["top_logprobs"]?.count == 2)
        }
        #expect(body.at("choices", "0", "token_ids")?.count == ids.count + 1)
        #expect(body["prompt_token_ids"]?.count == fixture.engine.requests[0].prompt.count)
    }

    @Test("scores the prompt on request")
    func promptScores() async throws {
        let fixture = try ServiceFixture()
        let (_, body) = try await fixture.json(
            "/v1/chat/completions", Self.hello + #", "prompt_logprobs": 1}"#)
        let scores = try #require(body["prompt_logprobs"]?.array.map(Array.init))
        #expect(scores.count == fixture.engine.requests[0].prompt.count)
        #expect(scores[0].isNull)
        #expect(scores[1].entries?.first?.value["logprob"]?.double != nil)
    }

    @Test("refuses a prompt that is too long with both numbers, and cuts it only when asked")
    func tooLong() async throws {
        let fixture = try ServiceFixture(limit: 8)
        let (status, body) = try await fixture.json("/v1/chat/completions", Self.hello + "}")
        #expect(status == 400)
        #expect(body.at("error", "code")?.string == "context_length_exceeded")
        #expect(body.at("error", "message")?.string?.contains("context holds 8") == true)
        #expect(fixture.engine.requests.isEmpty)
        let cut = await fixture.post(
            "/v1/chat/completions", Self.hello + #", "truncate_prompt_tokens": 4}"#)
        #expect(cut.status == 200 && cut.headers.contains { $0.name == "x-truncated" })
        #expect(fixture.engine.requests[0].prompt.count == 4)
    }

    @Test(
        "turns the engine's refusals into status codes",
        arguments: [
            (EngineError.overloaded(waiting: 9, retryAfterSeconds: 4), 429),
            (.draining, 503), (.cacheTooSmall(tokens: 9, capacity: 8), 400), (.failed("x"), 500),
            (.invalid(field: "seed", message: "no"), 400), (.constraintTooCostly("x"), 400),
        ])
    func refusals(_ error: EngineError, _ status: Int) async throws {
        for stream in [false, true] {
            let fixture = try ServiceFixture { _ in throw error }
            let response = await fixture.post(
                "/v1/chat/completions", Self.hello + ", \"stream\": \(stream)}")
            #expect(response.status == status)
            #expect(
                (status == 429)
                    == response.headers.contains { $0.name == "retry-after" && $0.value == "4" })
        }
    }

    @Test(
        "accepts the three dialects of structured output, and each compiles",
        arguments: [
            #""response_format": {"type": "json_object"}"#,
            #""response_format": {"type": "json_object", "schema": {"type": "object"}}"#,
            #""response_format": {"type": "json_schema", "schema": {"type": "integer"}}"#,
            """
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, \
            "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}
            """,
            #""guided_json": {"type": "integer"}"#, #""guided_json": "{\"type\": \"integer\"}""#,
            #""guided_regex": "[a-z]+""#, #""guided_choice": ["yes", "no"]"#,
            #""guided_grammar": "root ::= \"a\"""#, #""grammar": "root ::= \"a\"""#,
            #""json_schema": {"type": "boolean"}"#, #""structured_outputs": {"regex": "a*"}"#,
            #""structured_outputs": {"choice": ["a", "b"]}"#,
        ])
    func dialects(_ field: String) async throws {
        let fixture = try ServiceFixture()
        let response = await fixture.post("/v1/chat/completions", Self.hello + ", \(field)}")
        #expect(response.status == 200)
        #expect(fixture.engine.requests.first?.constraint != nil)
    }

    @Test("compiles the same constraint once")
    func cache() async throws {
        let fixture = try ServiceFixture()
        let body = Self.hello + #", "guided_regex": "[a-z]+"}"#
        for _ in 0..<2 { _ = await fixture.post("/v1/chat/completions", body) }
        let found = fixture.engine.requests.compactMap(\.constraint)
        #expect(found.count == 2 && found[0] === found[1])
    }

    @Test("refuses a form of structured output that it does not know")
    func unknownForm() async throws {
        let fixture = try ServiceFixture()
        let (status, body) = try await fixture.json(
            "/v1/chat/completions",
            Self.hello + #", "structured_outputs": {"structural_tag": {"type": "x"}}}"#)
        #expect(status == 400)
        #expect(body.at("error", "param")?.string == "structured_outputs.structural_tag")
    }

    @Test("records names of ignored fields at any depth, and no values")
    func records() async throws {
        let fixture = try ServiceFixture()
        let body = #"""
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "secret words", \#
            "cache_control": {"x": 1}}]}], "stream_options": {"more": 1}, "mirostat": 2, \#
            "samplers": ["a"], "secret words here": 1}
            """#
        _ = await fixture.post("/v1/chat/completions", body)
        _ = await fixture.post(
            "/v1/chat/completions", #"{"messages": [{"role": "secret words", "content": "x"}]}"#)
        _ = await fixture.post(
            "/v1/chat/completions", Self.hello + #", "logit_bias": {"secret words": 1}}"#)
        _ = await fixture.post("/v1/chat/completions", Self.hello + #", "model": "secret words"}"#)
        _ = await fixture.post("/v1/chat/completions", #"{"secret words"#)
        let records = fixture.observer.records
        #expect(records.count == 5)
        #expect(
            records.first?.ignoredFields == [
                "messages[].content[].cache_control", "mirostat", "samplers",
                "stream_options.more", "…",
            ])
        #expect(records[1].error?.contains("messages[0].role") == true)
        for record in records {
            #expect(!"\(record.error ?? "") \(record.ignoredFields)".contains("secret"))
        }
    }

    @Test("splits reasoning off where the model's template knows it")
    func reasoning() async throws {
        let answer = "<think>\nLet me see.\n</think>\n\nFour."
        let thinking = try ServiceFixture(template: ServiceFixture.qwen3, answer: answer)
        let (_, body) = try await thinking.json("/v1/chat/completions", Self.hello + "}")
        #expect(body.at("choices", "0", "message", "content")?.string == "Four.")
        #expect(
            body.at("choices", "0", "message", "reasoning_content")?.string == "Let me see.")
        let (_, hidden) = try await thinking.json(
            "/v1/chat/completions", Self.hello + #", "include_reasoning": false}"#)
        #expect(hidden.at("choices", "0", "message", "reasoning_content") == nil)
        let (_, raw) = try await thinking.json(
            "/v1/chat/completions", Self.hello + #", "reasoning_format": "none"}"#)
        #expect(raw.at("choices", "0", "message", "content")?.string == answer)
        let plain = try ServiceFixture(answer: answer)
        let (_, other) = try await plain.json("/v1/chat/completions", Self.hello + "}")
        #expect(other.at("choices", "0", "message", "content")?.string == answer)
    }
}
