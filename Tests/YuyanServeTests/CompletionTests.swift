import Testing
import YuyanText
@testable import YuyanEngine
import YuyanFormats

@testable import YuyanServe

@Suite("/v1/completions")
struct CompletionTests {
    @Test(
        "takes texts and ids, one or many, and numbers the choices",
        arguments: [
            (#""one two""#, 1), (#"["one", "two"]"#, 2), ("[5, 6, 7]", 1),
            ("[[5, 6], [7], [8, 9]]", 3),
        ])
    func prompts(_ prompt: String, _ count: Int) async throws {
        let fixture = try ServiceFixture(answer: " three")
        let (status, body) = try await fixture.json(
            "/v1/completions", #"{"prompt": \#(prompt), "n": 2, "model": "tiny"}"#)
        #expect(status == 200)
        #expect(body["object"]?.string == "text_completion")
        let choices = try #require(body["choices"]?.array.map(Array.init))
        #expect(choices.compactMap { $0["index"]?.int } == Array(0..<2 * count))
        #expect(choices.allSatisfy { $0["text"]?.string == " three" })
        #expect(choices.allSatisfy { $0["logprobs"]?.isNull == true })
        let tokens = fixture.engine.requests.reduce(0) { $0 + $1.prompt.count }
        #expect(body.at("usage", "prompt_tokens")?.int == tokens)
    }

    @Test("says that suffixes are not supported, but lets empty ones pass")
    func suffixes() async throws {
        let fixture = try ServiceFixture(answer: " three")
        let (status, body) = try await fixture.json(
            "/v1/completions", #"{"prompt": "one", "suffix": "end"}"#)
        #expect(status == 400)
        let message = try #require(body.at("error", "message")?.string)
        #expect(message.contains("'suffix' is \"end\"") && message.contains("not supported"))
        let (empty, _) = try await fixture.json(
            "/v1/completions", #"{"prompt": "one", "suffix": ""}"#)
        #expect(empty == 200)
    }

    @Test("scores a prompt without generating, as evaluations do", arguments: [0, 1])
    func scoring(_ maxTokens: Int) async throws {
        let fixture = try ServiceFixture(answer: " more")
        let prompt = "one two three"
        let ids = fixture.tokenizer.encode(prompt)
        let (_, body) = try await fixture.json(
            "/v1/completions",
            #"{"prompt": [\#(ids.map(String.init).joined(separator: ", "))], "echo": true, "logprobs": 2, "max_tokens": \#(maxTokens), "temperature": 0}"#
        )
        let choice = try #require(body.at("choices", "0"))
        let scores = try #require(choice["logprobs"])
        #expect(scores["tokens"]?.count == ids.count + maxTokens)
        let values = try #require(scores["token_logprobs"]?.array.map(Array.init))
        #expect(values[0].isNull && values.dropFirst().allSatisfy { $0.double != nil })
        let best = try #require(scores["top_logprobs"]?.array.map(Array.init))
        #expect(best[0].isNull && best[1].kind == .object)
        #expect(scores["text_offset"]?.count == ids.count + maxTokens)
        #expect(scores.at("text_offset", "0")?.int == 0)
        #expect(choice["text"]?.string?.hasPrefix(prompt) == true)
        if maxTokens == 0 {
            #expect(choice["text"]?.string == prompt)
            #expect(choice["finish_reason"]?.string == "length")
        }
    }

    @Test("streams every prompt's choices, with echo and the end")
    func stream() async throws {
        let fixture = try ServiceFixture(answer: " three four")
        let events = try await fixture.events(
            "/v1/completions",
            #"{"prompt": ["one", "two"], "stream": true, "echo": true, "logprobs": 0, "stream_options": {"include_usage": true}}"#
        )
        #expect(events.last?.data == "[DONE]")
        var texts = ["", ""]
        var tokens = [0, 0]
        for event in events.dropLast(2) {
            let choice = try #require(try event.json().at("choices", "0"))
            let index = try #require(choice["index"]?.int)
            texts[index] += choice["text"]?.string ?? ""
            tokens[index] += choice.at("logprobs", "tokens")?.count ?? 0
        }
        #expect(texts == ["one three four", "two three four"])
        #expect(tokens.allSatisfy { $0 > 3 })
        let usage = try #require(try events[events.count - 2].json()["usage"])
        #expect(usage["completion_tokens"]?.int ?? 0 > 4)
    }

    @Test("answers with the likeliest of best_of samples")
    func bestOf() async throws {
        let fixture = try ServiceFixture { request in
            var events: [GenerationEvent] = []
            for sample in 0..<request.sampleCount {
                let chosen = TokenLogProbability(
                    token: 70, logProbability: sample == 2 ? -0.1 : -3)
                let scores = TokenLogProbabilities(chosen: chosen, top: [])
                events.append(
                    .token(sample: sample, token: Int32(70 + sample), logProbabilities: scores))
                events.append(.finished(sample: sample, finish: .length))
            }
            return events
        }
        let (_, body) = try await fixture.json(
            "/v1/completions", #"{"prompt": "x", "best_of": 4}"#)
        #expect(body["choices"]?.count == 1)
        #expect(body.at("choices", "0", "text")?.string == fixture.tokenizer.text(of: 72))
        #expect(body.at("usage", "completion_tokens")?.int == 4)
    }
}
