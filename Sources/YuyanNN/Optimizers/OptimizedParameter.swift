/// What an optimiser needs of a parameter: two flat spans, whatever layout they are in.
///
/// Updates are elementwise, so neither shape nor layout matters to them; padding has zero values and
/// zero gradients and stays zero.
package protocol OptimizedParameter: AnyObject {
    /// The Hugging Face name, unique among the parameters of a model.
    var name: String { get }
    /// Sizes as in a checkpoint, `[out, in]` for a matrix.
    var shape: [Int] { get }
    /// Elements of each span, padding included.
    var elementCount: Int { get }
    /// The weights.
    var values: UnsafeMutablePointer<Float> { get }
    /// Their gradient, or nil if none has reached this parameter.
    var gradient: UnsafeMutablePointer<Float>? { get }
}
