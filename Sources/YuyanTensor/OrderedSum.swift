/// Numbers per block of a sum; part of the definition of every sum over a vocabulary.
package let sumBlock = 256

/// The sum of at most one block, in a fixed order.
///
/// Element i is added to float32 lane i mod 8 in index order; the lanes are then added as
/// `((0+4) + (2+6)) + ((1+5) + (3+7))`. Sums over more than one block add the block sums in index
/// order in float64. So the result depends on nothing but the numbers.
package func blockSum(_ values: Span<Float>, _ range: Range<Int>) -> Float {
    precondition(range.lowerBound >= 0 && range.upperBound <= values.count)
    var lanes = SIMD8<Float>.zero
    var index = range.lowerBound
    while index + 8 <= range.upperBound {
        lanes += SIMD8(
            values[unchecked: index], values[unchecked: index + 1],
            values[unchecked: index + 2], values[unchecked: index + 3],
            values[unchecked: index + 4], values[unchecked: index + 5],
            values[unchecked: index + 6], values[unchecked: index + 7])
        index += 8
    }
    for lane in 0..<(range.upperBound - index) { lanes[lane] += values[unchecked: index + lane] }
    let four = lanes.lowHalf + lanes.highHalf
    return (four.x + four.z) + (four.y + four.w)
}

/// The sum of all values in the order that `blockSum` documents, and of each block.
package func orderedSum(_ array: [Float], blocks: inout [Double]) -> Double {
    let values = array.span
    blocks.removeAll(keepingCapacity: true)
    var total = 0.0
    for start in stride(from: 0, to: values.count, by: sumBlock) {
        let sum = Double(blockSum(values, start..<min(start + sumBlock, values.count)))
        blocks.append(sum)
        total += sum
    }
    return total
}
