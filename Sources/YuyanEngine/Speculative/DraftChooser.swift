import YuyanConstraints
import YuyanTensor

/// A copy of a sequence's sampler and constraint that chooses ahead of it.
///
/// It draws with the random number that the sequence itself will draw with at that position, so a
/// guess is right whenever the two models' distributions put that number on the same token: the
/// coupling makes agreement likely and leaves the choice itself untouched.
struct DraftChooser {
    private var sampler: Sampler
    private var constraint: ConstraintState?
    private var budget: ConstraintBudget
    private let contextLimit: Int

    init(
        sampler: Sampler, constraint: ConstraintState?, budget: ConstraintBudget, contextLimit: Int
    ) {
        self.sampler = sampler
        self.constraint = constraint
        self.budget = budget
        self.contextLimit = contextLimit
    }

    /// The token at `position` by these logits; nil if the sequence would end or none is allowed.
    mutating func choose(_ logits: inout MutableSpan<Float>, position: Int) -> Int32? {
        // What cannot be followed is not guessed; the sequence itself will say why.
        do {
            try forbid(
                &logits, constraint: &constraint, spending: &budget, sampler: sampler,
                position: position, contextLimit)
            let token = try sampler.sample(logits: &logits, position: position)
            guard sampler.finish(after: token) == nil else { return nil }
            try constraint?.accept(token, spending: &budget)
            return constraint?.isFinished == true ? nil : token
        } catch {
            return nil
        }
    }
}

/// Sets the logits of all tokens that a constraint does not allow to minus infinity.
///
/// - Throws: `.tooLarge` if the budget is used up.
func forbid(
    _ logits: inout MutableSpan<Float>, constraint: inout ConstraintState?,
    spending budget: inout ConstraintBudget, sampler: Sampler, position: Int, _ contextLimit: Int
) throws(ConstraintError) {
    guard constraint != nil else { return }
    let limit = sampler.parameters.maxTokens ?? .max
    let tokensLeft = min(limit - sampler.generatedCount, contextLimit - position + 1)
    guard
        let mask = try constraint?.allowedTokens(tokensLeft: tokensLeft, spending: &budget)
    else { return }
    for word in 0..<(logits.count + 63) / 64 {
        let bits = word < mask.words.count ? mask.words[word] : 0
        guard bits != .max else { continue }
        for index in word * 64..<min(word * 64 + 64, logits.count)
        where bits >> (index % 64) & 1 == 0 {
            logits[unchecked: index] = -.infinity
        }
    }
}
