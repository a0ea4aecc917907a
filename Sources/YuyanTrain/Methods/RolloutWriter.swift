import Synchronization
import YuyanEngine
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// Lets the model that is trained answer prompts, through the engine that serves.
///
/// Sampler and trainer are one network in one memory, so no weights are sent anywhere, and with keys and
/// values in float32 the engine's log-probabilities are the trainer's bits. A group's prompt is computed
/// once. Random numbers are a function of the run's seed, the step and the place in it.
final class RolloutWriter {
    private let model: TrainableModel
    private let engine: Engine
    private let parameters: SamplingParameters
    private let generations: Int
    private let seed: UInt64
    private let desk: ToolDesk?
    private let stop: StopRequest

    /// - Parameters:
    ///   - longestPrompt: Tokens of the longest prompt.
    ///   - desk: Answers the model's calls; nil if it has no tools.
    ///   - stop: Ends the writing of answers, within a step of the engine.
    init(
        _ model: TrainableModel, recipe: Recipe, endOfSequence: [Int32], longestPrompt: Int,
        desk: ToolDesk? = nil, stop: StopRequest = StopRequest(), device: Device
    ) throws {
        self.model = model
        self.desk = desk
        self.stop = stop
        let alignment = recipe.alignment
        generations = alignment.generations
        seed = UInt64(recipe.run.seed)
        var parameters = SamplingParameters()
        parameters.temperature = Float(alignment.temperature)
        parameters.topP = Float(alignment.topP)
        parameters.topK = alignment.topK
        parameters.minP = Float(alignment.minP)
        parameters.maxTokens = alignment.completionLength
        self.parameters = parameters
        var configuration = EngineConfiguration()
        configuration.keyValueType = .f32
        configuration.maxSequences = Self.sequences(recipe)
        configuration.maxQueue = .max
        configuration.prefillBesideDecode = configuration.batchTokens
        configuration.keyValueBytes = Self.keyValueBytes(
            model.decoder, recipe: recipe, longestPrompt: longestPrompt)
        engine = try Engine(
            model: model.decoder, device: device, configuration: configuration,
            endOfSequence: endOfSequence)
    }

    /// Most answers that are written at a time.
    static func sequences(_ recipe: Recipe) -> Int {
        max(
            recipe.alignment.generations,
            min(64, recipe.alignment.generations * recipe.optimisation.batchSize))
    }

    /// Bytes for the keys and values of so many answers; where that is much, some wait for others.
    static func keyValueBytes(_ decoder: Decoder, recipe: Recipe, longestPrompt: Int) -> Int {
        let layout = decoder.cacheLayout(type: .f32)
        let blockTokens = KeyValueLayout.blockTokens
        func blocks(_ tokens: Int) -> Int { (tokens + blockTokens - 1) / blockTokens }
        let answer = blocks(recipe.alignment.answerLength) + 1
        let prompt = blocks(longestPrompt)
        let groups =
            (sequences(recipe) + recipe.alignment.generations - 1)
            / recipe.alignment.generations
        let wanted = groups * prompt + sequences(recipe) * answer
        return max(prompt + answer, min(wanted, (1 << 30) / layout.blockBytes)) * layout.blockBytes
    }

    /// The model's weights have changed.
    func weightsChanged() { engine.weightsChanged() }

    /// Groups of answers, drawn at the recipe's temperature.
    ///
    /// - Parameters:
    ///   - draw: Tells apart the times that a run asks for answers.
    ///   - version: Updates of the weights so far.
    ///   - fault: Gets a line for each tool that failed.
    /// - Throws: What the engine throws; `RunError.toolFailed`; `Interruption`.
    func groups(
        _ samples: [TrainingSample], draw: UInt64, version: Int, fault: (String) -> Void = { _ in }
    ) throws -> [Rollout] {
        func drawn(_ index: Int) -> SamplingParameters {
            var parameters = parameters
            parameters.seed = CounterRandom(seed: seed).word64(
                stream: draw, position: UInt64(index))
            return parameters
        }
        guard let desk else {
            return try write(samples.map(\.tokens), samples: generations, version: version, drawn)
        }
        return try play(samples, generations, at: desk, version: version, drawn, fault)
    }

    /// The likeliest answer to each prompt.
    func likeliest(
        _ samples: [TrainingSample], fault: (String) -> Void = { _ in }
    ) throws -> [Rollout] {
        var greedy = SamplingParameters()
        greedy.temperature = 0
        greedy.maxTokens = parameters.maxTokens
        guard let desk else {
            return try write(samples.map(\.tokens), samples: 1, version: 0) { _ in greedy }
        }
        return try play(samples, 1, at: desk, version: 0, { _ in greedy }, fault)
    }

    /// Waits on this thread for answers, unless somebody asks to stop.
    ///
    /// Either way nobody computes with the weights any more once it returns: they may change.
    private func running(_ body: @escaping @Sendable () async throws -> Void) throws {
        let (engine, stop) = (engine, stop)
        try stop.check()
        try runningHere {
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await stop.bounding(body))
            } catch {
                outcome = .failure(error)
            }
            await engine.idle()
            try outcome.get()
        }
    }

    private func request(
        _ prompt: [Int32], _ parameters: SamplingParameters
    ) -> GenerationRequest {
        var request = GenerationRequest(prompt: prompt, parameters: parameters)
        request.recordsDraws = true
        request.adapter = model.adapter
        return request
    }

    private func write(
        _ prompts: [[Int32]], samples: Int, version: Int,
        _ parameters: (Int) -> SamplingParameters
    ) throws -> [Rollout] {
        let requests = prompts.indices.map { index in
            var request = request(prompts[index], parameters(index))
            request.sampleCount = samples
            return request
        }
        let found = Found(count: requests.count, [WrittenAnswer]())
        let engine = engine
        try running {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, request) in requests.enumerated() {
                    let events = try engine.submit(request)
                    group.addTask {
                        var answers = [WrittenAnswer](repeating: WrittenAnswer(), count: samples)
                        for try await event in events {
                            answers.note(event, version: version)
                        }
                        found.all.withLock { $0[index] = answers }
                    }
                }
                try await group.waitForAll()
            }
        }
        return zip(prompts, found.all.withLock { $0 }).map { Rollout(prompt: $0, answers: $1) }
    }

    // MARK: - Episodes

    /// Answers with tools: turns of the model, and what tools say in between.
    ///
    /// All open episodes write a turn together, then tools answer all of their calls together.
    private func play(
        _ samples: [TrainingSample], _ count: Int, at desk: ToolDesk, version: Int,
        _ parameters: (Int) -> SamplingParameters, _ fault: (String) -> Void
    ) throws -> [Rollout] {
        var episodes = samples.flatMap { sample in
            [Episode](repeating: Episode(sample), count: count)
        }
        let mostTokens = self.parameters.maxTokens ?? .max
        func room(_ episode: Episode) -> Int { mostTokens - episode.answer.writtenCount }
        var open = Array(episodes.indices)
        for round in 0...desk.rounds {
            let requests = open.map { index in
                var parameters = parameters(index / count)
                // Each turn of each answer has random numbers of its own.
                parameters.seed = CounterRandom(seed: parameters.seed).word64(
                    stream: UInt64(index % count), position: UInt64(round))
                parameters.maxTokens = room(episodes[index])
                return request(episodes[index].tokens, parameters)
            }
            let turns = try write(
                requests, decoder: desk.decoder,
                readers: open.map { desk.reader(of: episodes[$0]) })
            for (index, turn) in zip(open, turns) { episodes[index].append(turn, version: version) }
            guard round < desk.rounds else { break }
            open = open.filter { !episodes[$0].calls.isEmpty && room(episodes[$0]) > 0 }
            open = try desk.answer(&episodes, open, version: version, note: fault)
            if open.isEmpty { break }
        }
        return samples.indices.map { index in
            Rollout(
                prompt: samples[index].tokens,
                answers: episodes[index * count..<(index + 1) * count].map(\.written))
        }
    }

    /// A turn behind each prompt; the keys and values of turns before come from the engine's cache.
    private func write(
        _ requests: [GenerationRequest], decoder: StreamDecoder, readers: [any TurnReader]
    ) throws -> [WrittenTurn] {
        let found = Found(count: requests.count, WrittenTurn())
        let engine = engine
        try running {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, request) in requests.enumerated() {
                    let events = try engine.submit(request)
                    let reader = readers[index]
                    group.addTask {
                        let turn = try await Self.turn(events, decoder, reader)
                        found.all.withLock { $0[index] = turn }
                    }
                }
                try await group.waitForAll()
            }
        }
        return found.all.withLock { $0 }
    }

    private static func turn(
        _ events: GenerationEvents, _ decoder: StreamDecoder, _ reader: any TurnReader
    ) async throws -> WrittenTurn {
        var (turn, decoder, reader) = (WrittenTurn(), decoder, reader)
        var iterator = events.makeAsyncIterator()
        while let event = try await iterator.next() {
            switch event {
            case .token(_, let token, let scored):
                guard let draw = scored?.draw else { continue }
                turn.draws.append(
                    WrittenTurn.Draw(
                        token: token, logProbability: draw.logProbability, support: draw.support))
                let text = decoder.append(token)
                if !text.isEmpty, reader.push(text) {
                    turn.isOver = true
                    iterator.hasEnough()
                    turn.parsed = reader.finish()
                    return turn
                }
            case .finished(_, let finish):
                turn.hasEnded = finish.reason == .stop
                turn.isOver = turn.hasEnded
            case .started, .scored: break
            }
        }
        if reader.push(decoder.finish()) { turn.isOver = true }
        turn.parsed = reader.finish()
        return turn
    }
}

/// What comes of requests that end in any order.
private final class Found<Value: Sendable>: Sendable {
    let all: Mutex<[Value]>

    init(count: Int, _ value: Value) { all = Mutex(Array(repeating: value, count: count)) }
}

extension [WrittenAnswer] {
    fileprivate mutating func note(_ event: GenerationEvent, version: Int) {
        switch event {
        case .token(let sample, let token, let scored):
            guard let draw = scored?.draw else { return }
            self[sample].append(
                token, logProbability: draw.logProbability, support: draw.support, version: version)
        case .finished(let sample, let finish):
            self[sample].hasEnded = finish.reason == .stop
        case .started, .scored: break
        }
    }
}
