/// A request or a model that cannot be sampled from.
public enum SamplingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A field of the parameters is out of its range.
    case parameter(name: String, value: String, expected: String)
    /// The model, or a penalty on its output, gave NaN or plus infinity for this token.
    case notFinite(token: Int32, value: String)
    /// Every logit is minus infinity before the sampler forbids anything itself.
    case noCandidates(vocabularySize: Int)

    /// One line: what, where, what was expected, what to try.
    public var description: String {
        switch self {
        case .parameter(let name, let value, let expected):
            "sampling parameter '\(name)' is \(value); expected \(expected)"
        case .notFinite(let token, let value):
            "the logit of token \(token) is \(value), expected a finite number; "
                + "is the checkpoint damaged, or a weight out of range?"
        case .noCandidates(let vocabularySize):
            "all \(vocabularySize) logits are minus infinity, so no token can be chosen; "
                + "does a constraint or logitBias forbid every token?"
        }
    }
}
