import TestSupport

extension GoldenFile {
    /// The rows of a float64 array `[B, T]`.
    func rows(_ name: String) throws -> [[Double]] {
        let (values, width) = (try doubles(name), try shape(name)[1])
        return stride(from: 0, to: values.count, by: width).map {
            Array(values[$0..<$0 + width])
        }
    }

    /// The rows of a mask that is stored as zeros and ones.
    func masks(_ name: String) throws -> [[Bool]] { try rows(name).map { $0.map { $0 != 0 } } }
}

/// What the suites of alignment share.
enum Alignment {
    /// What float64 arithmetic in another order explains.
    static let tolerance = Tolerance(absolute: 1e-12, relative: 1e-9)
    /// For shares and means that trl takes in float32.
    static let narrow = Tolerance(absolute: 1e-7, relative: 1e-6)

    /// The slope of a function at `x`, from two points about it.
    static func slope(_ x: Double, of function: (Double) -> Double) -> Double {
        let step = 1e-5
        return (function(x + step) - function(x - step)) / (2 * step)
    }
}
