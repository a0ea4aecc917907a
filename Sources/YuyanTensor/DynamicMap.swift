/// 256 numbers of `[-1, 1]` that stand for the codes of an 8-bit state, dense around zero.
///
/// Dettmers, "8-Bit Approximations for Parallelism in Deep Learning", arXiv:1511.04561, as used by
/// Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit Optimizers via Block-wise Quantization",
/// arXiv:2110.02861: seven decades, each cut into twice as many equal parts as the one below, a code at
/// the middle of each part; then 0 and 1. The numbers are those of bitsandbytes, bit for bit.
package struct DynamicMap: Sendable {
    /// For numbers of both signs.
    package static let signed = DynamicMap(isSigned: true)
    /// For numbers that are never negative: one more bit for the parts.
    package static let unsigned = DynamicMap(isSigned: false)
    /// Elements that share a scale.
    package static let block = 256

    /// The numbers in ascending order.
    package let values: [Float]
    /// Halfway between neighbours: a number above it belongs to the upper one.
    private let bounds: [Float]
    /// For the upper bits of a number, how many bounds lie below the smallest with these bits.
    private let starts: [UInt8]

    private init(isSigned: Bool) {
        var values: [Float] = [0, 1]
        for decade in 0..<7 {
            let parts = (1 << decade) * (isSigned ? 1 : 2)
            let ends = DynamicMap.evenly(from: 0.1, to: 1, parts: parts)
            // The power of ten in float64, the product rounded to float32.
            let unit = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0][decade]
            for part in 0..<parts {
                let middle = (ends[part] + ends[part + 1]) / 2
                let value = Float(unit) * middle
                values.append(value)
                if isSigned { values.append(-value) }
            }
        }
        values.sort()
        self.values = values
        let bounds = zip(values, values.dropFirst()).map { ($0 + $1) / 2 }
        self.bounds = bounds
        starts = (0..<1 << DynamicMap.keyBits).map { key in
            let lowest = DynamicMap.smallest(key)
            return UInt8(lowest.isNaN ? 0 : bounds.prefix { $0 < lowest }.count)
        }
    }

    /// `parts + 1` numbers, as torch spaces them: from either end to the middle, each rounded once.
    private static func evenly(from start: Float, to end: Float, parts: Int) -> [Float] {
        let step = (end - start) / Float(parts)
        return (0...parts).map { index in
            index < (parts + 1) / 2
                ? start.addingProduct(step, Float(index))
                : end.addingProduct(-step, Float(parts - index))
        }
    }

    // MARK: - Blocks

    private static let keyBits = 14

    /// The least number whose upper bits are `key`.
    private static func smallest(_ key: Int) -> Float {
        let low = UInt32(key) << UInt32(32 - keyBits)
        // Of negative numbers the one with the largest magnitude.
        let isNegative = key >> (keyBits - 1) == 1
        return Float(bitPattern: isNegative ? low | (1 << UInt32(32 - keyBits) - 1) : low)
    }

    /// Rounds up to `block` numbers to codes and returns their scale, the largest magnitude.
    ///
    /// Each number, times the scale's reciprocal, becomes the nearest code; halfway between two, the
    /// lower. A block of zeros has scale 0.
    package func quantize(
        _ x: UnsafePointer<Float>, count: Int, into codes: UnsafeMutablePointer<UInt8>
    ) -> Float {
        var largest: Float = 0
        for i in 0..<count {
            let magnitude = abs(x[i])
            largest = magnitude > largest ? magnitude : largest
        }
        let inverse = 1 / max(largest, 1e-38)
        bounds.withUnsafeBufferPointer { bounds in
            starts.withUnsafeBufferPointer { starts in
                for i in 0..<count {
                    let value = x[i] * inverse
                    let key = Int(value.bitPattern >> UInt32(32 - DynamicMap.keyBits))
                    var code = Int(starts[key])
                    while code < 255 && bounds[code] < value { code += 1 }
                    codes[i] = UInt8(truncatingIfNeeded: code)
                }
            }
        }
        return largest
    }

    /// The numbers of up to `block` codes: `values[code] * scale`, rounded once.
    package func widen(
        _ codes: UnsafePointer<UInt8>, scale: Float, count: Int,
        into x: UnsafeMutablePointer<Float>
    ) {
        values.withUnsafeBufferPointer { values in
            for i in 0..<count { x[i] = values[Int(codes[i])] * scale }
        }
    }
}
