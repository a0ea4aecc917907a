/// How a loss falls with the margin by which the chosen answer wins.
enum MarginCurve: Sendable, Hashable {
    /// `-log sigmoid(x)`, of labels of which the share `smoothing` is taken to be wrong.
    case logistic(smoothing: Double)
    /// The same without the bias that wrong labels bring: `smoothing` is below a half.
    case debiasedLogistic(smoothing: Double)
    /// `max(0, 1 - x)`.
    case hinge
    /// `(x - target)^2`.
    case squared(target: Double)

    /// The value at a margin, and the derivative by it.
    func evaluated(_ margin: Double) -> (value: Double, derivative: Double) {
        switch self {
        case .logistic(let smoothing):
            return binaryCrossEntropy(margin, label: 1 - smoothing)
        case .debiasedLogistic(let smoothing):
            precondition(
                smoothing >= 0 && smoothing < 0.5, "label smoothing \(smoothing) of 0 ..< 0.5")
            let scale = 1 / (1 - 2 * smoothing)
            let (right, wrong) = (-logSigmoid(margin), -logSigmoid(-margin))
            return (
                scale * ((1 - smoothing) * right - smoothing * wrong),
                scale * (smoothing * -sigmoid(margin) - (1 - smoothing) * sigmoid(-margin))
            )
        case .hinge:
            return margin < 1 ? (1 - margin, -1) : (0, 0)
        case .squared(let target):
            return ((margin - target) * (margin - target), 2 * (margin - target))
        }
    }
}
