/// A grammar over bytes, compiled for one vocabulary; shared by all requests that use it.
public final class CompiledConstraint: Sendable {
    init() {}

    /// The state before the first token of an answer.
    public func start() -> ConstraintState { ConstraintState() }
}
