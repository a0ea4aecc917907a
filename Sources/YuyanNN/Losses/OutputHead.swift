import YuyanTensor

/// The end of a model as losses see it: maps normalised rows to logits, a few rows at a time.
///
/// Logits of a whole batch would outgrow the model (49 k × 1 k tokens are 200 MB), so no loss holds
/// more than `rowsEach` rows of them.
package struct OutputHead {
    package let vocabularySize: Int
    /// Maps rows `[n, C]`, which are those of `range` among the loss's rows, to `[n, V]`.
    package let logits: (_ x: Tensor, _ range: Range<Int>, _ device: Device) -> Tensor
    /// Memory for logits at a time.
    package var logitBytes = 32 << 20

    package init(
        vocabularySize: Int,
        logits: @escaping (_ x: Tensor, _ range: Range<Int>, _ device: Device) -> Tensor
    ) {
        self.vocabularySize = vocabularySize
        self.logits = logits
    }

    /// Rows of logits that are held at a time.
    var rowsEach: Int { min(256, max(16, logitBytes / (4 * max(vocabularySize, 1)))) }

    /// Stretches of at most `rowsEach` of `count` rows.
    func chunks(_ count: Int) -> [Range<Int>] {
        stride(from: 0, to: count, by: rowsEach).map { $0..<min($0 + rowsEach, count) }
    }

    /// Calls `body` with the logits of each stretch of rows, without keeping any.
    ///
    /// - Returns: Whether a gradient of the logits would reach anything: `x` or the head's weights.
    func forEachChunk(
        of x: Tensor, on device: Device, _ body: (Range<Int>, Tensor) -> Void
    ) -> Bool {
        let probe = Tape(discards: true)
        let quiet = device.training.map { device.training($0.with(probe)) } ?? device
        var isReached = x.source != nil
        for range in chunks(x.rowCount) {
            let logits = logits(x.rows(range), range, quiet)
            isReached = isReached || logits.source != nil
            body(range, logits)
        }
        return isReached
    }

    /// Calls `body` with the logits of each stretch of rows, which it replaces by their gradient,
    /// and passes that back through the head at once.
    ///
    /// The head's parameters receive their gradients stretch by stretch: one chain over rows.
    ///
    /// - Parameters:
    ///   - pass: For random numbers; its tape is not used.
    ///   - wanted: Whether the gradient of `x` is.
    /// - Returns: The gradient of `x`, `[S, C]`; nil if it is not wanted.
    func backward(
        of x: Tensor, wanted: Bool, pass: TrainingPass, on device: Device,
        _ body: (Range<Int>, Tensor) -> Void
    ) -> Tensor? {
        var parts: [Tensor] = []
        for range in chunks(x.rowCount) {
            let tape = Tape()
            let rows = wanted ? tape.leaf(x.rows(range)) : x.rows(range)
            let recording = device.training(pass.with(tape))
            let logits = logits(rows, range, recording)
            body(range, logits)
            guard logits.source != nil else { continue }
            var gradients = tape.backward([(logits, logits)], on: recording)
            if wanted, let gradient = gradients.take(rows) { parts.append(gradient) }
        }
        return wanted && !parts.isEmpty ? Tensor(stacking: parts) : nil
    }
}
