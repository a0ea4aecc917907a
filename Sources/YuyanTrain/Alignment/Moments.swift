/// Number, mean and sample variance of numbers, summed in their order in two passes.
package struct Moments: Sendable, Hashable {
    package let count: Int
    /// 0 of no numbers.
    package let mean: Double
    /// The sum of squared differences over `count - 1` (Bessel's correction, as PyTorch's `std`); 0 of
    /// fewer than two numbers.
    package let variance: Double

    package var deviation: Double { variance.squareRoot() }

    package init(_ values: some Collection<Double>) {
        count = values.count
        let mean = count == 0 ? 0 : values.reduce(0, +) / Double(count)
        self.mean = mean
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        variance = count < 2 ? 0 : squares / Double(count - 1)
    }
}
