import CYuyanKernels

/// The sampler's passes over a row of logits, with the best kernels of this processor.
///
/// The bits do not depend on the kernels (docs/numerics.md, "Sampling"), so a sampler need not know
/// the device that computed its logits.
package enum LogitRows {
    private static let best: Kernels? = yk_kernels_for(yk_best_isa()).map { Kernels(table: $0) }

    /// `exp((x - maximum) / divisor)` of every value, into as many places.
    package static func exponentials(
        of x: UnsafeBufferPointer<Float>, minus maximum: Float, over divisor: Float,
        into output: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(output.count >= x.count, "\(output.count) places for \(x.count)")
        guard let from = x.baseAddress, let to = output.baseAddress else { return }
        best?.table.pointee.sampling_exp(from, maximum, divisor, x.count, to)
    }

    /// The least and the greatest of integers that order as the values do, NaN at the two ends.
    package static func keyRange(
        of x: UnsafeBufferPointer<Float>
    ) -> (lowest: Int32, highest: Int32) {
        var range = (lowest: Int32.max, highest: Int32.min)
        if let start = x.baseAddress {
            best?.table.pointee.key_range(start, x.count, &range.lowest, &range.highest)
        }
        return range
    }
}
