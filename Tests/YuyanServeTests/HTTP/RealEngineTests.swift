import TestSupport
import Testing
import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanServe

/// HTTP in front of a real engine with a tiny model: nothing between socket and logits is scripted.
@Suite("A real engine over sockets", .serialized)
struct RealEngineTests {
    private struct Running: Sendable {
        let port: Int
        let engine: Engine

        /// Asks on a connection of its own; streams are put together.
        func ask(_ body: String) async throws -> String {
            let reply = try await blocking { [port] in
                let client = try TestClient(port: port, timeout: 60)
                try client.request("POST", "/v1/completions", body: body)
                return try client.reply()
            }
            #expect(reply.status == 200, "\(reply.text.prefix(300))")
            guard reply.text.hasPrefix("data: ") else {
                let root = try JSONDocument(bytes: Array(reply.text.utf8), name: "answer").root
                return try Self.shape(root.at("choices", "0"))
            }
            var ids: [String] = []
            var scores: [String] = []
            var finish = ""
            for event in try ServiceFixture.parse(Array(reply.text.utf8))
            where event.data != "[DONE]" {
                let choice = try event.json().at("choices", "0")
                ids += Self.texts(choice?["token_ids"])
                scores += Self.texts(choice?.at("logprobs", "token_logprobs"))
                if let reason = choice?["finish_reason"]?.string { finish = reason }
            }
            return "\(ids) \(scores) \(finish)"
        }

        private static func shape(_ choice: JSONCursor?) throws -> String {
            let choice = try #require(choice)
            let scores = texts(choice.at("logprobs", "token_logprobs"))
            return "\(texts(choice["token_ids"])) \(scores) "
                + (choice["finish_reason"]?.string ?? "")
        }

        private static func texts(_ list: JSONCursor?) -> [String] {
            (list?.array.map(Array.init) ?? []).map { JSONOutput($0).description }
        }
    }

    /// Runs a server whose cache has so many blocks.
    private func run(
        blocks: Int, speculation: Speculation, _ body: (Running) async throws -> Void
    ) async throws {
        let device = Device(threads: 2)
        let model = try Decoder(
            Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
        var settings = EngineConfiguration()
        settings.keyValueBytes = blocks * model.cacheLayout(type: .f16).blockBytes
        settings.batchTokens = 24
        settings.prefillBesideDecode = 9
        settings.speculation = speculation
        settings.adaptsDraftLength = false
        let engine = try Engine(
            model: model, device: device, configuration: settings, endOfSequence: [2])
        var configuration = ServerConfiguration()
        configuration.port = 0
        let server = Server(configuration: configuration, logger: KeptLog().logger())
        let tokenizer = try ServiceFixture.tokenizer()
        let (readiness, ready) = AsyncStream<Int>.makeStream()
        let (ports, source) = AsyncStream<Int>.makeStream()
        let running = Task {
            defer {
                ready.finish()
                source.finish()
            }
            try await server.run(
                load: { observer in
                    let service = Service(
                        engine: engine,
                        text: ServedText(
                            tokenizer: tokenizer, template: nil, modelID: "tiny", created: 0,
                            trainedContext: 128),
                        observer: observer)
                    return ServedModel(handler: service, engine: engine, modelID: "tiny")
                }, listening: { source.yield($0) }, ready: { _ in ready.yield(0) })
        }
        let port = try #require(await ports.first { _ in true })
        _ = await readiness.first { _ in true }
        do { try await body(Running(port: port, engine: engine)) } catch {
            server.shutDown()
            _ = await running.result
            throw error
        }
        server.shutDown()
        try await running.value
    }

    private func bodies() -> [String] {
        var random = SeededGenerator(seed: 11)
        let common = (0..<40).map { _ in Int.random(in: 3..<96, using: &random) }
        return (0..<16).map { index in
            // Every third repeats itself, so that guesses from the prompt are sometimes right.
            let own = (0..<1 + index * 2).map { _ in Int.random(in: 3..<96, using: &random) }
            let prompt = (index % 2 == 0 ? common : []) + (index % 3 == 0 ? own + own : own)
            let temperature = index % 3 == 0 ? "0" : "0.9"
            return """
                {"prompt": \(prompt), "max_tokens": \(16 + index), "temperature": \(temperature), \
                "seed": \(index), "logprobs": 2, "return_token_ids": true, "ignore_eos": true, \
                "repetition_penalty": \(index % 2 == 0 ? 1.2 : 1), "stream": \(index % 4 == 1)}
                """
        }
    }

    @Test("gives each of sixteen what it would have had alone, preempted and guessed ahead")
    func sameAlone() async throws {
        let bodies = bodies()
        var alone: [String] = []
        try await run(blocks: 1000, speculation: .off) { server in
            for body in bodies { alone.append(try await server.ask(body)) }
        }
        #expect(Set(alone).count > 10)
        try await run(blocks: 6, speculation: .ngram) { server in
            // Whether requests meet is up to sockets and threads; once is enough, and soon there.
            for _ in 0..<10 {
                let answers = try await together(bodies, server)
                for (index, pair) in zip(answers, alone).enumerated() {
                    #expect(pair.0 == pair.1, "\(index)")
                }
                let statistics = server.engine.statistics()
                #expect(statistics.usedBlocks == 0 && statistics.running.isEmpty)
                if statistics.preemptions > 0, statistics.draftedTokens > 0 { break }
            }
            let statistics = server.engine.statistics()
            #expect(statistics.preemptions > 0 && statistics.draftedTokens > 0)
        }
    }

    private func together(_ bodies: [String], _ server: Running) async throws -> [String] {
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for (index, body) in bodies.enumerated() {
                group.addTask { (index, try await server.ask(body)) }
            }
            var found = [String](repeating: "", count: bodies.count)
            for try await (index, answer) in group { found[index] = answer }
            return found
        }
    }

    @Test("lets one with a hostile form fail or answer by itself; others are served meanwhile")
    func hostileForm() async throws {
        try await run(blocks: 200, speculation: .off) { server in
            let port = server.port
            for pattern in ["(.{0,200}){0,200}", "(.{0,300}){0,300}", "(.{0,90}.{0,90}){0,500}"] {
                let hostile = """
                    {"prompt": [5, 6, 7], "max_tokens": 40, "seed": 1, "guided_regex": "\(pattern)"}
                    """
                async let answer = blocking {
                    let client = try TestClient(port: port, timeout: 60)
                    try client.request("POST", "/v1/completions", body: hostile)
                    return try client.reply()
                }
                let start = ContinuousClock.now
                _ = try await server.ask(
                    #"{"prompt": [5, 6, 7], "max_tokens": 6, "return_token_ids": true}"#)
                #expect(ContinuousClock.now - start < .seconds(10), "\(pattern)")
                let status = try await answer.status
                #expect(status == 200 || status == 400, "\(pattern): \(status)")
            }
        }
    }
}
