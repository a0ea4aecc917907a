import YuyanFormats
import YuyanText

/// An answer as rows of data have it.
struct SampledAnswer {
    /// The text behind a prompt that is a text.
    let text: String
    /// The messages behind a conversation: one, or turns and what tools said in between.
    let turns: [ChatTurn]

    /// An answer of one turn.
    init(_ text: String) {
        self.text = text
        turns = [ChatTurn(role: "assistant", content: text)]
    }

    init(text: String, turns: [ChatTurn]) {
        self.text = text
        self.turns = turns
    }
}

/// Writes answers with tools as messages that stage sft renders to what was sampled.
///
/// Each row is read and rendered here as stage sft will do it. The parts that are learnt and those that
/// are only read must say what the model wrote and read, token text for token text; only how a text is
/// cut into tokens is the tokenizer's, as for every text that is learnt. A call that the chat template
/// would write in other words than the model did stays in its turn's content, as the model wrote it.
struct TranscriptWriter {
    private let renderer: SampleRenderer
    private let ends: Set<Int32>

    /// - Parameter vocabularySize: Rows of the model's embedding.
    init(_ recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate?, vocabularySize: Int) {
        let own = DataOptions(recipe)
        var options = DataOptions()
        (options.stage, options.cutoffLength, options.overlong) = (.supervised, .max, .stop)
        (options.variables, options.date) = (own.variables, own.date)
        renderer = SampleRenderer(
            tokenizer: tokenizer,
            chat: template.map { ChatRenderer(tokenizer: tokenizer, template: $0) },
            options: options, vocabularySize: vocabularySize)
        ends = Set(tokenizer.endOfGeneration)
    }

    /// The messages of an answer; nil if none are rendered to what was sampled.
    ///
    /// - Parameters:
    ///   - prompt: Ids that the model was given.
    ///   - row: What it was asked.
    func turns(
        of answer: WrittenAnswer, behind prompt: [Int32], _ row: PromptColumns,
        _ source: SampleSource
    ) -> [ChatTurn]? {
        guard let turns = answer.episode?.turns else { return nil }
        let forms = [turns, verbatim(turns, answer)].compactMap { $0 }
        return forms.first { isFaithful($0, answer, behind: prompt, row, source) }
    }

    /// The turns with their calls and thoughts as the text that the model wrote.
    private func verbatim(_ turns: [ChatTurn], _ answer: WrittenAnswer) -> [ChatTurn]? {
        let written = answer.writtenRuns
        let places = turns.indices.filter { turns[$0].role == "assistant" }
        guard written.count == places.count else { return nil }
        var result = turns
        for (place, ids) in zip(places, written) {
            let text = renderer.tokenizer.decode(ids.filter { !ends.contains($0) })
            result[place] = ChatTurn(role: "assistant", content: text)
        }
        return result
    }

    private func isFaithful(
        _ turns: [ChatTurn], _ answer: WrittenAnswer, behind prompt: [Int32], _ row: PromptColumns,
        _ source: SampleSource
    ) -> Bool {
        guard let sample = rendered(turns, row, source) else { return false }
        let found = parts(sample.tokens, sample.weights.map { $0 != 0 })
        let expected = parts(
            prompt + answer.tokens, prompt.map { _ in false } + answer.isWritten)
        if found == expected { return true }
        // The row of an answer that was cut ends it.
        guard !answer.hasEnded, found.dropLast() == expected.dropLast(),
            let last = found.last, let cut = expected.last, last.hasPrefix(cut)
        else { return false }
        return ends.contains { last == cut + renderer.tokenizer.text(of: $0) }
    }

    /// The row as stage sft has it; nil if it refuses it.
    private func rendered(
        _ turns: [ChatTurn], _ row: PromptColumns, _ source: SampleSource
    ) -> TrainingSample? {
        let line = row.learnable(SampledAnswer(text: "", turns: turns), reward: nil).description
        let parser = RowParser(shape: DataShape(base: .messages), names: ShapeNames())
        do {
            let document = try JSONDocument(bytes: Array(line.utf8), name: source.file)
            return try renderer.render(
                parser.parse(document.root), source, weight: 1, shape: parser.shape.description
            ).samples.first
        } catch {
            return nil
        }
    }

    /// The texts of stretches of tokens that are learnt, or that are not, in turns.
    private func parts(_ tokens: [Int32], _ isLearnt: [Bool]) -> [String] {
        var parts: [String] = []
        var start = 0
        for place in 1...max(1, tokens.count) where place <= tokens.count {
            guard place == tokens.count || isLearnt[place] != isLearnt[start] else { continue }
            parts.append(renderer.tokenizer.decode(tokens[start..<place]))
            start = place
        }
        return parts
    }
}
