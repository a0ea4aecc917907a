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

    init(_ automaton: Automaton, _ vocabulary: ConstraintVocabulary, _ limits: ConstraintLimits) {
        self.automaton = automaton
        self.vocabulary = vocabulary
        self.limits = limits
        current = Mutex(ConstraintStore(automaton, vocabulary, limits))
    }

    /// The state before the first token of an answer.
    public func start() -> ConstraintState { ConstraintState(self) }

    var store: ConstraintStore { current.withLock { $0 } }

    /// The store that has replaced, or now replaces, a full one.
    func freshStore(instead full: ConstraintStore) -> ConstraintStore {
        current.withLock { store in
            if store === full || store.isFull {
                store = ConstraintStore(automaton, vocabulary, limits)
            }
            return store
        }
    }
}

/// The masks of a constraint behind a lock.
final class ConstraintStore: Sendable {
    private let vocabulary: ConstraintVocabulary
    private let masks: Mutex<TokenMasks>
    /// The mask after the end.
    let endTokens: [UInt64]

    init(_ automaton: Automaton, _ vocabulary: ConstraintVocabulary, _ limits: ConstraintLimits) {
        self.vocabulary = vocabulary
        masks = Mutex(TokenMasks(automaton, vocabulary, limits))
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

    func allowed(_ configuration: Int32, tokensLeft: Int) -> [UInt64] {
        masks.withLock { $0.allowed(configuration, tokensLeft: tokensLeft) }
    }

    /// The configuration after a token, and whether the text is finished there.
    func next(_ configuration: Int32, token: Int32) -> (Int32, Bool)? {
        masks.withLock { masks in
            let next = masks.next(configuration, token: token)
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
