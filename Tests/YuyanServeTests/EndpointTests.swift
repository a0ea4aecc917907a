import Synchronization
import Testing
import YuyanText
import YuyanEngine
import YuyanFormats

@testable import YuyanNN
@testable import YuyanServe

@Suite("The small endpoints")
struct EndpointTests {
    @Test("list and describe the model")
    func models() async throws {
        let fixture = try ServiceFixture()
        let (_, list) = try await fixture.get("/v1/models")
        let model = try #require(list.at("data", "0"))
        #expect(list["object"]?.string == "list" && model["id"]?.string == "tiny")
        #expect(model["object"]?.string == "model" && model["max_model_len"]?.int == 4096)
        #expect(try await fixture.get("/v1/models/tiny").body["id"]?.string == "tiny")
        let (status, body) = try await fixture.get("/v1/models/other")
        #expect(status == 404 && body.at("error", "code")?.string == "model_not_found")
    }

    @Test("refuse unknown models, paths and methods")
    func unknown() async throws {
        let fixture = try ServiceFixture()
        let (status, body) = try await fixture.json(
            "/v1/chat/completions", ChatTests.hello.replacingModel("nope") + "}")
        #expect(status == 404 && body.at("error", "param")?.string == "model")
        #expect(body.at("error", "message")?.string?.contains("'nope'") == true)
        #expect(try await fixture.get("/nothing").status == 404)
        #expect(try await fixture.get("/v1/completions").status == 405)
        let alias = await fixture.post(
            "/v1/chat/completions", ChatTests.hello.replacingModel("default") + "}")
        #expect(alias.status == 200)
    }

    @Test("turn text into tokens and back")
    func tokens() async throws {
        let fixture = try ServiceFixture()
        let (_, body) = try await fixture.json("/tokenize", #"{"content": "Hi é<|im_end|>"}"#)
        let ids = (body["tokens"]?.array.map(Array.init) ?? []).compactMap { $0.int }
        #expect(
            ids.map { Int32($0) }
                == fixture.tokenizer.encode("Hi é<|im_end|>", parseSpecial: true, addSpecial: false)
        )
        let (_, text) = try await fixture.json("/detokenize", #"{"tokens": \#(ids)}"#)
        #expect(text["content"]?.string == "Hi é<|im_end|>")
        let (_, pieces) = try await fixture.json(
            "/tokenize", #"{"prompt": "Hi", "with_pieces": true}"#)
        #expect(pieces.at("tokens", "0", "piece")?.string != nil)
        let (_, chat) = try await fixture.json(
            "/tokenize", #"{"messages": [{"role": "user", "content": "Hi"}]}"#)
        #expect(chat["count"]?.int ?? 0 > 5)
        #expect(try await fixture.json("/detokenize", #"{"tokens": [99999999]}"#).status == 400)
    }

    @Test("embed texts and ids, as numbers or base64, shortened on request")
    func embeddings() async throws {
        let fixture = try ServiceFixture()
        let (_, body) = try await fixture.json(
            "/v1/embeddings", #"{"input": ["a", "b c d"], "model": "tiny"}"#)
        #expect(body["data"]?.count == 2)
        let first = try #require(body.at("data", "0", "embedding")?.array.map(Array.init))
        #expect(first.compactMap(\.double) == [3, 1, 0, 4])
        #expect(body.at("data", "1", "index")?.int == 1)
        let (_, packed) = try await fixture.json(
            "/v1/embeddings", #"{"input": [5, 6], "encoding_format": "base64"}"#)
        // 3, 2, 0 and 4 as little-endian float32.
        #expect(packed.at("data", "0", "embedding")?.string == "AABAQAAAAEAAAAAAAACAQA==")
        #expect(packed.at("usage", "prompt_tokens")?.int == 2)
        let (_, short) = try await fixture.json(
            "/v1/embeddings", #"{"input": [[5, 6, 7, 8]], "dimensions": 2}"#)
        let values = (short.at("data", "0", "embedding")?.array.map(Array.init) ?? [])
            .compactMap(\.double)
        #expect(values.count == 2 && abs(values[0] - 0.6) < 1e-6 && abs(values[1] - 0.8) < 1e-6)
        let (status, error) = try await fixture.json(
            "/v1/embeddings", #"{"input": "a", "dimensions": 5}"#)
        #expect(status == 400 && error.at("error", "param")?.string == "dimensions")
    }

    @Test("load, list and forget adapters; requests find them by name")
    func adapters() async throws {
        let registry = NamesOnly()
        let fixture = try ServiceFixture(adapters: registry)
        let loaded = await fixture.post(
            "/v1/load_lora_adapter", #"{"lora_name": "fr", "lora_path": "dir/fr"}"#)
        #expect(loaded.status == 200)
        let (_, list) = try await fixture.get("/v1/models")
        #expect(list.at("data", "1", "id")?.string == "fr")
        #expect(list.at("data", "1", "parent")?.string == "tiny")
        #expect(try await fixture.get("/lora-adapters").body.at("0", "name")?.string == "fr")
        let again = await fixture.post(
            "/v1/load_lora_adapter", #"{"lora_name": "fr", "lora_path": "dir/fr"}"#)
        #expect(again.status == 400)
        for name in ["fr", "absent"] {
            let response = await fixture.post(
                "/v1/unload_lora_adapter", #"{"lora_name": "\#(name)"}"#)
            #expect(response.status == (name == "fr" ? 200 : 404))
        }
        let bad = await fixture.post(
            "/v1/load_lora_adapter", #"{"lora_name": "x", "lora_path": "bad"}"#)
        #expect(bad.status == 400)
    }

    @Test("score texts by the head of a reward model, and by nothing else")
    func score() async throws {
        let judge = Judge()
        let fixture = try ServiceFixture(adapters: judge)
        for path in ["/v1/score", "/v1/score/evaluation"] {
            let (status, body) = try await fixture.json(
                path, #"{"model": "judge", "messages": ["abc", "de"], "max_length": 2}"#)
            #expect(status == 200)
            #expect(body["object"]?.string == "score.evaluation")
            let vectors = try await fixture.engine.embed(
                try #require(fixture.engine.embeddings.last))
            let asked = try #require(fixture.engine.embeddings.last)
            #expect(asked.pooling == .last && !asked.normalizes)
            #expect(asked.texts.allSatisfy { (1...2).contains($0.count) })
            #expect(
                body["scores"]?.array.map { $0.map(\.double) }
                    == vectors.map { vector in
                        zip(vector, judge.head).reduce(0) { $0 + Double($1.0) * Double($1.1) }
                    })
        }
        let (status, body) = try await fixture.json(
            "/v1/score", #"{"model": "tiny", "messages": ["abc"]}"#)
        #expect(status == 400)
        #expect(body.at("error", "message")?.string?.contains("stage: rm") == true)
    }

    @Test("a whole reward model scores texts under its own name, and writes none")
    func wholeRewardModel() async throws {
        let tokenizer = try ServiceFixture.tokenizer()
        let ids = tokenizer.encode("abc def", parseSpecial: true, addSpecial: false)
        #expect(ids.count > 1)
        let head = ScoreHead(weight: [0.5, -1, 2, 0.25], padding: ids.last)
        let fixture = try ServiceFixture(score: head)
        #expect(fixture.service.scoresTexts)
        for model in [#""model": "tiny", "#, ""] {
            let (status, body) = try await fixture.json(
                "/v1/score", #"{\#(model)"messages": ["abc def"]}"#)
            #expect(status == 200)
            let asked = try #require(fixture.engine.embeddings.last)
            #expect(asked.adapter == nil && asked.texts == [Array(ids.dropLast())])
            let state = try await fixture.engine.embed(asked)[0]
            let score = zip(state, head.weight).reduce(0) { $0 + Double($1.0) * Double($1.1) }
            #expect(body["scores"]?.array.map { $0.map(\.double) } == [score])
        }
        for (path, body) in [
            ("/v1/chat/completions", #"{"messages": [{"role": "user", "content": "a"}]}"#),
            (
                "/v1/chat/completions",
                #"{"messages": [{"role": "user", "content": "a"}], "stream": true}"#
            ),
            ("/v1/completions", #"{"prompt": "a"}"#), ("/v1/responses", #"{"input": "a"}"#),
            (
                "/v1/messages",
                #"{"max_tokens": 4, "messages": [{"role": "user", "content": "a"}]}"#
            ),
        ] {
            let (status, answer) = try await fixture.json(path, body)
            #expect(status == 400, "\(path)")
            #expect(answer.at("error", "message")?.string?.contains("/v1/score") == true)
        }
    }

    @Test("are all described in the OpenAPI document, with limits")
    func openAPI() throws {
        let root = try JSONDocument(
            bytes: try #require(ServiceFixture().service.openAPI), name: "openapi"
        ).root
        #expect(root["openapi"]?.string == "3.1.0")
        for route in Service.routes
        where ![
            "/chat/completions", "/completions", "/models", "/embeddings", "/v1/score/evaluation",
        ].contains(route.path) {
            #expect(root.at("paths", route.path, route.method.lowercased()) != nil, "\(route)")
        }
        let chat = root.at(
            "paths", "/v1/chat/completions", "post", "requestBody", "content", "application/json",
            "schema")
        #expect(chat?.at("properties", "n", "anyOf", "0", "maximum")?.int == 128)
        #expect(chat?.at("required", "0")?.string == "messages")
    }
}

/// A registry that knows names and has no weights.
/// A registry of one reward model.
private final class Judge: AdapterRegistry {
    let head: [Float] = [0.5, -1, 2, 0.25]
    let registered = [(name: "judge", directory: "dir/judge")]
    func register(name: String, directory: String) throws {}
    func unregister(name: String) throws {}
    func adapter(named name: String) throws -> LowRankAdapter {
        var parts = LowRankAdapter.Parts()
        parts.score = head
        return LowRankAdapter(name: name, version: 1, byteCount: 16, parts: parts)
    }
}

private final class NamesOnly: AdapterRegistry {
    private let state = Mutex<[(name: String, directory: String)]>([])
    var registered: [(name: String, directory: String)] { state.withLock { $0 } }
    func register(name: String, directory: String) throws {
        guard directory != "bad" else { throw FixtureError.unreadable(directory) }
        state.withLock { $0.append((name, directory)) }
    }
    func unregister(name: String) throws {
        state.withLock { $0.removeAll { $0.name == name } }
    }
    func adapter(named name: String) throws -> LowRankAdapter {
        throw FixtureError.unreadable(name)
    }
}

extension String {
    fileprivate func replacingModel(_ name: String) -> String {
        #"{"model": "\#(name)""# + drop { $0 != "," }
    }
}
