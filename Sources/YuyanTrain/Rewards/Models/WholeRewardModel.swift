import YuyanFormats
import YuyanModels
import YuyanText

/// The score of a whole reward model, which may have another tokenizer than the model that answers.
///
/// Prompt and answer are rendered anew by its own template and encoded by its own tokenizer, as its
/// training rendered them: up to the token that ends the answer, which an answer that was cut lacks.
final class WholeRewardModel: RewardFunction {
    let name: String
    private let model: ScoringModel
    private let renderer: SampleRenderer

    /// - Throws: What is wrong with its chat template.
    init(_ model: ScoringModel, name: String) throws {
        self.name = name
        self.model = model
        var options = DataOptions()
        (options.stage, options.cutoffLength) = (.preference, .max)
        renderer = SampleRenderer(
            tokenizer: model.tokenizer, chat: try model.chat(), options: options)
    }

    var heldBytes: Int { model.byteCount }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        var partial = PartialRewards(scores: completions.map { _ in nil }, faults: [:])
        var texts: [(tokens: [Int32], places: [Int])] = []
        var asked: [Int] = []
        for (row, completion) in completions.enumerated() {
            do {
                let tokens = try tokens(of: completion)
                try model.check(tokens)
                texts.append((tokens, [tokens.count - 1]))
                asked.append(row)
            } catch {
                partial.faults[row] = "\(error)"
            }
        }
        for (row, scores) in zip(asked, model.scores(of: texts)) { partial.scores[row] = scores[0] }
        guard partial.faults.isEmpty else { throw partial }
        return partial.scores
    }

    /// A completion behind its prompt, up to the token that the head reads.
    func tokens(of completion: ScoredCompletion) throws -> [Int32] {
        let prompt = completion.row?.prompt ?? .text(completion.prompt)
        var ids: [Int32]
        switch prompt {
        case .text(let text):
            ids = renderer.begun(text + completion.text)
            if completion.hasEnded, let end = model.tokenizer.endOfSequence { ids.append(end) }
        case .turns:
            guard renderer.chat != nil else {
                throw RewardFault(
                    "\(model.path) has no chat template, and the prompt is a conversation")
            }
            let rendered = try renderer.answered(
                prompt, .turns(Self.answer(of: completion)), completion.row?.tools ?? [],
                SampleSource(file: model.path, row: 0), 1, "a conversation")
            ids = rendered.samples.first?.tokens ?? []
            let ends = model.tokenizer.endOfGeneration
            while !completion.hasEnded, let last = ids.last, ends.contains(last) {
                ids.removeLast()
            }
        }
        return SequenceClassifier.judged(ids, padding: model.padding)
    }

    /// What the model said, with the tools' messages in between.
    private static func answer(of completion: ScoredCompletion) -> [TrainingTurn] {
        if let episode = completion.episode, !episode.turns.isEmpty {
            return episode.turns.map { TrainingTurn($0) }
        }
        // The template that asked opened the thought; the answer only closes it.
        let opening = completion.row?.opensThinking == true ? "<think>\n" : ""
        return [
            TrainingTurn(ChatTurn(role: "assistant", content: opening + completion.text))
        ]
    }
}
