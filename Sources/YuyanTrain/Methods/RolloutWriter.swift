import Synchronization
import YuyanEngine
import YuyanModels
import YuyanNN
import YuyanTensor

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

    /// - Parameter longestPrompt: Tokens of the longest prompt.
    init(
        _ model: TrainableModel, recipe: Recipe, endOfSequence: [Int32], longestPrompt: Int,
        device: Device
    ) throws {
        self.model = model
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
        let answer = blocks(recipe.alignment.completionLength) + 1
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
    func groups(_ prompts: [[Int32]], draw: UInt64, version: Int) throws -> [Rollout] {
        try write(prompts, samples: generations, version: version) { index in
            var parameters = parameters
            parameters.seed = CounterRandom(seed: seed).word64(
                stream: draw, position: UInt64(index))
            return parameters
        }
    }

    /// The likeliest answer to each prompt.
    func likeliest(_ prompts: [[Int32]]) throws -> [Rollout] {
        try write(prompts, samples: 1, version: 0) { _ in
            var parameters = SamplingParameters()
            parameters.temperature = 0
            parameters.maxTokens = self.parameters.maxTokens
            return parameters
        }
    }

    private func write(
        _ prompts: [[Int32]], samples: Int, version: Int,
        _ parameters: (Int) -> SamplingParameters
    ) throws -> [Rollout] {
        let requests = prompts.indices.map { index in
            var request = GenerationRequest(prompt: prompts[index], parameters: parameters(index))
            request.sampleCount = samples
            request.recordsDraws = true
            request.adapter = model.adapter
            return request
        }
        let found = Answers(count: requests.count)
        let engine = engine
        try runningHere {
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
}

/// The answers of requests that end in any order.
private final class Answers: Sendable {
    let all: Mutex<[[WrittenAnswer]]>

    init(count: Int) { all = Mutex(Array(repeating: [], count: count)) }
}

extension [WrittenAnswer] {
    fileprivate mutating func note(_ event: GenerationEvent, version: Int) {
        switch event {
        case .token(let sample, let token, let scored):
            guard let draw = scored?.draw else { return }
            self[sample].tokens.append(token)
            self[sample].logProbabilities.append(draw.logProbability)
            self[sample].supports.append(draw.support)
            self[sample].weightVersions.append(version)
        case .finished(let sample, let finish):
            self[sample].hasEnded = finish.reason == .stop
        case .started, .scored: break
        }
    }
}
