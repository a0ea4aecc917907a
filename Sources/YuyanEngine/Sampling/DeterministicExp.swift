import YuyanTensor

/// `e` to the power `x`, with the same bits on every machine.
///
/// Reduction by two-part `ln 2` (Cody and Waite, "Software Manual for the Elementary Functions",
/// 1980) and a polynomial of degree six. Every product and sum is rounded by itself: a fused
/// multiply-add is a library call on baseline x86-64 and made the loop ten times slower. Its twin
/// in C, for whole rows, is therefore compiled without contraction. Error below 1 ulp; 0 below -104,
/// infinity above 88.73, NaN for NaN; subnormal results are not flushed.
@inline(__always)
package func deterministicExp(_ x: Float) -> Float {
    // 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
    let magic: Float = 12_582_912
    var bounded = x < -104 ? -104 : x
    bounded = bounded > 89 ? 89 : bounded
    let shifted = bounded * 1.442_695_04 + magic
    let n = shifted - magic
    // 355/512 has nine bits, so its product with n is exact.
    let r = (bounded - n * 0.693_359_375) + n * 2.121_944_4e-4
    var p: Float = 1.987_569_15e-4
    p = p * r + 1.398_199_95e-3
    p = p * r + 8.333_451_9e-3
    p = p * r + 4.166_579_6e-2
    p = p * r + 0.166_666_65
    p = p * r + 0.5
    let power = 1 + (r + (r * r) * p)
    // Two factors, because 2^n alone overflows at the top and underflows at the bottom.
    let exponent = Int32(bitPattern: shifted.bitPattern) &- Int32(bitPattern: magic.bitPattern)
    let half = exponent &>> 1
    return power * powerOfTwo(half) * powerOfTwo(exponent &- half)
}

/// `exp((x - maximum) / divisor)` of a run of values, written from the start of `output`.
///
/// The kernel of the processor's instruction set; the same bits as `deterministicExp` each.
func exponentiate(
    _ values: Span<Float>, _ range: Range<Int>, minus maximum: Float, over divisor: Float,
    into output: inout MutableSpan<Float>
) {
    precondition(range.lowerBound >= 0 && range.upperBound <= values.count)
    precondition(range.count <= output.count)
    values.withUnsafeBufferPointer { source in
        output.withUnsafeMutableBufferPointer { destination in
            LogitRows.exponentials(
                of: UnsafeBufferPointer(rebasing: source[range]), minus: maximum, over: divisor,
                into: destination)
        }
    }
}

@inline(__always)
private func powerOfTwo(_ exponent: Int32) -> Float {
    Float(bitPattern: UInt32(bitPattern: (exponent &+ 127) &<< 23))
}
