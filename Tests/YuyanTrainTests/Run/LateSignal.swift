import Synchronization

/// A signal to stop that comes once somebody has looked for it so often.
final class LateSignal: Sendable {
    private let left: Atomic<Int>

    /// - Parameter looks: In vain; nil for a signal that never comes.
    init(after looks: Int?) { left = Atomic(looks ?? .max) }

    var signal: Int32? { left.wrappingSubtract(1, ordering: .relaxed).newValue < 0 ? 2 : nil }
}
