import Testing

/// How far two numbers may be apart: `absolute + relative * |expected|`.
package struct Tolerance: Sendable, CustomStringConvertible {
    package let absolute: Double
    package let relative: Double

    package init(absolute: Double = 0, relative: Double = 0) {
        self.absolute = absolute
        self.relative = relative
    }

    /// What rounding explains when both sides sum `sumLength` products in different orders.
    ///
    /// Errors of a chain of `n` float32 additions grow like `sqrt(n)` times the rounding unit; the
    /// factor 4 leaves room for the worst of many elements.
    ///
    /// - Parameters:
    ///   - sumLength: Additions per element.
    ///   - magnitude: The size of a typical element, for the absolute part.
    package init(sumLength: Int, magnitude: Double = 1) {
        let unit = Double(Float.ulpOfOne) * 4 * Double(max(1, sumLength)).squareRoot()
        self.init(absolute: unit * magnitude, relative: unit)
    }

    /// Both sides must have the same bits, or both be NaN.
    package static let exact = Tolerance()

    package var description: String { "\(absolute) + \(relative) * |expected|" }
}

/// Expects every element to be close, and reports the worst one.
///
/// NaN is close to NaN only, an infinity to itself only. Arrays of different lengths differ.
package func expectClose<Number: BinaryFloatingPoint & Sendable>(
    _ found: [Number], _ expected: [Number], _ tolerance: Tolerance = .exact,
    _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    if let difference = worstDifference(found, expected, tolerance) {
        Issue.record(
            "\(what.isEmpty ? "" : what + ": ")\(difference)", sourceLocation: sourceLocation)
    }
}

/// A description of the element that is furthest beyond `tolerance`, or `nil` if none is.
package func worstDifference<Number: BinaryFloatingPoint>(
    _ found: [Number], _ expected: [Number], _ tolerance: Tolerance
) -> String? {
    guard found.count == expected.count else {
        return "\(found.count) elements, expected \(expected.count)"
    }
    var worst: (excess: Double, index: Int)?
    var failures = 0
    for index in found.indices {
        let excess = excess(Double(found[index]), Double(expected[index]), tolerance)
        guard excess > 1 else { continue }
        failures += 1
        if excess > worst?.excess ?? 0 { worst = (excess, index) }
    }
    guard let worst else { return nil }
    return "\(failures) of \(found.count) elements differ; worst is [\(worst.index)]: "
        + "\(found[worst.index]), expected \(expected[worst.index]), "
        + "\(worst.excess) times the tolerance \(tolerance)"
}

/// The distance in units of the tolerance.
private func excess(_ found: Double, _ expected: Double, _ tolerance: Tolerance) -> Double {
    if found == expected || found.isNaN && expected.isNaN { return 0 }
    guard found.isFinite, expected.isFinite else { return .infinity }
    let allowed = tolerance.absolute + tolerance.relative * abs(expected)
    return allowed > 0 ? abs(found - expected) / allowed : .infinity
}
