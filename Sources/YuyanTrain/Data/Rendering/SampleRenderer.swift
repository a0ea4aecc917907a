import YuyanText

/// What a row became.
package struct RenderedRow: Sendable {
    /// What is trained on; several for a long text, none if the row is left out.
    package var samples: [TrainingSample] = []
    /// Tokens that were cut off.
    package var truncated = 0
    /// Tokens that hold both text that is learnt and text that is not; they are learnt.
    package var straddling = 0
    /// How the answers were found.
    package var methods: [AnswerSpan.Method] = []
    /// Answers without a token that ends them, so that the model will not learn to stop.
    package var unstopped = 0
}

/// Turns rows into samples: renders, encodes once, and decides what each token counts for.
///
/// An answer's tokens are those that hold at least one byte of it, up to and with the token that
/// ends the turn. Tokens behind the last one that counts predict nothing and are left out.
struct SampleRenderer: Sendable {
    let tokenizer: Tokenizer
    let chat: ChatRenderer?
    let options: DataOptions
    /// Rows of the model's embedding; tokens at or above have none.
    var vocabularySize = Int.max

    /// Renders a row.
    ///
    /// - Parameter weight: Factor of the loss of the row's data set.
    /// - Throws: `.row` naming why it gives no sample, `.noTemplate`, `.wrongStage`,
    ///   `.unknownToken`.
    func render(
        _ row: DataRow, _ source: SampleSource, weight: Float, shape: String
    ) throws(DataError) -> RenderedRow {
        let learns = options.stage == .pretraining || options.stage == .supervised
        switch row {
        case .text(let text, let endsDocument) where learns:
            return try self.text(text, endsDocument, source, weight)
        case .completion(let prompt, let completion) where learns:
            return try self.completion(prompt, completion, source, weight)
        case .conversation(let conversation) where learns:
            return try self.conversation(conversation, source, weight, shape)
        case .preference(let row) where options.stage == .preference:
            return try preference(row, source, weight, shape)
        case .unpaired(let row) where options.stage == .unpaired:
            return try unpaired(row, source, weight, shape)
        case .stepwise(let row) where options.stage == .stepwise:
            return try stepwise(row, source, weight)
        case .prompt(let row) where options.stage == .prompts:
            return try prompt(row, source, shape)
        default:
            throw .wrongStage(file: source.file, shape: shape, stage: options.stage.rawValue)
        }
    }

    func problem(
        _ kind: RowProblem.Kind, _ source: SampleSource, _ reason: String
    ) -> DataError {
        .row(RowProblem(source: source, kind: kind, reason: reason))
    }

    /// A tokenizer may have more tokens than the model, by tokens that were added to it.
    func checkKnown(_ ids: [Int32], _ source: SampleSource) throws(DataError) {
        guard let id = ids.first(where: { $0 < 0 || Int($0) >= vocabularySize }) else { return }
        throw .unknownToken(
            source: source, id: id, text: tokenizer.decode([id]), vocabularySize: vocabularySize)
    }

    // MARK: - Plain texts

    private func text(
        _ text: String, _ endsDocument: Bool, _ source: SampleSource, _ weight: Float
    ) throws(DataError) -> RenderedRow {
        var ids = tokenizer.encode(text, parseSpecial: false, addSpecial: true)
        let end = tokenizer.endOfSequence
        if let end, ids.last == end, !endsDocument { ids.removeLast() }
        if let end, ids.last != end, endsDocument { ids.append(end) }
        guard ids.count >= 2 else {
            throw problem(.unsupervised, source, "the text has \(ids.count) tokens, expected two")
        }
        try checkKnown(ids, source)
        var result = RenderedRow()
        if options.stage == .pretraining {
            result.samples = pieces(ids, source, weight)
            return result
        }
        let kept = try limited(
            ids.count, [Truncation.Pair(prompt: 0..<0, answer: ids.indices)], source, &result)
        let tokens = kept.flatMap { ids[$0] }
        result.samples = [
            TrainingSample(
                tokens: tokens, weights: [Float](repeating: weight, count: tokens.count),
                source: source)
        ]
        return result
    }

    /// Pieces of at most `cutoffLength` tokens; each starts with the last token of the one before,
    /// so that every token but the first is predicted exactly once.
    private func pieces(
        _ ids: [Int32], _ source: SampleSource, _ weight: Float
    ) -> [TrainingSample] {
        var samples: [TrainingSample] = []
        var start = 0
        while start + 1 < ids.count {
            let end = min(start + options.cutoffLength, ids.count)
            samples.append(
                TrainingSample(
                    tokens: Array(ids[start..<end]),
                    weights: [Float](repeating: weight, count: end - start), source: source))
            start = end - 1
        }
        return samples
    }

    func completion(
        _ prompt: String, _ completion: String, _ source: SampleSource, _ weight: Float
    ) throws(DataError) -> RenderedRow {
        var ids = tokenizer.encode(prompt + completion, parseSpecial: false, addSpecial: false)
        let places = TokenPlaces(ids, of: prompt + completion, with: tokenizer)
        let start = prompt.utf8.count
        var answer = places.tokens(of: start..<start + completion.utf8.count)
        var result = RenderedRow()
        if places.isStraddled(start) { result.straddling = 1 }
        if tokenizer.addsBeginningOfSequence, let id = tokenizer.beginningOfSequence {
            ids.insert(id, at: 0)
            answer = answer.lowerBound + 1..<answer.upperBound + 1
        }
        if let end = tokenizer.endOfSequence {
            ids.append(end)
            answer = answer.lowerBound..<ids.count
        } else {
            result.unstopped = 1
        }
        return try sample(
            ids, answers: [(answer, weight)], everything: weight, source, result)
    }

    // MARK: - Conversations

    /// - Parameter firstLearnt: The first turn that may be learnt.
    func conversation(
        _ conversation: TrainingConversation, _ source: SampleSource, _ weight: Float,
        _ shape: String, firstLearnt: Int = 0
    ) throws(DataError) -> RenderedRow {
        guard let chat else { throw .noTemplate(file: source.file, shape: shape) }
        let turns = conversation.turns
        var learnt = turns.indices.filter { turns[$0].isAnswer && $0 >= firstLearnt }
        if options.supervision == .lastAnswer { learnt = learnt.suffix(1) }
        // Where all tokens count alike, nobody asks where the answers are.
        let needsSpans =
            options.supervision != .all || turns.contains { $0.weight != nil }
            || options.overlong == .truncate
        let asked = needsSpans ? learnt : []
        let renderable = chat.conversation(
            turns.map(\.turn), tools: conversation.tools, variables: options.variables,
            date: options.date)
        let rendered: RenderedAnswers
        do {
            rendered = try renderable.answers(asked)
        } catch let error as AnswerNotFound {
            throw problem(.refused, source, error.description)
        } catch {
            throw problem(.refused, source, "\(error)")
        }
        let ids = renderable.ids(rendered.text)
        var result = RenderedRow()
        result.methods = rendered.spans.map(\.method)
        var answers: [(tokens: Range<Int>, weight: Float)] = []
        if !rendered.spans.isEmpty {
            let places = TokenPlaces(ids, of: rendered.text, with: chat)
            for span in rendered.spans {
                let bytes =
                    places.unmarked(span.bytes.lowerBound)..<places.unmarked(span.bytes.upperBound)
                var tokens = places.tokens(of: bytes)
                let isStop = { (id: Int32) in tokenizer.endOfGeneration.contains(id) }
                if let stop = ids[tokens].lastIndex(where: isStop) {
                    tokens = tokens.lowerBound..<stop + 1
                } else {
                    result.unstopped += 1
                }
                if places.isStraddled(bytes.lowerBound) { result.straddling += 1 }
                let factor = (turns[span.turn].weight ?? 1) * weight
                guard factor.isFinite else {
                    throw problem(
                        .malformed, source,
                        "the weight of turn \(span.turn + 1), times that of the data set, is not a "
                            + "float32 number")
                }
                answers.append((tokens, factor))
            }
        }
        return try sample(ids, answers: answers, everything: weight, source, result)
    }

    // MARK: - Weights and lengths

    /// Makes the sample of a text of which some stretches are answers.
    ///
    /// - Parameter everything: The weight of tokens outside of answers, if all tokens count.
    private func sample(
        _ ids: [Int32], answers: [(tokens: Range<Int>, weight: Float)], everything: Float,
        _ source: SampleSource, _ rendered: RenderedRow
    ) throws(DataError) -> RenderedRow {
        try checkKnown(ids, source)
        var result = rendered
        let countsAll = options.supervision == .all || options.stage == .pretraining
        var weights = [Float](repeating: countsAll ? everything : 0, count: ids.count)
        var pairs: [Truncation.Pair] = []
        var done = 0
        for (tokens, weight) in answers {
            for index in tokens { weights[index] = weight }
            let start = max(tokens.lowerBound, done)
            pairs.append(Truncation.Pair(prompt: done..<start, answer: start..<tokens.upperBound))
            done = tokens.upperBound
        }
        if countsAll, done < ids.count {
            pairs.append(Truncation.Pair(prompt: done..<ids.count, answer: ids.count..<ids.count))
        }
        let end = weights.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
        guard end > 0, weights[..<end].dropFirst().contains(where: { $0 != 0 }) else {
            throw problem(.unsupervised, source, explanation(answers))
        }
        let kept = try limited(end, pairs, source, &result)
        let tokens = kept.flatMap { ids[$0.clamped(to: 0..<end)] }
        let keptWeights = kept.flatMap { weights[$0.clamped(to: 0..<end)] }
        let sample = TrainingSample(tokens: tokens, weights: keptWeights, source: source)
        guard sample.supervisedCount > 0 else {
            throw problem(
                .unsupervised, source,
                "nothing that is learnt is left of \(end) tokens after cutting them to "
                    + "\(options.cutoffLength); raise cutoff_len")
        }
        result.samples = [sample]
        return result
    }

    /// The stretches that stay of a sample of `count` tokens.
    private func limited(
        _ count: Int, _ pairs: [Truncation.Pair], _ source: SampleSource,
        _ result: inout RenderedRow
    ) throws(DataError) -> [Range<Int>] {
        guard count > options.cutoffLength else { return [0..<count] }
        guard options.overlong == .truncate else {
            throw problem(
                .overlong, source,
                "has \(count) tokens, expected at most \(options.cutoffLength); raise cutoff_len, or "
                    + "set on_overlong to skip or truncate")
        }
        let kept = Truncation.kept(
            pairs, limit: options.cutoffLength, fromEnd: options.supervision == .lastAnswer)
        result.truncated = count - kept.reduce(0) { $0 + $1.clamped(to: 0..<count).count }
        return kept
    }

    private func explanation(_ answers: [(tokens: Range<Int>, weight: Float)]) -> String {
        if answers.isEmpty {
            return "has no answer, so there is nothing to learn; expected a turn of the model"
        }
        if answers.allSatisfy({ $0.weight == 0 }) {
            return "all answers have the weight 0, so there is nothing to learn"
        }
        return "its answers have no tokens, so there is nothing to learn"
    }
}
