import YuyanTensor

/// The upper half of a float32.
package struct BFloat16: Hashable, Sendable {
    package let bitPattern: UInt16

    package init(bitPattern: UInt16) { self.bitPattern = bitPattern }

    /// To nearest, ties to even, as PyTorch converts; beyond the range to infinity.
    package init(nearest value: Float) {
        let bits = value.bitPattern
        bitPattern =
            value.isNaN
            ? 0x7FC0
            : UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    /// Up or down at random, with the chances that make the mean the value itself.
    ///
    /// Gupta et al., "Deep Learning with Limited Numerical Precision", arXiv:1502.02551.
    ///
    /// - Parameter word: 16 uniformly random bits.
    package init(_ value: Float, random word: UInt16) {
        if !value.isFinite {
            self.init(nearest: value)
        } else {
            self.init(
                bitPattern: UInt16(
                    truncatingIfNeeded: (value.bitPattern &+ UInt32(word)) >> 16))
        }
    }

    /// The value, exactly.
    package var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }
}

/// How weights are stored after a step.
package enum WeightRounding: Sendable, Hashable {
    /// In float32, as the rule left them.
    case none
    /// Rounded to bfloat16; the optimiser keeps them in float32 besides and goes on from there.
    case bfloat16Masters
    /// As `bfloat16Masters`, in float16: for a `LossScaler` to look after.
    case float16Masters
    /// Rounded to bfloat16 at random, with nothing kept: small steps count on average.
    ///
    /// The random bits of an element depend on seed, step, parameter and place only.
    case bfloat16Stochastic(CounterRandom)

    var keepsMasters: Bool { self == .bfloat16Masters || self == .float16Masters }
}

/// Rounds a stretch of weights at random; element `i` takes 16-bit word `i mod 8` of position `i / 8`.
func roundStochastically(
    _ values: UnsafeMutablePointer<Float>, _ range: Range<Int>, _ random: CounterRandom,
    stream: UInt64
) {
    precondition(range.lowerBound.isMultiple(of: 8), "a stretch starts inside of a position")
    for first in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
        let words = random.block(stream: stream, position: UInt64(first / 8))
        for i in first..<min(first + 8, range.upperBound) {
            let word = words[(i - first) / 2] >> UInt32((i - first) % 2 * 16)
            values[i] =
                BFloat16(values[i], random: UInt16(truncatingIfNeeded: word)).float
        }
    }
}
