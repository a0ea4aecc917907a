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

    init(
        _ request: GenerationRequest, index: Int, vocabularySize: Int, endOfSequence: [Int32],
        contextLimit: Int
    ) throws(SamplingError) {
        self.index = index
        self.contextLimit = contextLimit
        sampler = try Sampler(
            parameters: request.parameters, vocabularySize: vocabularySize,
            endOfSequence: endOfSequence, stream: UInt64(index))
        sampler.accept(prompt: request.prompt)
        constraint = request.constraint?.start()
    }

    /// Chooses from one row of logits, which it may change, for the token at `position`.
    func choose(
        _ logits: inout MutableSpan<Float>, position: Int
    ) throws(SamplingError) -> ItemResult.Choice {
        let wanted = sampler.parameters.logprobs
        var scored: TokenLogProbabilities?
        let token: Int32
        if constraint != nil {
            var raw: [Float] = []
            if wanted != nil {
                raw.reserveCapacity(logits.count)
                for index in 0..<logits.count { raw.append(logits[unchecked: index]) }
            }
            forbid(&logits, position: position)
            token = try sampler.sample(logits: &logits, position: position)
            if let wanted {
                // The model's own view, as without a constraint.
                scored = try logProbabilities(of: raw.span, token: token, topCount: wanted)
            }
        } else if wanted != nil {
            let both = try sampler.sampleWithLogProbabilities(logits: &logits, position: position)
            (token, scored) = (both.chosen.token, both)
        } else {
            token = try sampler.sample(logits: &logits, position: position)
        }
        return ItemResult.Choice(
            sample: index, token: token, logProbabilities: scored,
            finish: finish(after: token, position: position))
    }

    private func forbid(_ logits: inout MutableSpan<Float>, position: Int) {
        let limit = sampler.parameters.maxTokens ?? .max
        let tokensLeft = min(limit - sampler.generatedCount, contextLimit - position + 1)
        guard let mask = constraint?.allowedTokens(tokensLeft: tokensLeft) else { return }
        for word in 0..<(logits.count + 63) / 64 {
            let bits = word < mask.words.count ? mask.words[word] : 0
            guard bits != .max else { continue }
            for index in word * 64..<min(word * 64 + 64, logits.count)
            where bits >> (index % 64) & 1 == 0 {
                logits[unchecked: index] = -.infinity
            }
        }
    }

    private func finish(after token: Int32, position: Int) -> Finish? {
        let finish = sampler.finish(after: token)
        if let finish, finish.reason == .stop { return finish }
        if constraint != nil {
            constraint?.accept(token)
            if constraint?.isFinished == true { return .stop(.constraint) }
        }
        return finish ?? (position >= contextLimit ? .length : nil)
    }
}
