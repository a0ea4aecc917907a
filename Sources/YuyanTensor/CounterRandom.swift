/// Random numbers that are a pure function of seed, stream and position.
///
/// Philox4x32 with ten rounds: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
/// 1, 2, 3", SC 2011. The key is the seed; the counter is `(position, stream)`, each 64 bits, low
/// word first, as CUDA's generator lays out offset and subsequence. There is no state, so a number
/// does not depend on what was drawn before it, on the batch or on the thread. One position yields
/// 128 bits; `word`, `uniform` and `normal` read the same bits, so draw one of them per position.
public struct CounterRandom: Hashable, Sendable {
    /// The key of the generator.
    public let seed: UInt64

    /// Makes the generator of one seed.
    public init(seed: UInt64) {
        self.seed = seed
    }

    /// Uniform in `[0, 1)`, one of 2^24 equally spaced values.
    public func uniform(stream: UInt64 = 0, position: UInt64) -> Float {
        Float(block(stream: stream, position: position).x >> 8) * 0x1p-24
    }

    /// Uniform in `[0, 1)`, one of 2^53 equally spaced values.
    public func uniformDouble(stream: UInt64 = 0, position: UInt64) -> Double {
        Double(word64(stream: stream, position: position) >> 11) * 0x1p-53
    }

    /// Standard normal, by the transform of Box and Muller (1958) from two 53-bit uniforms.
    ///
    /// The logarithm and the cosine are our own, so the bits do not depend on the C library.
    public func normal(stream: UInt64 = 0, position: UInt64) -> Float {
        let words = block(stream: stream, position: position)
        let first = UInt64(words.y) << 32 | UInt64(words.x)
        let second = UInt64(words.w) << 32 | UInt64(words.z)
        let radius = (-2 * deterministicLog(Double((first >> 11) + 1) * 0x1p-53)).squareRoot()
        return Float(radius * cosineOfTurns(Double(second >> 11) * 0x1p-53))
    }

    /// The first 32 random bits of a position.
    public func word32(stream: UInt64 = 0, position: UInt64) -> UInt32 {
        block(stream: stream, position: position).x
    }

    /// The first 64 random bits of a position.
    public func word64(stream: UInt64 = 0, position: UInt64) -> UInt64 {
        let words = block(stream: stream, position: position)
        return UInt64(words.y) << 32 | UInt64(words.x)
    }

    /// All 128 random bits of a position.
    public func block(stream: UInt64 = 0, position: UInt64) -> SIMD4<UInt32> {
        philox4x32(
            counter: SIMD4(
                UInt32(truncatingIfNeeded: position), UInt32(truncatingIfNeeded: position >> 32),
                UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)),
            key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    }
}

/// Ten rounds of Philox4x32 on one counter.
package func philox4x32(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (x, k) = (counter, key)
    for _ in 0..<10 {
        let first = UInt64(0xD251_1F53) * UInt64(x.x)
        let second = UInt64(0xCD9E_8D57) * UInt64(x.z)
        x = SIMD4(
            UInt32(truncatingIfNeeded: second >> 32) ^ x.y ^ k.x,
            UInt32(truncatingIfNeeded: second),
            UInt32(truncatingIfNeeded: first >> 32) ^ x.w ^ k.y,
            UInt32(truncatingIfNeeded: first))
        k = SIMD2(k.x &+ 0x9E37_79B9, k.y &+ 0xBB67_AE85)
    }
    return x
}

/// Natural logarithm of a positive finite number, with the same bits on every machine.
///
/// The significand is brought into `[sqrt(1/2), sqrt(2))` and `log m = 2 atanh((m-1)/(m+1))` is
/// summed as a series; separate multiplications and additions only. Error below 2 ulp.
package func deterministicLog(_ x: Double) -> Double {
    precondition(x > 0 && x < .infinity, "logarithm of \(x); pass a positive finite number")
    var exponent = Double(x.exponent)
    var significand = x.significand
    if significand > 1.414_213_562_373_095_1 {
        significand *= 0.5
        exponent += 1
    }
    let z = (significand - 1) / (significand + 1)
    let square = z * z
    var series = 0.0
    for divisor in stride(from: 23.0, through: 3.0, by: -2.0) {
        series = (series + 1 / divisor) * square
    }
    // ln 2 in two parts: the first has 32 bits, so its product with the exponent is exact.
    let low = exponent * 1.908_214_929_270_587_7e-10 + 2 * z * series
    return exponent * 0.693_147_180_369_123_82 + (low + 2 * z)
}

/// `cos(2 pi turns)` for `turns` in `[0, 1)`, with the same bits on every machine.
package func cosineOfTurns(_ turns: Double) -> Double {
    let quadrant = (turns * 4).rounded(.toNearestOrEven)
    // Exact: both numbers are multiples of 2^-53 and the difference is small.
    let angle = (turns - quadrant * 0.25) * (2 * Double.pi)
    let square = angle * angle
    switch Int(quadrant) & 3 {
    case 0: return cosineSeries(square)
    case 1: return -(angle * sineSeries(square))
    case 2: return -cosineSeries(square)
    default: return angle * sineSeries(square)
    }
}

/// Taylor series of `cos a` in the square of `a`, for `a` up to pi / 4.
private func cosineSeries(_ square: Double) -> Double {
    var sum = 1.0
    for n in stride(from: 16.0, through: 2.0, by: -2.0) {
        sum = 1 - sum * square / (n * (n - 1))
    }
    return sum
}

/// Taylor series of `sin a / a` in the square of `a`, for `a` up to pi / 4.
private func sineSeries(_ square: Double) -> Double {
    var sum = 1.0
    for n in stride(from: 17.0, through: 3.0, by: -2.0) {
        sum = 1 - sum * square / (n * (n - 1))
    }
    return sum
}
