/// Where an answer stands in its grammar; a value, so that a copy is a way back.
public struct ConstraintState: Sendable {
    private let constraint: CompiledConstraint
    private var store: ConstraintStore
    private var configuration: Int32
    private var hasEnded = false

    /// Whether only an end token may follow.
    public private(set) var isFinished: Bool

    init(_ constraint: CompiledConstraint) {
        self.constraint = constraint
        store = constraint.store
        (configuration, isFinished) = store.start()
    }

    /// The tokens that may come next, end tokens among them where the text may end.
    ///
    /// There is always one, unless the text is finished and the vocabulary has no end token. A mask
    /// that was asked for before costs a look-up; the first of a place costs a walk of the
    /// vocabulary.
    ///
    /// - Parameters:
    ///   - tokensLeft: Tokens that the answer may still have, this one included; an end token need
    ///     not be among them. Tokens after which the text could not be closed in time are left out;
    ///     if none could close it, those on the shortest way are allowed.
    ///   - budget: Work that may be done for it, and what is left of it afterwards.
    /// - Throws: `.tooLarge` if the budget is used up; the state is as before.
    public mutating func allowedTokens(
        tokensLeft: Int, spending budget: inout ConstraintBudget
    ) throws(ConstraintError) -> TokenMask {
        if hasEnded { return TokenMask(words: store.endTokens) }
        renewStore()
        return TokenMask(
            words: try store.allowed(configuration, tokensLeft: tokensLeft, &budget))
    }

    /// The tokens that may come next, whatever work it takes.
    public mutating func allowedTokens(tokensLeft: Int) -> TokenMask {
        var budget = ConstraintBudget.unlimited
        let mask = try? allowedTokens(tokensLeft: tokensLeft, spending: &budget)
        return mask ?? TokenMask(words: [])
    }

    /// Tokens that suffice to complete the text: an answer with as many left is never cut short.
    ///
    /// Those of the completion with the fewest bytes; another one may have fewer tokens.
    public var sufficientTokens: Int { hasEnded ? 0 : store.tokenDistance(configuration) }

    /// Whether a token may come next, however many are left.
    public func allows(_ token: Int32) -> Bool {
        if store.isEnd(token) { return hasEnded || store.accepts(configuration) }
        var budget = ConstraintBudget.unlimited
        let next = try? store.next(configuration, token: token, &budget)
        return !hasEnded && next != nil
    }

    /// Goes on by an allowed token.
    ///
    /// - Precondition: The token is allowed, whether or not the text can still be closed in time.
    /// - Parameter budget: Work that may be done for it, and what is left of it afterwards.
    /// - Throws: `.tooLarge` if the budget is used up; the state is as before.
    public mutating func accept(
        _ token: Int32, spending budget: inout ConstraintBudget
    ) throws(ConstraintError) {
        if store.isEnd(token) {
            precondition(
                hasEnded || store.accepts(configuration),
                "end token \(token) where the text must go on")
            hasEnded = true
            isFinished = true
            return
        }
        renewStore()
        guard !hasEnded, let next = try store.next(configuration, token: token, &budget) else {
            preconditionFailure("token \(token) is not allowed here")
        }
        (configuration, isFinished) = next
    }

    /// Goes on by an allowed token, whatever work it takes.
    public mutating func accept(_ token: Int32) {
        var budget = ConstraintBudget.unlimited
        do throws(ConstraintError) {
            try accept(token, spending: &budget)
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Leaves a store whose caches are full for a fresh one.
    private mutating func renewStore() {
        guard store.isFull else { return }
        let fresh = constraint.freshStore(instead: store)
        configuration = fresh.adopt(configuration, of: store)
        store = fresh
    }
}
