import YuyanEngine
import YuyanFormats
import YuyanNN
import YuyanText

/// Lets a model write answers, many at once, and compares them with the right ones.
struct AnswerWriter: Sendable {
    /// Requests that the engine knows of at a time; it runs as many as memory allows.
    private static let inFlight = 32

    private let model: EvaluatedModel
    private let tokenizer: Tokenizer
    private let task: EvaluationTask
    private let engine: Engine

    init(model: EvaluatedModel, tokenizer: Tokenizer, task: EvaluationTask) throws {
        self.model = model
        self.tokenizer = tokenizer
        self.task = task
        var configuration = EngineConfiguration()
        configuration.keyValueType = model.keyValueType
        let size = model.model.shape.vocabularySize
        engine = try Engine(
            model: model.model, device: model.device, configuration: configuration,
            endOfSequence: tokenizer.endOfGeneration.filter { Int($0) < size }.sorted())
        // A wrong expression is found before the first token.
        _ = try task.match.filtered("")
    }

    private struct Answer: Sendable {
        let index: Int
        let text: String
        let tokens: Int
        let isTruncated: Bool
    }

    func answers(
        _ rows: [EvaluationRow], _ prompter: Prompter, _ onRow: @escaping @Sendable (Int) -> Void
    ) async throws -> EvaluationResult {
        let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
            var answers: [Answer?] = Array(repeating: nil, count: rows.count)
            var (started, done) = (0, 0)
            func start() throws {
                guard started < rows.count else { return }
                let index = started
                started += 1
                let prompt = prompter.tokens(try prompter.prompt(rows[index].prompt))
                group.addTask { try await answer(prompt, index: index) }
            }
            for _ in 0..<Self.inFlight { try start() }
            for try await answer in group {
                answers[answer.index] = answer
                done += 1
                onRow(done)
                try start()
            }
            return answers.compactMap { $0 }
        }
        var right: [Bool] = []
        var samples: [JSONOutput] = []
        for (row, answer) in zip(rows, answers) {
            let filtered = try task.match.filtered(answer.text)
            right.append(row.answers.contains { task.match.isEqual(filtered, to: $0) })
            samples.append([
                "line": .integer(row.line),
                "answer": .string(answer.text),
                "filtered": .string(filtered),
                "right": .array(row.answers.map { .string($0) }),
                "exact_match": .integer(right[right.count - 1] ? 1 : 0),
            ])
        }
        return EvaluationResult(
            kind: .generate, metrics: [EvaluationMetric(name: "exact_match", right: right)],
            samples: samples, truncatedRows: answers.count(where: \.isTruncated),
            tokens: answers.reduce(0) { $0 + $1.tokens })
    }

    /// The likeliest answer up to the first text of `until`, the model's end or the limit.
    private func answer(_ prompt: [Int32], index: Int) async throws -> Answer {
        // As lm-eval: the prompt loses what the answer's room needs, at its front.
        let room = max(1, engine.contextLimit - task.maxGenToks)
        var parameters = SamplingParameters()
        parameters.temperature = 0
        parameters.maxTokens = task.maxGenToks
        var request = GenerationRequest(
            prompt: Array(prompt.suffix(room)), parameters: parameters)
        request.adapter = model.adapter
        if request.prompt.isEmpty {
            request.prompt = [tokenizer.beginningOfSequence ?? tokenizer.endOfSequence ?? 0]
        }
        var matcher = StopMatcher(task.until)
        var decoder = tokenizer.streamDecoder(skipSpecial: true)
        var text = ""
        var count = 0
        events: for try await event in try engine.submit(request) {
            switch event {
            case .token(_, let token, _):
                count += 1
                let release = matcher.push(decoder.append(token))
                text += release.text
                // Leaving the loop cancels the request.
                if release.stop != nil { break events }
            case .finished:
                text += matcher.push(decoder.finish()).text
                text += matcher.finish()
            case .started, .scored: break
            }
        }
        return Answer(
            index: index, text: text, tokens: count, isTruncated: prompt.count > room)
    }
}
