import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

/// What a sample's events add up to.
private struct Answer: Equatable {
    var tokens: [Int32] = []
    var logProbabilities: [FloatBits] = []
    var finish: Finish?
}

@Suite("Engine")
struct EngineTests {
    private static let models = [
        "llama-gqa", "mistral-window", "qwen2-window", "qwen3", "rope-dynamic",
    ]

    private func decoder(_ name: String, on device: Device) throws -> Decoder {
        try Decoder(Checkpoint(path: Goldens.path("models/" + name)), on: device)
    }

    private func tokens(_ count: Int, seed: UInt64) -> [Int32] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in .random(in: 3..<96, using: &random) }
    }

    private func parameters(_ seed: Int, length: Int, temperature: Float = 0.9)
        -> SamplingParameters
    {
        var parameters = SamplingParameters()
        parameters.temperature = seed % 3 == 0 ? 0 : temperature
        parameters.seed = UInt64(seed)
        parameters.maxTokens = length
        parameters.logprobs = 3
        parameters.repetitionPenalty = seed % 2 == 0 ? 1.2 : 1
        parameters.minTokens = length
        return parameters
    }

    private func bits(_ scored: TokenLogProbabilities) -> FloatBits {
        FloatBits(([scored.chosen] + scored.top).flatMap { [$0.logProbability, Float($0.token)] })
    }

    private func answers(_ events: GenerationEvents, count: Int = 1) async throws -> [Answer] {
        var answers = Array(repeating: Answer(), count: count)
        for try await event in events {
            switch event {
            case .token(let sample, let token, let scored):
                answers[sample].tokens.append(token)
                if let scored { answers[sample].logProbabilities.append(bits(scored)) }
            case .finished(let sample, let finish): answers[sample].finish = finish
            case .started, .scored: break
            }
        }
        return answers
    }

    /// The answer of a session that serves nobody else.
    private func alone(
        _ model: Decoder, _ device: Device, _ prompt: [Int32], _ parameters: SamplingParameters,
        limit: Int? = nil
    ) throws -> Answer {
        let session = Session(model: model, device: device, contextLimit: limit)
        let generation = try session.generate(
            prompt: prompt, parameters: parameters, endOfSequence: [2])
        return Answer(
            tokens: generation.tokens, logProbabilities: generation.logProbabilities.map(bits),
            finish: generation.finish)
    }

    @Test(
        "gives each of sixteen the bits it would have had alone, with blocks to spare or not",
        arguments: models, [1000, 14])
    func sameAlone(_ name: String, _ blocks: Int) async throws {
        let device = Device(threads: 2)
        let model = try decoder(name, on: device)
        var configuration = EngineConfiguration()
        configuration.keyValueBytes = blocks * model.cacheLayout(type: .f16).blockBytes
        configuration.batchTokens = 24
        configuration.prefillBesideDecode = 9
        let engine = try Engine(
            model: model, device: Device(threads: 2), configuration: configuration,
            endOfSequence: [2])
        var streams: [(prompt: [Int32], SamplingParameters, GenerationEvents)] = []
        let common = tokens(40, seed: 99)
        for index in 0..<16 {
            let prompt = (index % 2 == 0 ? common : []) + tokens(1 + index * 3, seed: UInt64(index))
            let parameters = parameters(index, length: 20 + index)
            streams.append(
                (
                    prompt, parameters,
                    try engine.submit(
                        GenerationRequest(prompt: prompt, parameters: parameters))
                ))
        }
        for (prompt, parameters, events) in streams {
            let answer = try await answers(events)[0]
            let expected = try alone(
                model, device, prompt, parameters, limit: engine.contextLimit)
            #expect(answer == expected, "\(prompt.count) prompt tokens")
        }
        let statistics = engine.statistics()
        #expect(statistics.usedBlocks == 0 && statistics.running.isEmpty)
        #expect(statistics.generatedTokens == (0..<16).reduce(0) { $0 + 20 + $1 })
        if blocks == 14, name != "rope-dynamic" { #expect(statistics.preemptions > 0) }
        if name != "rope-dynamic", blocks == 1000 { #expect(statistics.prefixHits > 0) }
    }

    @Test("counts the requests of one batch once in the queue, and refuses none but the first")
    func batches() async throws {
        let device = Device(threads: 1)
        let model = try decoder("llama-gqa", on: device)
        var configuration = EngineConfiguration()
        configuration.maxQueue = 2
        configuration.maxSequences = 1
        let engine = try Engine(model: model, device: device, configuration: configuration)
        let batch = RequestBatch()
        var streams: [GenerationEvents] = []
        for index in 0..<12 {
            var request = GenerationRequest(
                prompt: tokens(4, seed: UInt64(index)), parameters: parameters(index, length: 6))
            request.batch = batch
            streams.append(try engine.submit(request))
        }
        #expect(engine.statistics().waiting <= 1)
        for (index, stream) in streams.enumerated() {
            #expect(try await answers(stream)[0].tokens.count == 6, "\(index)")
        }
        // Alone, the third that waits is refused.
        var refused = 0
        var kept: [GenerationEvents] = []
        for index in 0..<12 {
            do {
                kept.append(
                    try engine.submit(
                        GenerationRequest(
                            prompt: tokens(4, seed: UInt64(index)),
                            parameters: parameters(index, length: 90))))
            } catch EngineError.overloaded {
                refused += 1
            }
        }
        #expect(refused >= 8 && kept.count >= 2)
    }

    @Test(
        "gives each adapter's request its own bits in one batch, and shares no prefix across them")
    func adapters() async throws {
        let device = Device(threads: 2)
        let model = try decoder("llama-gqa", on: device)
        let loaded = try ["llama-all", "llama-qv", "llama-head"].map { name in
            try LowRankAdapter(
                name: name, directory: Goldens.path("adapters/" + name), for: model, on: device)
        }
        let choices: [LowRankAdapter?] = [nil] + loaded
        var configuration = EngineConfiguration()
        configuration.keyValueBytes = 20 * model.cacheLayout(type: .f16).blockBytes
        configuration.batchTokens = 40
        let engine = try Engine(
            model: model, device: Device(threads: 2), configuration: configuration,
            endOfSequence: [2])
        let prompt = tokens(50, seed: 17)
        for round in 0..<2 {
            let streams = try (0..<8).map { index in
                var request = GenerationRequest(
                    prompt: prompt, parameters: parameters(index, length: 24))
                request.adapter = choices[index % 4]
                return try engine.submit(request)
            }
            var seen: Set<[Int32]> = []
            for (index, stream) in streams.enumerated() {
                let answer = try await answers(stream)[0]
                let session = Session(
                    model: model, device: device, contextLimit: engine.contextLimit,
                    adapter: choices[index % 4])
                let alone = try session.generate(
                    prompt: prompt, parameters: parameters(index, length: 24), endOfSequence: [2])
                #expect(answer.tokens == alone.tokens, "request \(index), round \(round)")
                #expect(answer.logProbabilities == alone.logProbabilities.map(bits))
                seen.insert(answer.tokens)
            }
            #expect(seen.count > 4, "adapters change answers")
        }
        engine.weightsChanged()
        let before = engine.statistics().prefixHits
        _ = try await answers(
            try engine.submit(
                GenerationRequest(prompt: prompt, parameters: parameters(1, length: 2))))
        #expect(engine.statistics().prefixHits == before, "new weights, no old prefix")
    }

    @Test("branches samples off one prompt, each as if alone with its random stream")
    func samples() async throws {
        let device = Device(threads: 1)
        let model = try decoder("llama-gqa", on: device)
        let engine = try Engine(model: model, device: Device(threads: 1), endOfSequence: [2])
        var request = GenerationRequest(
            prompt: tokens(45, seed: 3), parameters: parameters(1, length: 30))
        request.sampleCount = 5
        let answers = try await answers(try engine.submit(request), count: 5)
        #expect(Set(answers.map(\.tokens)).count > 1, "samples differ")
        for (index, answer) in answers.enumerated() {
            var sampler = try Sampler(
                parameters: request.parameters, vocabularySize: engine.vocabularySize,
                endOfSequence: [2], stream: UInt64(index))
            sampler.accept(prompt: request.prompt)
            let session = Session(model: model, device: device)
            var logits = try session.prefill(request.prompt).row(0)
            var expected: [Int32] = []
            for step in 0..<30 {
                expected.append(
                    try sampler.sample(logits: &logits, position: request.prompt.count + step))
                if sampler.finish(after: expected[step]) != nil { break }
                logits = try session.decode(expected[step]).row(0)
            }
            #expect(answer.tokens == expected, "sample \(index)")
        }
        #expect(engine.statistics().promptTokens == 45, "the prompt is computed once")
    }

    @Test("scores prompts as a session does, in pieces and beside others")
    func scores() async throws {
        let device = Device(threads: 1)
        let model = try decoder("qwen3", on: device)
        var configuration = EngineConfiguration()
        configuration.batchTokens = 7
        let engine = try Engine(
            model: model, device: Device(threads: 1), configuration: configuration)
        let prompt = tokens(50, seed: 5)
        var request = GenerationRequest(prompt: prompt, parameters: parameters(0, length: 1))
        request.promptLogProbabilities = 4
        request.parameters.maxTokens = 0
        request.parameters.minTokens = 0
        let other = try engine.submit(
            GenerationRequest(prompt: prompt, parameters: parameters(2, length: 20)))
        let events = try engine.submit(request)
        var scores: [TokenLogProbabilities?] = []
        var finish: Finish?
        for try await event in events {
            if case .scored(let all) = event { scores = all }
            if case .finished(_, let end) = event { finish = end }
        }
        _ = try await answers(other)
        var settings = parameters(0, length: 1)
        settings.logprobs = 4
        let expected = try Session(model: model, device: device).generate(
            prompt: prompt, parameters: settings, endOfSequence: [],
            promptLogProbabilities: true
        ).promptLogProbabilities
        #expect(finish == .length)
        #expect(scores.count == 50 && scores[0] == nil)
        #expect(scores.compactMap { $0.map(bits) } == expected.compactMap { $0.map(bits) })
    }

    @Test("embeds texts as a mean over positions, alone or in pieces beside others")
    func embeddings() async throws {
        let device = Device(threads: 2)
        let model = try decoder("llama-gqa", on: device)
        let texts = (0..<5).map { tokens(3 + $0 * 11, seed: UInt64($0)) }
        var configuration = EngineConfiguration()
        configuration.batchTokens = 8
        let engine = try Engine(
            model: model, device: Device(threads: 2), configuration: configuration)
        let vectors = try await engine.embed(EmbeddingRequest(texts: texts))
        for (text, vector) in zip(texts, vectors) {
            let cache = KeyValueBlocks(layout: model.cacheLayout(type: .f16))
            let states = model.normalized(
                hidden: model.hiddenStates(
                    TokenBatch(tokens: text, firstPosition: 0, blocks: [0, 1]), cache: cache,
                    on: device), on: device)
            var mean = [Double](repeating: 0, count: states.width)
            for row in 0..<text.count {
                for (column, value) in states.row(row).enumerated() {
                    mean[column] += Double(value)
                }
            }
            mean = mean.map { $0 / Double(text.count) }
            let length = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(FloatBits(vector) == FloatBits(mean.map { Float($0 / length) }))
        }
        var last = EmbeddingRequest(texts: [texts[2]])
        last.pooling = .last
        last.normalizes = false
        let cache = KeyValueBlocks(layout: model.cacheLayout(type: .f16))
        let states = model.normalized(
            hidden: model.hiddenStates(
                TokenBatch(tokens: texts[2], firstPosition: 0, blocks: [0, 1]), cache: cache,
                on: device), on: device)
        #expect(try await engine.embed(last)[0] == states.row(texts[2].count - 1))
        #expect(engine.statistics().usedBlocks == 0)
    }

    @Test("frees what a cancelled request held and leaves the others alone")
    func cancellation() async throws {
        let device = Device(threads: 1)
        let model = try decoder("llama-gqa", on: device)
        let engine = try Engine(
            model: model, device: Device(threads: 1), endOfSequence: [2])
        let kept = try engine.submit(
            GenerationRequest(prompt: tokens(9, seed: 1), parameters: parameters(1, length: 60)))
        do {
            let dropped = try engine.submit(
                GenerationRequest(
                    prompt: tokens(9, seed: 2), parameters: parameters(2, length: 100)))
            var iterator = dropped.makeAsyncIterator()
            _ = try await iterator.next()
            _ = try await iterator.next()
        }
        let task = Task {
            try await answers(
                try engine.submit(
                    GenerationRequest(
                        prompt: tokens(9, seed: 4), parameters: parameters(3, length: 100))))
        }
        task.cancel()
        _ = await task.result
        let answer = try await answers(kept)[0]
        #expect(
            try answer == alone(model, device, tokens(9, seed: 1), parameters(1, length: 60)))
        await engine.drain()
        let statistics = engine.statistics()
        #expect(statistics.cancelled >= 1 && statistics.cancelled <= 2)
        #expect(statistics.usedBlocks == 0 && statistics.running.isEmpty && statistics.waiting == 0)
    }

    @Test("is idle once every request has ended or lost its reader, and goes on after that")
    func idle() async throws {
        let device = Device(threads: 1)
        let model = try decoder("llama-gqa", on: device)
        let engine = try Engine(model: model, device: device, endOfSequence: [2])
        await engine.idle()
        for round in 1...4 {
            do {
                let dropped = try engine.submit(
                    GenerationRequest(
                        prompt: tokens(9, seed: UInt64(round)),
                        parameters: parameters(1, length: 100)))
                var iterator = dropped.makeAsyncIterator()
                _ = try await iterator.next()
                _ = try await iterator.next()
                iterator.hasEnough()
            }
            let kept = try engine.submit(
                GenerationRequest(prompt: tokens(5, seed: 7), parameters: parameters(2, length: 3)))
            #expect(try await answers(kept)[0].tokens.count == 3)
            await engine.idle()
            let statistics = engine.statistics()
            #expect(statistics.running.isEmpty && statistics.usedBlocks == 0)
        }
    }

    @Test("holds back for a reader that falls behind, and goes on when it reads")
    func backpressure() async throws {
        let device = Device(threads: 1)
        let model = try decoder("llama-gqa", on: device)
        var parameters = parameters(1, length: 100)
        parameters.logprobs = nil
        var request = GenerationRequest(prompt: tokens(5, seed: 1), parameters: parameters)
        request.sampleCount = 8
        let engine = try Engine(model: model, device: Device(threads: 1))
        let events = try engine.submit(request)
        // Nobody reads: the engine must come to rest far short of 800 tokens.
        var last = -1
        while true {
            try await Task.sleep(for: .milliseconds(40))
            let now = engine.statistics().generatedTokens
            if now == last, now > 0 { break }
            last = now
        }
        #expect(
            last >= GenerationEvents.Backlog.limit - 20
                && last < GenerationEvents.Backlog.limit + 20)
        let answers = try await answers(events, count: 8)
        #expect(answers.map(\.tokens.count) == Array(repeating: 100, count: 8))
    }

    @Test("refuses what it cannot do, and says why")
    func refusals() async throws {
        let device = Device(threads: 1)
        let model = try decoder("llama-gqa", on: device)
        var configuration = EngineConfiguration()
        configuration.maxQueue = 1
        configuration.maxSequences = 1
        configuration.keyValueBytes = 3 * model.cacheLayout(type: .f16).blockBytes
        let engine = try Engine(model: model, device: device, configuration: configuration)
        #expect(engine.contextLimit == 96)
        let good = parameters(1, length: 80)
        func submit(_ prompt: [Int32], _ parameters: SamplingParameters, n: Int = 1) throws {
            var request = GenerationRequest(prompt: prompt, parameters: parameters)
            request.sampleCount = n
            _ = try engine.submit(request)
        }
        // The model would take 128 tokens; three blocks do not.
        #expect(throws: EngineError.cacheTooSmall(tokens: 97, capacity: 96)) {
            try submit(Array(repeating: 3, count: 97), good)
        }
        #expect(throws: EngineError.self) { try submit([], good) }
        #expect(throws: EngineError.self) { try submit([96], good) }
        #expect(throws: EngineError.self) { try submit([-1], good) }
        #expect(throws: EngineError.self) { try submit([3], good, n: 1 << 40) }
        var bad = good
        bad.temperature = -1
        #expect(
            throws: EngineError.invalid(
                field: "temperature", message: "is -1.0; expected 0.0 to 100.0")
        ) { try submit([3], bad) }
        var small = configuration
        small.keyValueBytes = 10
        #expect(throws: EngineError.self) {
            _ = try Engine(model: model, device: device, configuration: small)
        }
        // One runs, one waits; a third comes long before eighty tokens are through.
        var taken: [GenerationEvents] = []
        var refusal: EngineError?
        while refusal == nil, taken.count < 1000 {
            do throws(EngineError) {
                taken.append(
                    try engine.submit(GenerationRequest(prompt: [3, 4], parameters: good)))
            } catch {
                refusal = error
            }
        }
        guard case .overloaded(let waiting, let seconds)? = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        #expect(waiting == 1 && seconds >= 1)
        for stream in taken { _ = try await answers(stream) }
        await engine.drain()
        #expect(throws: EngineError.draining) { try submit([3, 4], good) }
    }
}
