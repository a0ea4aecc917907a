/// The bit patterns of some floats, for exact comparison: zeros differ by sign, NaN equals NaN.
///
/// Not a collection, because the testing library searches the smallest edit between two unequal
/// collections, which for thousands of numbers takes minutes.
package struct FloatBits: Hashable, Sendable, CustomStringConvertible {
    package let patterns: [UInt32]

    /// Every NaN counts as the same: processors choose its payload.
    package init(_ values: some Sequence<Float>) {
        patterns = values.map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern }
    }

    package var description: String {
        let first = patterns.prefix(4).map { "\(Float(bitPattern: $0))" }.joined(separator: ", ")
        return "\(patterns.count) floats [\(first)...]"
    }
}
