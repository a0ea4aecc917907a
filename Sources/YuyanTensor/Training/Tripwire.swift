import Synchronization

/// The first operation of a pass that gave a number that is not finite.
public struct NumericalFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// Ways that a pass goes.
    public enum Direction: String, Sendable {
        case forward
        case backward
    }

    /// Name of the operation.
    public let operation: String
    /// The part of the model, such as `model.layers.3`.
    public let place: String
    /// Which way the pass was going.
    public let direction: Direction
    /// Index of the first such element.
    public let element: Int
    /// Its value.
    public let value: Float
    /// How many there are.
    public let count: Int
    /// Sizes of the tensor.
    public let shape: [Int]

    /// The place, the operation, the number, and what to try.
    public var description: String {
        let what = direction == .forward ? "the output of" : "the gradient that reached"
        return "\(place): \(what) '\(operation)' \(shape) has \(count) numbers that are not "
            + "finite, the first is \(value) at element \(element); lower the learning rate, clip "
            + "gradients, or look at the samples of this step"
    }
}

/// Remembers the first operation whose numbers are not finite.
///
/// A pass with a tripwire looks at every tensor, so it is run only after a loss or a gradient
/// turned out not to be finite, to find out where that began.
package final class Tripwire: Sendable {
    private let first = Mutex<NumericalFault?>(nil)

    package init() {}

    /// What was found, if anything.
    package var fault: NumericalFault? { first.withLock { $0 } }

    /// Looks at a parameter's gradient, for overflows in its own sum.
    package func check(_ parameter: Parameter) {
        guard let gradient = parameter.rowMajorGradient() else { return }
        check(
            Tensor(gradient, shape: parameter.shape), operation: "parameter",
            place: parameter.name, .backward)
    }

    func check(
        _ x: Tensor, operation: StaticString, place: String, _ direction: NumericalFault.Direction
    ) {
        let values = UnsafeBufferPointer(start: x.pointer, count: x.count)
        guard let element = values.firstIndex(where: { !$0.isFinite }) else { return }
        let count = values.reduce(0) { $0 + ($1.isFinite ? 0 : 1) }
        first.withLock { first in
            guard first == nil else { return }
            first = NumericalFault(
                operation: "\(operation)", place: place, direction: direction, element: element,
                value: values[element], count: count, shape: x.shape)
        }
    }
}
