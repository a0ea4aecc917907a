import TestSupport
import Testing

@testable import YuyanTensor

/// Expects a gradient to be what the operation's own results say: central differences of
/// `sum(dy * forward(x))`, one element of `x` at a time.
///
/// A step of 2⁻⁷ leaves an error of its square times a third derivative, and results that are
/// rounded to float32, about 2⁻²⁴ each, give one of 2⁻¹⁷ times their number's root.
func expectDifferences(
    _ x: [Float], _ shape: [Int], _ dy: Tensor, tolerance: Double = 2e-3,
    _ forward: (Tensor) -> Tensor, gradient: (Tensor) -> Tensor,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let found = gradient(Tensor(x, shape: shape)).values
    let step: Float = 0x1p-7
    let weights = dy.values.map { Double($0) }
    func loss(_ x: [Float]) -> Double {
        zip(forward(Tensor(x, shape: shape)).values, weights).reduce(0) {
            $0 + Double($1.0) * $1.1
        }
    }
    let expected = x.indices.map { index -> Float in
        var (above, below) = (x, x)
        above[index] += step
        below[index] -= step
        return Float(
            (loss(above) - loss(below)) / (Double(above[index]) - Double(below[index])))
    }
    expectClose(
        found, expected, Tolerance(absolute: tolerance, relative: tolerance),
        sourceLocation: sourceLocation)
}
