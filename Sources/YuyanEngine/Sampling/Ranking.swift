import YuyanTensor

/// An integer that orders as its float does, with both zeros equal and NaN at the two ends.
///
/// Integer maxima vectorise without the freedom to reorder floats, and they show a NaN.
@inline(__always)
func orderKey(_ value: Float) -> Int32 {
    let bits = Int32(bitPattern: (value + 0).bitPattern)
    return bits ^ ((bits &>> 31) & 0x7FFF_FFFF)
}

/// A number that sorts the best logit first and, among equals, the lowest index first.
@inline(__always)
func rank(_ value: Float, _ index: Int) -> UInt64 {
    let ascending = UInt32(bitPattern: orderKey(value)) ^ 0x8000_0000
    return UInt64(~ascending) << 32 | UInt64(UInt32(truncatingIfNeeded: index))
}

/// The index inside a rank.
@inline(__always)
func index(ofRank rank: UInt64) -> Int { Int(rank & 0xFFFF_FFFF) }

/// The largest logit; ties go to the lowest id.
struct Peak {
    var token: Int
    var logit: Float

    /// - Throws: `.notFinite` on NaN or plus infinity. Minus infinity is a forbidden token.
    init(_ logits: Span<Float>) throws(SamplingError) {
        let block = 512
        var (best, bestStart) = (Int32.min, 0)
        var worst = Int32.max
        for start in stride(from: 0, to: logits.count, by: block) {
            let end = min(start + block, logits.count)
            let keys = logits.withUnsafeBufferPointer {
                LogitRows.keyRange(of: UnsafeBufferPointer(rebasing: $0[start..<end]))
            }
            if keys.highest > best { (best, bestStart) = (keys.highest, start) }
            worst = min(worst, keys.lowest)
        }
        if best >= orderKey(.infinity) || worst < orderKey(-.infinity) {
            for token in 0..<logits.count {
                let value = logits[token]
                if value.isNaN || value == .infinity {
                    throw .notFinite(token: Int32(truncatingIfNeeded: token), value: "\(value)")
                }
            }
        }
        token = bestStart
        while orderKey(logits[token]) != best { token += 1 }
        logit = logits[token]
    }
}

/// The ranks of the `count` best values, in no particular order.
///
/// One pass that remembers the worst value still worth keeping; a buffer of twice the size is
/// cut back by selection when full. O(V + count log(V / count)) in practice, and no sort.
func topRanks(_ count: Int, of values: Span<Float>, buffer ranks: inout [UInt64]) {
    ranks.removeAll(keepingCapacity: true)
    guard count > 0 else { return }
    let capacity = count + max(count, 256)
    var threshold = Int32.min
    for start in stride(from: 0, to: values.count, by: 64) {
        appendRanks(of: values, start..<min(start + 64, values.count), threshold, to: &ranks)
        if ranks.count >= capacity {
            let kept = selectPrefix(&ranks, mass: Double(count)) { _ in 1 }
            ranks.removeSubrange(kept...)
            // Equal values with higher ids are let in again and lose the next selection.
            threshold = orderKey(values[index(ofRank: ranks[kept - 1])])
        }
    }
    if ranks.count > count {
        let kept = selectPrefix(&ranks, mass: Double(count)) { _ in 1 }
        ranks.removeSubrange(kept...)
    }
}

/// Appends the ranks of the values in a range whose order key reaches a threshold.
///
/// Most ranges hold none; that is found in one vectorised pass.
@inline(__always)
func appendRanks(
    of values: Span<Float>, _ range: Range<Int>, _ threshold: Int32, to ranks: inout [UInt64]
) {
    precondition(range.lowerBound >= 0 && range.upperBound <= values.count)
    var high = Int32.min
    for index in range { high = max(high, orderKey(values[unchecked: index])) }
    if high < threshold { return }
    for index in range where orderKey(values[unchecked: index]) >= threshold {
        ranks.append(rank(values[unchecked: index], index))
    }
}

/// Moves the shortest run of lowest ranks that weighs `mass` to the front and returns its length.
///
/// A rank belongs to the run if those before it weigh less than `mass`; the run has at least one
/// and its last is its largest. Quickselect that follows the mass instead of an index: O(n)
/// expected, always the same steps for the same input. Ranks are distinct.
@inline(__always)
func selectPrefix(
    _ ranks: inout [UInt64], mass: Double, weight: (UInt64) -> Double
) -> Int {
    var (low, high, needed) = (0, ranks.count, mass)
    while high - low > 24 {
        let (a, b, c) = (ranks[low], ranks[(low + high) / 2], ranks[high - 1])
        // The median of three distinct ranks leaves at least one on either side.
        let pivot = max(min(a, b), min(max(a, b), c))
        var (split, head) = (low, 0.0)
        for index in low..<high where ranks[index] <= pivot {
            head += weight(ranks[index])
            ranks.swapAt(index, split)
            split += 1
        }
        if head < needed {
            needed -= head
            low = split
        } else {
            high = split
        }
    }
    ranks[low..<high].sort()
    var count = low
    while count < high, needed > 0 {
        needed -= weight(ranks[count])
        count += 1
    }
    return max(count, min(1, ranks.count))
}
