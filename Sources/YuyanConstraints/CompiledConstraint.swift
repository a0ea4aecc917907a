import Synchronization

/// A grammar over bytes, compiled for one vocabulary; shared by all requests that use it.
///
/// Memory is bounded by ``ConstraintLimits``: caches that have grown too large are replaced, and
/// states move to the new ones when they are used next.
public final class CompiledConstraint: Sendable {
    private let automaton: Automaton
    private let vocabulary: ConstraintVocabulary
    private let limits: ConstraintLimits
    private let current: Mutex<ConstraintStore>

    /// - Throws: `.tooLarge` if the beginning of answers takes too much work.
    init(
        _ automaton: Automaton, _ vocabulary: ConstraintVocabulary, _ limits: ConstraintLimits
    ) throws(ConstraintError) {
        self.automaton = automaton
        self.vocabulary = vocabulary
        self.limits = limits
        current = Mutex(
            try ConstraintStore(automaton, vocabulary, limits, budget: ConstraintBudget.most))
    }

    /// The state before the first token of an answer.
    public func start() -> ConstraintState { ConstraintState(self) }

    var store: ConstraintStore { current.withLock { $0 } }

    /// The store that has replaced, or now replaces, a full one.
    func freshStore(instead full: ConstraintStore) -> ConstraintStore {
        current.withLock { store in
            if store === full || store.isFull,
                let fresh = try? ConstraintStore(
                    automaton, vocabulary, limits, budget: ConstraintBudget.unlimited.left)
            {
                store = fresh
            }
            return store
        }
    }

    /// Looks ahead for work without end, and for answers that are never short enough.
    func probe() throws(ConstraintError) {
        var budget = ConstraintBudget()
        try store.probe(&budget)
        guard start().sufficientTokens <= limits.shortestText else {
            throw .tooLarge(
                place: "constraint", what: "bytes in the shortest text that satisfies it",
                limit: limits.shortestText)
        }
    }
}

/// The masks of a constraint behind a lock.
final class ConstraintStore: Sendable {
    private let vocabulary: ConstraintVocabulary
    private let masks: Mutex<TokenMasks>
    /// The mask after the end.
    let endTokens: [UInt64]

    init(
        _ automaton: Automaton, _ vocabulary: ConstraintVocabulary, _ limits: ConstraintLimits,
        budget: Int
    ) throws(ConstraintError) {
        self.vocabulary = vocabulary
        masks = Mutex(try TokenMasks(automaton, vocabulary, limits, budget: budget))
        var words = [UInt64](repeating: 0, count: vocabulary.wordCount)
        for token in vocabulary.endTokens { words[Int(token) / 64] |= 1 << UInt64(token % 64) }
        endTokens = words
    }

    var isFull: Bool { masks.withLock { $0.isFull } }

    func isEnd(_ token: Int32) -> Bool {
        vocabulary.isEnd.indices.contains(Int(token)) && vocabulary.isEnd[Int(token)]
    }

    func start() -> (configuration: Int32, isFinished: Bool) {
        masks.withLock { masks in
            let start = masks.configurations.start
            return (start, masks.configurations.isExhausted(start))
        }
    }

    func accepts(_ configuration: Int32) -> Bool {
        masks.withLock { $0.configurations.accepts(configuration) }
    }

    func allowed(
        _ configuration: Int32, tokensLeft: Int, _ budget: inout ConstraintBudget
    ) throws(ConstraintError) -> [UInt64] {
        try spending(&budget) { masks throws(ConstraintError) in
            try masks.allowed(configuration, tokensLeft: tokensLeft)
        }
    }

    func tokenDistance(_ configuration: Int32) -> Int {
        var budget = ConstraintBudget.unlimited
        let found = try? spending(&budget) { masks throws(ConstraintError) in
            try masks.tokenDistance(configuration)
        }
        return found ?? Automaton.unreachable
    }

    func probe(_ budget: inout ConstraintBudget) throws(ConstraintError) {
        try spending(&budget) { masks throws(ConstraintError) in try masks.probe() }
    }

    /// Works for as long as a budget allows, and takes what was spent off it.
    private func spending<Value: Sendable>(
        _ budget: inout ConstraintBudget,
        _ work: (inout TokenMasks) throws(ConstraintError) -> Value
    ) throws(ConstraintError) -> Value {
        let given = budget.left
        let (result, left) = masks.withLock { masks -> (Result<Value, ConstraintError>, Int) in
            masks.configurations.budget = given
            let result: Result<Value, ConstraintError>
            do throws(ConstraintError) {
                result = .success(try work(&masks))
            } catch {
                result = .failure(error)
            }
            return (result, masks.configurations.budget)
        }
        budget.left = max(0, left)
        return try result.get()
    }

    /// The configuration after a token, and whether the text is finished there.
    func next(
        _ configuration: Int32, token: Int32, _ budget: inout ConstraintBudget
    ) throws(ConstraintError) -> (Int32, Bool)? {
        try spending(&budget) { masks throws(ConstraintError) in
            let next = try masks.next(configuration, token: token)
            guard next != Configurations.dead else { return nil }
            return (next, masks.configurations.isExhausted(next))
        }
    }

    /// Takes over a configuration of an older store; never the other way round, so that two threads
    /// cannot wait for each other.
    func adopt(_ configuration: Int32, of other: ConstraintStore) -> Int32 {
        other.masks.withLock { old in
            masks.withLock { $0.adopt(configuration, of: old) }
        }
    }
}
