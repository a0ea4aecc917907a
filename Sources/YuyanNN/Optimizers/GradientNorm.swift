import YuyanTensor

/// What all gradients of a step amount to.
///
/// The sum is in float64 over squares that are exact: 16 chains in each piece of 65 536 elements, a
/// tree over the chains, and a tree over the pieces in the order of parameters. So it depends neither
/// on threads nor on how often the pool was asked (docs/numerics.md, "Gradient norm").
package struct GradientNorm: Sendable, Hashable {
    /// Sum of the squares of every element.
    package let squares: Double
    /// The first parameter with an infinity or NaN in its gradient.
    package let firstNotFinite: String?

    /// Whether every element is a number.
    package var isFinite: Bool { firstNotFinite == nil }

    /// Euclidean length of the gradient times `scale`.
    package func length(scale: Double = 1) -> Double { squares.squareRoot() * scale }

    /// What to multiply gradients by: `scale`, and less if they would be longer than `limit`.
    ///
    /// As PyTorch clips: `limit / (length + 1e-6)`, at most 1. A limit of 0 or nil means none.
    package func gradientScale(scale: Double = 1, limit: Double?) -> Float {
        guard let limit, limit > 0 else { return Float(scale) }
        return Float(scale * min(1, limit / (length(scale: scale) + 1e-6)))
    }
}

/// Measures the gradients of parameters; those without one count as zero.
package func gradientNorm(
    _ parameters: [Parameter], on device: Device
) -> GradientNorm {
    let piece = 1 << 16
    var pieces: [(parameter: Int, range: Range<Int>)] = []
    // Asked for once, here: a gradient may have sums to close.
    let gradients = parameters.map { $0.gradient?.baseAddress }
    for (index, parameter) in parameters.enumerated() where gradients[index] != nil {
        for first in stride(from: 0, to: parameter.storageCount, by: piece) {
            pieces.append((index, first..<min(first + piece, parameter.storageCount)))
        }
    }
    var sums = [Double](repeating: 0, count: pieces.count)
    sums.withUnsafeMutableBufferPointer { buffer in
        guard let sums = buffer.baseAddress else { return }
        device.pool.parallel(pieces.count) { index, _ in
            let (parameter, range) = pieces[index]
            guard let gradient = gradients[parameter] else { return }
            sums[index] = sumOfSquares(gradient + range.lowerBound, count: range.count)
        }
    }
    // Squares of float32 numbers cannot overflow float64, so only what was not finite is not.
    let bad = sums.firstIndex { !$0.isFinite }
    return GradientNorm(
        squares: tree(sums), firstNotFinite: bad.map { parameters[pieces[$0].parameter].name })
}

/// Element `i` goes to chain `i mod 16`; the chains are added as `lane[i] + lane[i + width]`.
private func sumOfSquares(_ x: UnsafePointer<Float>, count: Int) -> Double {
    var lanes = (
        SIMD4<Double>(), SIMD4<Double>(), SIMD4<Double>(), SIMD4<Double>()
    )
    var i = 0
    while i + 16 <= count {
        lanes.0 += squares(x + i)
        lanes.1 += squares(x + i + 4)
        lanes.2 += squares(x + i + 8)
        lanes.3 += squares(x + i + 12)
        i += 16
    }
    var rest = [Double](repeating: 0, count: 16)
    for j in 0..<count - i { rest[j] = Double(x[i + j]) * Double(x[i + j]) }
    lanes.0 += SIMD4(rest[0..<4])
    lanes.1 += SIMD4(rest[4..<8])
    lanes.2 += SIMD4(rest[8..<12])
    lanes.3 += SIMD4(rest[12..<16])
    let four = (lanes.0 + lanes.2) + (lanes.1 + lanes.3)
    return (four.x + four.z) + (four.y + four.w)
}

@inline(__always)
private func squares(_ x: UnsafePointer<Float>) -> SIMD4<Double> {
    let wide = SIMD4(Double(x[0]), Double(x[1]), Double(x[2]), Double(x[3]))
    return wide * wide
}

/// Adds neighbours, then their sums, until one is left; 0 of nothing.
private func tree(_ values: [Double]) -> Double {
    var level = values
    while level.count > 1 {
        level = stride(from: 0, to: level.count, by: 2).map {
            $0 + 1 < level.count ? level[$0] + level[$0 + 1] : level[$0]
        }
    }
    return level.first ?? 0
}
