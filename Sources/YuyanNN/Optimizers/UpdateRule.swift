/// The arithmetic of one optimiser.
///
/// A rule is elementwise: element `i` of values and states changes by element `i` of the gradient and
/// of them only, every operation rounded to float32 by itself, without fused multiply-add. So neither
/// threads nor the cut into spans change a bit (docs/numerics.md, "Optimisers").
package protocol UpdateRule: Sendable {
    /// The arrays that it keeps for each parameter; none, one or two.
    var states: [StateArray] { get }
    /// Changes a span's values and states by one step.
    func update(_ span: UpdateSpan, _ step: UpdateStep)
}

/// An array as long as the parameter that a rule keeps between steps, zero before the first.
package struct StateArray: Sendable, Hashable {
    /// What it is called behind the parameter's name in `optimizer.safetensors`.
    package let name: String
    /// Whether its numbers may be negative, which decides how 8 bits are spent.
    package let isSigned: Bool
}

/// Elements of one parameter, and of its states, for a rule to change.
package struct UpdateSpan {
    package let values: UnsafeMutablePointer<Float>
    package let gradient: UnsafePointer<Float>
    /// The first state, if the rule has one; only read and written then.
    package let first: UnsafeMutablePointer<Float>
    /// The second state, likewise.
    package let second: UnsafeMutablePointer<Float>
    package let count: Int
}

/// The scalars of one step of one parameter.
package struct UpdateStep: Sendable {
    /// Counts from 1, for each parameter by itself.
    package let number: Int
    /// Of this parameter: the schedule's rate times the group's factor.
    package let learningRate: Double
    package let weightDecay: Double
    /// What the gradient is multiplied by first: accumulation, clipping and loss scale in one.
    package let gradientScale: Float
}

/// `base` to the power of `exponent`, by squaring: the same bits on every machine.
func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent)
    while rest > 0 {
        if rest & 1 == 1 { result *= square }
        square *= square
        rest >>= 1
    }
    return result
}
