import YuyanTensor

/// Root-mean-square normalisation with a learnt weight; see `rmsNorm`.
public final class RMSNorm: Sendable {
    let weight: Tensor  // [C]
    let epsilon: Float

    /// Takes the learnt weight `[C]`; `epsilon` is added to the mean of squares, not to its root.
    public init(weight: Tensor, epsilon: Float) {
        self.weight = weight
        self.epsilon = epsilon
    }

    /// Normalises the last axis in runs of C: `[T, C]`, or heads of width C side by side.
    public func callAsFunction(_ x: Tensor, on device: Device) -> Tensor {
        rmsNorm(x, weight: weight, epsilon: epsilon, on: device)
    }
}
