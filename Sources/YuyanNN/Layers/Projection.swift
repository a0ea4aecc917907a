import YuyanTensor

/// A linear map `[..., in]` to `[..., out]`; what stands behind it is the loader's business.
///
/// Float, block-quantised and (later) low-rank or sharded weights are different projections put
/// into the same layer.
public protocol Projection: AnyObject, Sendable {
    /// Size of the last axis that it takes: the weight's columns.
    var inputWidth: Int { get }
    /// Size of the last axis that it gives: the weight's rows.
    var outputWidth: Int { get }
    /// A weight that may be multiplied together with others of the same input.
    var packedWeight: PackedMatrix? { get }
    /// Turns the packed weight's product into this projection's output (bias, low-rank update).
    func finish(_ product: Tensor, input: Tensor, on device: Device) -> Tensor
    /// Maps `[..., in]` to `[..., out]`: the product and `finish` in one.
    func callAsFunction(_ x: Tensor, on device: Device) -> Tensor
}

/// `y = x Wᵀ + b` with the weight in its stored format.
public final class Linear: Projection {
    let weight: PackedMatrix
    let bias: Tensor?

    /// Takes a weight `[out, in]` and, if there is one, a bias `[out]`.
    public init(weight: PackedMatrix, bias: Tensor? = nil) {
        precondition(bias.map { $0.count == weight.rows } ?? true, "bias of another width")
        self.weight = weight
        self.bias = bias
    }

    /// Columns of the weight `[out, in]`.
    public var inputWidth: Int { weight.columns }
    /// Rows of the weight `[out, in]`.
    public var outputWidth: Int { weight.rows }
    /// Never nil: every product of a stored weight may be shared.
    public var packedWeight: PackedMatrix? { weight }

    /// Adds the bias `[out]` to every row of `[..., out]`; without one, returns the product.
    public func finish(_ product: Tensor, input: Tensor, on device: Device) -> Tensor {
        bias.map { addBias(product, $0, on: device) } ?? product
    }

    /// Maps `[..., in]` to `[..., out]`.
    public func callAsFunction(_ x: Tensor, on device: Device) -> Tensor {
        finish(linear(x, weight, on: device), input: x, on: device)
    }
}

/// Several projections of one input in one pass over the threads.
func project(_ x: Tensor, _ projections: [any Projection], on device: Device) -> [Tensor] {
    let weights = projections.compactMap(\.packedWeight)
    guard weights.count == projections.count else {
        return projections.map { $0(x, on: device) }
    }
    let products = linear(x, weights, on: device)
    return zip(projections, products).map { $0.finish($1, input: x, on: device) }
}
