import YuyanEngine
import YuyanFormats
import YuyanNN
import YuyanTensor
import YuyanText

/// Prompts of the data, answered before and after training, for a report.
struct AnswerSamples {
    /// A prompt's tokens, and the answer in the data.
    struct Prompt {
        let tokens: [Int32]
        let reference: [Int32]
        /// The row, if it is a prompt only.
        var sample: TrainingSample?
    }

    let prompts: [Prompt]

    /// Most tokens of a prompt and of an answer: a report is read, not studied.
    private static let promptLimit = 512
    private static let answerLimit = 64

    /// The first so many prompts of validation samples, or else of training samples.
    init(_ batches: [TrainingBatch], count: Int) {
        var prompts: [Prompt] = []
        for batch in batches {
            var start = 0
            for (place, length) in batch.lengths.enumerated() where prompts.count < count {
                let range = start..<start + length
                start += length
                let sample = batch.samples[place]
                if case .prompt(let row) = sample.companion {
                    // The descriptions of tools are longer than what is asked.
                    if length <= Self.promptLimit || !row.tools.isEmpty {
                        prompts.append(
                            Prompt(tokens: sample.tokens, reference: [], sample: sample))
                    }
                    continue
                }
                guard let first = range.first(where: { batch.weights[$0] != 0 }),
                    first > range.lowerBound, first - range.lowerBound <= Self.promptLimit
                else { continue }
                let end = range.first { $0 > first && batch.weights[$0] == 0 } ?? range.upperBound
                prompts.append(
                    Prompt(
                        tokens: Array(batch.tokens[range.lowerBound..<first]),
                        reference: Array(batch.tokens[first..<end])))
            }
        }
        self.prompts = prompts
    }

    /// Greedy answers of the model as it is now.
    ///
    /// - Parameter check: Called before each answer; what it throws ends the work.
    func answers(
        _ decoder: Decoder, trainee: any Trainee, tokenizer: Tokenizer, device: Device,
        check: () throws -> Void = {}
    ) throws -> [String] {
        if let answers = try trainee.answers(to: prompts.compactMap(\.sample)) { return answers }
        let ends = tokenizer.endOfGeneration.filter { Int($0) < decoder.shape.vocabularySize }
        return try prompts.map { prompt in
            try check()
            let session = Session(
                model: decoder, device: device,
                contextLimit: prompt.tokens.count + Self.answerLimit, adapter: trainee.served)
            var parameters = SamplingParameters()
            parameters.temperature = 0
            parameters.maxTokens = Self.answerLimit
            let result = try session.generate(
                prompt: prompt.tokens, parameters: parameters, endOfSequence: ends.sorted())
            return tokenizer.decode(result.tokens.filter { !ends.contains($0) })
        }
    }

    /// Remembers what a model said before its training, for a run that is killed and goes on.
    static func save(_ answers: [String], to path: String) throws {
        try writeAtomically(path) {
            try $0.write(
                (["before": .array(answers.map { .string($0) })] as JSONOutput).description + "\n")
        }
    }

    /// What `save` wrote; nil if there is nothing.
    static func load(_ path: String) -> [String]? {
        guard let root = try? JSONDocument(path: path).root else { return nil }
        return root["before"]?.array?.compactMap(\.string)
    }
}
