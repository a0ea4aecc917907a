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
    /// - Parameter tokensLeft: Tokens that the answer may still have, this one included; an end token
    ///   need not be among them. Tokens after which the text could not be closed in time are left
    ///   out; if none could close it, those on the shortest way are allowed.
    public mutating func allowedTokens(tokensLeft: Int) -> TokenMask {
        if hasEnded { return TokenMask(words: store.endTokens) }
        renewStore()
        return TokenMask(words: store.allowed(configuration, tokensLeft: tokensLeft))
    }

    /// Whether a token may come next, however many are left.
    public mutating func allows(_ token: Int32) -> Bool {
        if store.isEnd(token) { return hasEnded || store.accepts(configuration) }
        return !hasEnded && store.next(configuration, token: token) != nil
    }

    /// Goes on by an allowed token.
    ///
    /// - Precondition: The token is allowed, whether or not the text can still be closed in time.
    public mutating func accept(_ token: Int32) {
        if store.isEnd(token) {
            precondition(
                hasEnded || store.accepts(configuration),
                "end token \(token) where the text must go on")
            hasEnded = true
            isFinished = true
            return
        }
        renewStore()
        guard !hasEnded, let next = store.next(configuration, token: token) else {
            preconditionFailure("token \(token) is not allowed here")
        }
        (configuration, isFinished) = next
    }

    /// Leaves a store whose caches are full for a fresh one.
    private mutating func renewStore() {
        guard store.isFull else { return }
        let fresh = constraint.freshStore(instead: store)
        configuration = fresh.adopt(configuration, of: store)
        store = fresh
    }
}
