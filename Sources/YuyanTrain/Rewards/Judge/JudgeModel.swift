import Synchronization
import YuyanConstraints
import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// A model that grades texts, with an engine of its own.
///
/// It answers in a form that the engine holds it to, so every answer is a grade. All questions of a
/// batch are asked together; what they have in common at their front is computed once, and stays in the
/// engine's cache for the next batch.
final class JudgeModel: Sendable {
    /// How a judge is asked.
    struct Settings: Sendable, Hashable {
        var answer: JudgeAnswer
        /// Whether the grade is the mean under the model's probabilities, not one that it wrote.
        var takesExpectation = true
        /// Answers to one question, of which the mean counts.
        var samples = 1
        /// Of the distribution that answers are drawn from; 0 takes the likeliest.
        var temperature = 0.0
        var maxTokens = 64
        /// For a batch; nil for as long as it takes.
        var time: Duration?
        var seed: UInt64 = 42

        /// Whether the model writes before it is asked for probabilities.
        var writes: Bool { answer.reasonLength > 0 || !takesExpectation }
    }

    /// Most log-probabilities that the engine tells of one place.
    static let listedTokens = 1000
    /// The most that keys and values take; allocated as they are needed.
    static let keyValueBytes = 512 << 20

    private let settings: Settings
    private let tokenizer: Tokenizer
    private let chat: ChatRenderer
    private let adapter: LowRankAdapter?
    private let engine: Engine
    private let constraint: CompiledConstraint?
    private let stop: StopRequest

    /// - Parameter stop: Ends the grading; questions without an answer by then are faults.
    /// - Throws: What is wrong with model or template; `RewardFault` if no answer is short enough.
    init(_ source: JudgeSource, settings: Settings, stop: StopRequest, device: Device) throws {
        self.settings = settings
        self.stop = stop
        let loaded = try source.loaded(on: device)
        (tokenizer, chat, adapter) = (loaded.tokenizer, loaded.chat, loaded.adapter)
        let model = loaded.decoder
        constraint =
            settings.writes
            ? try Self.constraint(settings, for: loaded.tokenizer, path: loaded.name) : nil
        var configuration = EngineConfiguration()
        configuration.keyValueBytes = Self.keyValueBytes
        configuration.maxQueue = .max
        configuration.maxSequences = max(configuration.maxSequences, settings.samples)
        configuration.prefillBesideDecode = configuration.batchTokens
        let size = model.shape.vocabularySize
        engine = try Engine(
            model: model, device: device, configuration: configuration,
            endOfSequence: loaded.tokenizer.endOfGeneration.filter { Int($0) < size }.sorted())
    }

    private static func constraint(
        _ settings: Settings, for tokenizer: Tokenizer, path: String
    ) throws -> CompiledConstraint {
        let constraint = try CompiledConstraint(
            settings.answer.source(),
            vocabulary: ConstraintVocabulary(
                tokens: tokenizer.textTokens, endTokens: tokenizer.endOfGeneration))
        let least = constraint.start().sufficientTokens
        guard settings.maxTokens >= least else {
            throw RewardFault(
                "max_tokens is \(settings.maxTokens), but the shortest answer of \(path) takes "
                    + "\(least) tokens; raise it")
        }
        return constraint
    }

    // MARK: - Grading

    /// A grade within the scale for each question, or what went wrong with it.
    func grades(_ questions: [String]) throws -> [Result<Double, RewardFault>] {
        let deadline = settings.time.map { ContinuousClock.now + $0 }
        let prompts = questions.map { question in result { try prompt(question) } }
        let drafts =
            settings.writes
            ? try written(prompts, until: deadline)
            : prompts.map { $0.map { [Draft(prompt: $0, head: JudgeAnswer.bareHead, grade: 0)] } }
        guard settings.takesExpectation else {
            return drafts.map { $0.map { Moments($0.map { Double($0.grade) }).mean } }
        }
        return try expected(drafts, until: deadline)
    }

    /// An answer up to its grade.
    private struct Draft: Sendable {
        let prompt: [Int32]
        let head: String
        let grade: Int
    }

    private func result<Value>(_ body: () throws -> Value) -> Result<Value, RewardFault> {
        do {
            return .success(try body())
        } catch {
            return .failure(error as? RewardFault ?? RewardFault("\(error)"))
        }
    }

    /// A question as the model reads it, up to where its answer begins.
    private func prompt(_ question: String) throws -> [Int32] {
        // Templates of models that think first leave that out; others do not read the variable.
        let turns = chat.conversation(
            [ChatTurn(role: "user", content: question)],
            variables: ["enable_thinking": .bool(false)])
        return turns.ids(try turns.render(addsGenerationPrompt: true))
    }

    /// Lets the model write its answers, in the form that they must have.
    private func written(
        _ prompts: [Result<[Int32], RewardFault>], until deadline: ContinuousClock.Instant?
    ) throws -> [Result<[Draft], RewardFault>] {
        var parameters = SamplingParameters()
        parameters.temperature = Float(settings.temperature)
        parameters.maxTokens = settings.maxTokens
        // Equal completions get equal grades, wherever they stand in a batch.
        parameters.seed = settings.seed
        let asked = prompts.indices.filter { (try? prompts[$0].get()) != nil }
        let requests = try asked.map { index in
            var request = GenerationRequest(
                prompt: try prompts[index].get(), parameters: parameters)
            request.sampleCount = settings.samples
            request.constraint = constraint
            request.adapter = adapter
            return request
        }
        let answers = Dictionary(
            uniqueKeysWithValues: zip(asked, try replies(to: requests, until: deadline)))
        return prompts.indices.map { index in
            prompts[index].flatMap { prompt in
                result {
                    guard let reply = try answers[index]?.get() else { return [] }
                    return try reply.samples.map { sample in
                        guard sample.isComplete else {
                            throw RewardFault(
                                "the judge did not finish within max_tokens, "
                                    + "\(settings.maxTokens), or its context")
                        }
                        let text = tokenizer.decode(
                            sample.tokens.filter { !tokenizer.endOfGeneration.contains($0) })
                        let (head, grade) = try settings.answer.parsed(text)
                        return Draft(prompt: prompt, head: head, grade: grade)
                    }
                }
            }
        }
    }

    /// Asks for the probability of every grade behind what was written.
    private func expected(
        _ drafts: [Result<[Draft], RewardFault>], until deadline: ContinuousClock.Instant?
    ) throws -> [Result<Double, RewardFault>] {
        var parameters = SamplingParameters()
        (parameters.temperature, parameters.maxTokens) = (0, 1)
        parameters.logprobs = Self.listedTokens
        var trees: [String: GradeTree] = [:]
        var requests: [GenerationRequest] = []
        let planned = drafts.map { drafts in
            drafts.flatMap { drafts in
                result {
                    try drafts.map { draft in
                        let tree = try trees[draft.head] ?? self.tree(draft.head)
                        trees[draft.head] = tree
                        let first = requests.count
                        requests += tree.branches.map { branch in
                            var request = GenerationRequest(
                                prompt: draft.prompt + tree.stem + branch.path,
                                parameters: parameters)
                            request.adapter = adapter
                            return request
                        }
                        return (tree: tree, rows: first..<requests.count)
                    }
                }
            }
        }
        let rows = try replies(to: requests, until: deadline)
        return planned.map { planned in
            planned.flatMap { samples in
                result {
                    let means = try samples.map { sample in
                        let found = try rows[sample.rows].map { row in
                            Dictionary(
                                try row.get().samples[0].likeliest.map {
                                    ($0.token, $0.logProbability)
                                }, uniquingKeysWith: { first, _ in first })
                        }
                        guard let mean = sample.tree.expectation(found) else {
                            throw RewardFault(
                                "no grade is among the judge's \(Self.listedTokens) likeliest "
                                    + "tokens; is it a model that follows instructions?")
                        }
                        return mean
                    }
                    return Moments(means).mean
                }
            }
        }
    }

    private func tree(_ head: String) throws -> GradeTree {
        let texts = settings.answer.endings(of: head).map { grade, text in
            (grade: grade, tokens: tokenizer.encode(text, addSpecial: false))
        }
        guard let tree = GradeTree(texts) else {
            throw RewardFault("the judge's tokenizer does not tell the grades apart")
        }
        return tree
    }

    // MARK: - Asking the engine

    /// What came back for one request.
    private struct Reply: Sendable {
        struct Sample: Sendable {
            var tokens: [Int32] = []
            /// Of the last token's place.
            var likeliest: [TokenLogProbability] = []
            var finish: Finish?

            /// Whether the answer ended by itself.
            var isComplete: Bool { finish?.reason == .stop }
        }

        var samples: [Sample]

        mutating func note(_ event: GenerationEvent) {
            switch event {
            case .token(let sample, let token, let scored):
                samples[sample].tokens.append(token)
                samples[sample].likeliest = scored?.top ?? []
            case .finished(let sample, let finish): samples[sample].finish = finish
            case .started, .scored: break
            }
        }
    }

    /// Answers that come in any order; without one so far nobody has answered.
    private final class Replies: Sendable {
        let all: Mutex<[Result<Reply, RewardFault>?]>

        init(count: Int) { all = Mutex(Array(repeating: nil, count: count)) }
    }

    /// Submits all requests together and waits for their ends, until the time is over or somebody
    /// asks to stop.
    private func replies(
        to requests: [GenerationRequest], until deadline: ContinuousClock.Instant?
    ) throws -> [Result<Reply, RewardFault>] {
        let found = Replies(count: requests.count)
        let (engine, stop) = (engine, stop)
        try runningHere {
            // A child says whether to wait no longer.
            await withTaskGroup(of: Bool.self) { group in
                var left = 0
                for (index, request) in requests.enumerated() {
                    do {
                        let events = try engine.submit(request)
                        left += 1
                        group.addTask {
                            var reply = Reply(
                                samples: Array(repeating: .init(), count: request.sampleCount))
                            do {
                                for try await event in events { reply.note(event) }
                            } catch {
                                let fault = RewardFault("\(error)")
                                found.all.withLock { $0[index] = .failure(fault) }
                                return false
                            }
                            // The clock decides, not which of the children is heard first.
                            let isLate = deadline.map { ContinuousClock.now > $0 } ?? false
                            guard !isLate, reply.samples.allSatisfy({ $0.finish != nil }) else {
                                return false
                            }
                            let whole = reply
                            found.all.withLock { $0[index] = .success(whole) }
                            return false
                        }
                    } catch {
                        found.all.withLock { $0[index] = .failure(RewardFault("\(error)")) }
                    }
                }
                if let deadline {
                    group.addTask {
                        do {
                            try await Task.sleep(until: deadline, clock: .continuous)
                            return true
                        } catch {
                            return false
                        }
                    }
                }
                group.addTask { await stop.comes() }
                while left > 0, let isOver = await group.next(), !isOver { left -= 1 }
                group.cancelAll()
            }
            if stop.isMade { await engine.idle() }
        }
        let late = RewardFault(
            "the judge has not answered within \(settings.time.map { "\($0)" } ?? "its time"); "
                + "raise timeout")
        return found.all.withLock { $0 }.map { $0 ?? .failure(late) }
    }
}
