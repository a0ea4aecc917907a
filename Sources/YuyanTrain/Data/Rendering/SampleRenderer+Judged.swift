import YuyanText

// Rows with judged answers, and prompts without any.

extension SampleRenderer {
    /// Both answers behind their prompt; the better one is the sample's own.
    func preference(
        _ row: PreferenceRow, _ source: SampleSource, _ weight: Float, _ shape: String
    ) throws(DataError) -> RenderedRow {
        var result = try answered(row.prompt, row.chosen, row.tools, source, weight, shape)
        let other = try answered(row.prompt, row.rejected, row.tools, source, weight, shape)
        guard let chosen = result.samples.first, let rejected = other.samples.first else {
            throw problem(.unsupervised, source, "one of the two answers has no tokens")
        }
        guard chosen.tokens != rejected.tokens else {
            throw problem(
                .unsupervised, source,
                "'chosen' and 'rejected' are the same answer, so there is nothing to prefer")
        }
        result.truncated += other.truncated
        result.straddling += other.straddling
        result.unstopped += other.unstopped
        result.methods += other.methods
        result.samples = [
            TrainingSample(
                tokens: chosen.tokens, weights: chosen.weights, source: source,
                companion: .rejected(
                    RejectedAnswer(
                        tokens: rejected.tokens, weights: rejected.weights, margin: row.margin)))
        ]
        return result
    }

    /// An answer with its verdict.
    func unpaired(
        _ row: UnpairedRow, _ source: SampleSource, _ weight: Float, _ shape: String
    ) throws(DataError) -> RenderedRow {
        var result = try answered(row.prompt, row.completion, row.tools, source, weight, shape)
        result.samples = result.samples.map {
            TrainingSample(
                tokens: $0.tokens, weights: $0.weights, source: source,
                companion: .verdict(isDesirable: row.isDesirable))
        }
        return result
    }

    /// An answer behind its prompt, up to the token that ends it.
    func answered(
        _ prompt: Passage, _ answer: Passage, _ tools: [Tool], _ source: SampleSource,
        _ weight: Float, _ shape: String
    ) throws(DataError) -> RenderedRow {
        if case .text(let prompt) = prompt, case .text(let answer) = answer {
            return try completion(prompt, answer, source, weight)
        }
        func turns(_ passage: Passage, _ role: String) -> [TrainingTurn] {
            switch passage {
            case .turns(let turns): turns
            case .text(let text): [TrainingTurn(ChatTurn(role: role, content: text))]
            }
        }
        let asked = turns(prompt, "user")
        return try conversation(
            TrainingConversation(turns: asked + turns(answer, "assistant"), tools: tools), source,
            weight, shape, firstLearnt: asked.count)
    }

    /// A plain text as the tokenizer begins sequences, without what ends them.
    func begun(_ text: String) -> [Int32] {
        let ids = tokenizer.encode(text, parseSpecial: false, addSpecial: false)
        guard tokenizer.addsBeginningOfSequence, let id = tokenizer.beginningOfSequence else {
            return ids
        }
        return [id] + ids
    }

    /// Steps behind their prompt, a line each, as TRL separates them.
    ///
    /// - Returns: All tokens, and the place of each step's last one.
    func lines(
        _ steps: [String], behind prompt: [Int32]
    ) -> (tokens: [Int32], ends: [Int]) {
        var tokens = prompt
        let ends = steps.map { step in
            tokens += tokenizer.encode(step + "\n", parseSpecial: false, addSpecial: false)
            return tokens.count - 1
        }
        return (tokens, ends)
    }

    /// The steps behind their prompt.
    func stepwise(
        _ row: StepwiseRow, _ source: SampleSource, _ weight: Float
    ) throws(DataError) -> RenderedRow {
        let prompt = begun(row.prompt)
        guard !prompt.isEmpty else { throw problem(.unsupervised, source, "the prompt is empty") }
        let (all, ends) = lines(row.steps, behind: prompt)
        var tokens = all
        var steps = zip(ends, row.labels).map { JudgedStep(end: $0, isRight: $1) }
        try checkKnown(tokens, source)
        var result = RenderedRow()
        if tokens.count > options.cutoffLength {
            guard options.overlong == .truncate else { throw tooLong(tokens.count, source) }
            steps.removeAll { $0.end >= options.cutoffLength }
            result.truncated = tokens.count - options.cutoffLength
            tokens.removeLast(result.truncated)
        }
        guard !steps.isEmpty else {
            throw problem(.unsupervised, source, "no step is left within cutoff_len")
        }
        var weights = [Float](repeating: 0, count: tokens.count)
        for step in steps { weights[step.end] = weight }
        result.samples = [
            TrainingSample(
                tokens: tokens, weights: weights, source: source, companion: .steps(steps))
        ]
        return result
    }

    /// A prompt up to where the model's answer begins.
    ///
    /// A prompt that is too long is never cut: what it asks would be lost.
    func prompt(
        _ row: PromptRow, _ source: SampleSource, _ shape: String
    ) throws(DataError) -> RenderedRow {
        var tokens: [Int32]
        let text: String
        let tools = try offered(row.tools, source)
        var opensThinking = false
        switch row.prompt {
        case .text(let prompt):
            // Without a template the model is told of tools in plain words, as in a system message.
            let told =
                options.tools.isEmpty
                ? prompt : ToolFormat.hermes.description(of: tools) + "\n\n" + prompt
            tokens = tokenizer.encode(told, parseSpecial: false, addSpecial: true)
            if let end = tokenizer.endOfSequence, tokens.last == end { tokens.removeLast() }
            text = prompt
        case .turns(let turns):
            guard let chat else { throw .noTemplate(file: source.file, shape: shape) }
            let renderable = chat.conversation(
                turns.map(\.turn), tools: tools, variables: options.variables,
                date: options.date)
            do {
                let rendered = try renderable.render(addsGenerationPrompt: true)
                tokens = renderable.ids(rendered)
                opensThinking = rendered.marked.endsWithOpenThought
            } catch {
                throw problem(.refused, source, "\(error)")
            }
            text = turns.last?.turn.content ?? ""
        }
        guard !tokens.isEmpty else { throw problem(.unsupervised, source, "the prompt is empty") }
        try checkKnown(tokens, source)
        guard tokens.count <= options.cutoffLength else { throw tooLong(tokens.count, source) }
        var result = RenderedRow()
        let columns = PromptColumns(
            text: text, columns: row.columns, prompt: row.prompt, tools: tools,
            opensThinking: opensThinking)
        result.samples = [
            TrainingSample(
                tokens: tokens, weights: [Float](repeating: 0, count: tokens.count), source: source,
                companion: .prompt(columns))
        ]
        return result
    }

    /// The recipe's tools, or those of them that the row names.
    private func offered(_ own: [Tool], _ source: SampleSource) throws(DataError) -> [Tool] {
        guard !options.tools.isEmpty, !own.isEmpty else { return own + options.tools }
        let names = options.tools.map(\.name)
        if let other = own.first(where: { !names.contains($0.name) }) {
            throw problem(
                .malformed, source,
                "offers the tool '\(other.name)', expected one of the recipe's tools: "
                    + names.joined(separator: ", "))
        }
        return options.tools.filter { tool in own.contains { $0.name == tool.name } }
    }

    private func tooLong(_ count: Int, _ source: SampleSource) -> DataError {
        problem(
            .overlong, source,
            "has \(count) tokens, expected at most \(options.cutoffLength); raise cutoff_len, or set "
                + "on_overlong to skip")
    }
}
