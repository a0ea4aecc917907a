/// Dynamic loss scaling for half precision: large until something overflows, then half of that.
///
/// Micikevicius et al., "Mixed Precision Training", arXiv:1710.03740, with the rules of PyTorch's
/// `GradScaler`: a step whose gradients overflow is skipped and the scale multiplied by `backoff`;
/// after `interval` steps in a row without one it is multiplied by `growth`, unless it would overflow.
package struct LossScaler: Sendable, Hashable {
    /// What the loss is multiplied by.
    package private(set) var scale: Float
    /// Steps without overflow since the last change of the scale.
    package private(set) var growthTracker: Int
    /// Steps that were skipped.
    package private(set) var skippedSteps: Int
    package let growth: Double
    package let backoff: Double
    package let interval: Int

    /// - Throws: `OptimizerError.badSetting` on a factor that does not grow, or does not shrink.
    package init(
        scale: Float = 65536, growth: Double = 2, backoff: Double = 0.5, interval: Int = 2000,
        growthTracker: Int = 0, skippedSteps: Int = 0
    ) throws(OptimizerError) {
        guard scale > 0, scale.isFinite else {
            throw .badSetting(name: "scale", found: "\(scale)", expected: "a number above 0")
        }
        guard growth > 1, growth.isFinite else {
            throw .badSetting(name: "growth", found: "\(growth)", expected: "a number above 1")
        }
        guard backoff > 0, backoff < 1 else {
            throw .badSetting(name: "backoff", found: "\(backoff)", expected: "a number in (0, 1)")
        }
        guard interval > 0 else {
            throw .badSetting(name: "interval", found: "\(interval)", expected: "at least 1")
        }
        self.scale = scale
        self.growth = growth
        self.backoff = backoff
        self.interval = interval
        self.growthTracker = growthTracker
        self.skippedSteps = skippedSteps
    }

    /// What gradients of the scaled loss are multiplied by to be those of the loss.
    package var inverse: Float { Float(1 / Double(scale)) }

    /// Takes note of a step.
    ///
    /// - Parameter overflowed: Whether some gradient was infinite or NaN.
    /// - Returns: Whether the optimiser may take the step.
    package mutating func update(overflowed: Bool) -> Bool {
        if overflowed {
            scale = Float(Double(scale) * backoff)
            growthTracker = 0
            skippedSteps += 1
            return false
        }
        growthTracker += 1
        if growthTracker == interval {
            let grown = Float(Double(scale) * growth)
            if grown.isFinite { scale = grown }
            growthTracker = 0
        }
        return true
    }
}

/// Rounds to float16 and back, ties to even: beyond the range to infinity, where a scaler sees it.
package func roundedToHalf(_ values: UnsafeMutableBufferPointer<Float>) {
    for index in values.indices { values[index] = Float(Float16(values[index])) }
}
