import YuyanTensor

/// A linear map `[..., in]` to `[..., out]`; what stands behind it is the loader's business.
///
/// Float, block-quantised and (later) sharded weights are different projections put into the same
/// layer. A low-rank update belongs to rows of a batch, so it is an argument and not a projection.
public protocol Projection: AnyObject, Sendable {
    /// Size of the last axis that it takes: the weight's columns.
    var inputWidth: Int { get }
    /// Size of the last axis that it gives: the weight's rows.
    var outputWidth: Int { get }
    /// A weight that may be multiplied together with others of the same input.
    var packedWeight: PackedMatrix? { get }
    /// Where adapters address it; nil if none can.
    var module: Module? { get }
    /// Turns the packed weight's product, already updated, into this projection's output (bias).
    func finish(_ product: Tensor, input: Tensor, on device: Device) -> Tensor
    /// Maps `[..., in]` to `[..., out]`; `adapters` update rows of the product before `finish`.
    func callAsFunction(_ x: Tensor, adapters: AdapterRows?, on device: Device) -> Tensor
}

/// A projection's place in its model.
public struct Module: Sendable, Hashable {
    /// Index into the model's projections, so that a pass looks up updates without names.
    public let number: Int
    /// Path in the Hugging Face layout, such as `model.layers.3.self_attn.q_proj`.
    public let path: String

    /// Numbers count from 0 in the order of `Decoder.projections`.
    public init(number: Int, path: String) {
        self.number = number
        self.path = path
    }
}

/// `y = x Wᵀ + b` with the weight in its stored format.
public final class Linear: Projection {
    let weight: PackedMatrix
    let bias: Tensor?
    /// Where adapters address it; nil if none can.
    public let module: Module?

    /// Takes a weight `[out, in]` and, if there is one, a bias `[out]`.
    public init(weight: PackedMatrix, bias: Tensor? = nil, module: Module? = nil) {
        precondition(bias.map { $0.count == weight.rows } ?? true, "bias of another width")
        self.weight = weight
        self.bias = bias
        self.module = module
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
    public func callAsFunction(
        _ x: Tensor, adapters: AdapterRows? = nil, on device: Device
    ) -> Tensor {
        project(x, [self], adapters: adapters, on: device)[0]
    }
}

/// Several projections of one input in one pass over the threads.
func project(
    _ x: Tensor, _ projections: [any Projection], adapters: AdapterRows?, on device: Device
) -> [Tensor] {
    let weights = projections.compactMap(\.packedWeight)
    guard weights.count == projections.count else {
        return projections.map { $0(x, adapters: adapters, on: device) }
    }
    // An adapter of all rows shares the pass: its inner products are further weights of one input.
    let shared = adapters?.sharedUpdates(of: projections, rowCount: x.rowCount, on: device)
    var products: [Tensor]
    if let shared {
        let terms = shared.map { index, update in
            LowRankTerm(
                target: index, down: update.down, up: update.up, scale: update.scale,
                gain: update.gain)
        }
        products = linear(x, weights, updatedBy: terms, on: device)
    } else {
        products = linear(x, weights, on: device)
        adapters?.update(&products, of: projections, input: x, on: device)
    }
    return zip(projections, products).map { $0.finish($1, input: x, on: device) }
}
