import YuyanConstraints

/// The choosing side of one sequence: sampler, constraint and what they need to remember.
///
/// Lives on the engine's thread and outlasts preemption: recomputing keys and values repeats no
/// choice.
final class Sample {
    let index: Int
    let contextLimit: Int
    private var sampler: Sampler
    private var constraint: ConstraintState?
    private var budget = ConstraintBudget()
    private let recordsDraws: Bool

    init(
        _ request: GenerationRequest, index: Int, vocabularySize: Int, endOfSequence: [Int32],
        contextLimit: Int
    ) throws(SamplingError) {
        self.index = index
        self.contextLimit = contextLimit
        recordsDraws = request.recordsDraws
        sampler = try Sampler(
            parameters: request.parameters, vocabularySize: vocabularySize,
            endOfSequence: endOfSequence, stream: UInt64(index))
        sampler.accept(prompt: request.prompt)
        constraint = request.constraint?.start()
    }

    /// Chooses from one row of logits, which it may change, for the token at `position`.
    ///
    /// - Throws: `.failed` if the logits are broken, `.constraintTooCostly` if finding the tokens
    ///   that may follow takes too much work.
    func choose(
        _ logits: inout MutableSpan<Float>, position: Int
    ) throws(EngineError) -> ItemResult.Choice {
        do {
            return try chosen(&logits, position: position)
        } catch let error as ConstraintError {
            throw .constraintTooCostly(error.description)
        } catch {
            throw .failed("\(error)")
        }
    }

    private func chosen(
        _ logits: inout MutableSpan<Float>, position: Int
    ) throws -> ItemResult.Choice {
        let wanted = sampler.parameters.logprobs
        var scored: TokenLogProbabilities?
        let token: Int32
        if constraint != nil {
            var raw: [Float] = []
            if wanted != nil {
                raw.reserveCapacity(logits.count)
                for index in 0..<logits.count { raw.append(logits[unchecked: index]) }
            }
            budget.renew()
            try forbid(
                &logits, constraint: &constraint, spending: &budget, sampler: sampler,
                position: position, contextLimit)
            token = try sampler.sample(logits: &logits, position: position)
            if let wanted {
                // The model's own view, as without a constraint.
                scored = try logProbabilities(of: raw.span, token: token, topCount: wanted)
            }
        } else if wanted != nil || recordsDraws {
            let both = try sampler.sampleWithLogProbabilities(
                logits: &logits, position: position, recordsDraw: recordsDraws)
            (token, scored) = (both.chosen.token, both)
        } else {
            token = try sampler.sample(logits: &logits, position: position)
        }
        return ItemResult.Choice(
            sample: index, token: token, logProbabilities: scored,
            finish: try finish(after: token, position: position))
    }

    /// A copy that chooses ahead, for guessing.
    var chooser: DraftChooser {
        DraftChooser(
            sampler: sampler, constraint: constraint, budget: budget, contextLimit: contextLimit)
    }

    private func finish(
        after token: Int32, position: Int
    ) throws(ConstraintError) -> Finish? {
        let finish = sampler.finish(after: token)
        if let finish, finish.reason == .stop { return finish }
        if constraint != nil {
            try constraint?.accept(token, spending: &budget)
            if constraint?.isFinished == true { return .stop(.constraint) }
        }
        return finish ?? (position >= contextLimit ? .length : nil)
    }
}
