import YuyanTensor

/// Root-mean-square normalisation with a learnt weight; see `rmsNorm`.
public final class RMSNorm: Sendable {
    let weight: Tensor  // [C]
    let epsilon: Float

    public init(weight: Tensor, epsilon: Float) {
        self.weight = weight
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor, on device: Device) -> Tensor {
        rmsNorm(x, weight: weight, epsilon: epsilon, on: device)
    }
}
