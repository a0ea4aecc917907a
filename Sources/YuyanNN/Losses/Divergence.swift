import YuyanTensor

/// Which of two distributions the expectation is taken under.
package enum DivergenceDirection: Sendable {
    /// `KL(p ‖ q)`: the model's own, as reinforcement learning penalises.
    case underModel
    /// `KL(q ‖ p)`: the reference's, as distillation minimises.
    case underReference
}

/// Divergence `[S]` over the whole vocabulary between the head's distribution `p` and a reference `q`.
///
/// Both rows of logits live a stretch at a time, and are computed again by the backward:
/// `dlogits = dy p ((log p - log q) - KL)` for `KL(p ‖ q)`, `dy (p - q)` for `KL(q ‖ p)`. Sums run over
/// blocks of 256 in index order, each in float64.
///
/// - Parameters:
///   - x: Rows `[S, C]` that the head reads.
///   - reference: Logits or log-probabilities `[n, V]` of a range of the rows; nothing is trained
///     through them.
package func divergence(
    _ x: Tensor, from reference: @escaping (Range<Int>) -> Tensor,
    direction: DivergenceDirection, head: OutputHead, on device: Device
) -> Tensor {
    var found: [Float] = []
    found.reserveCapacity(x.rowCount)
    let isReached = head.forEachChunk(of: x, on: device) { range, logits in
        let other = reference(range)
        found += rowsInParallel(range.count, on: device) { index in
            logits.withRow(index) { p in
                other.withRow(index) { q in
                    Float(DivergenceRow(p, q, direction, on: device).value)
                }
            }
        }
    }
    var out = Tensor(found, shape: [found.count])
    guard let pass = device.training else { return out }
    device.record("divergence", &out, isReached: isReached) { dy, gradients in
        let (dy, device) = (dy.values, gradients.device)
        let dx = head.backward(of: x, wanted: x.source != nil, pass: pass, on: device) {
            range, logits in
            let other = reference(range)
            _ = rowsInParallel(range.count, on: device) { index in
                let factor = Double(dy[range.lowerBound + index])
                logits.withMutableRow(index) { values in
                    values.withUnsafeMutableBufferPointer { p in
                        other.withRow(index) { q in
                            DivergenceRow(UnsafeBufferPointer(p), q, direction, on: device)
                                .writeGradient(over: p, reference: q, factor: factor)
                        }
                    }
                }
                return true
            }
        }
        if let dx { gradients.add(dx, to: x.source) }
    }
    return out
}

/// Two rows of logits and the divergence of their distributions.
private struct DivergenceRow {
    let value: Double
    private let direction: DivergenceDirection
    private let model: LogSoftmax
    private let reference: LogSoftmax

    init(
        _ p: UnsafeBufferPointer<Float>, _ q: UnsafeBufferPointer<Float>,
        _ direction: DivergenceDirection, on device: Device
    ) {
        precondition(p.count == q.count, "\(p.count) and \(q.count) tokens")
        let model = LogSoftmax(of: p, maximum: p[device.argmax(p)])
        let reference = LogSoftmax(of: q, maximum: q[device.argmax(q)])
        let (over, weigher) = direction == .underModel ? (p, model) : (q, reference)
        var (sum, start) = (0.0, 0)
        _ = LogSoftmax(of: over, maximum: weigher.maximum) { _, exponentials in
            var block = 0.0
            for index in 0..<exponentials.count {
                let place = start + index
                let difference =
                    Double(model.logProbability(p[place]))
                    - Double(reference.logProbability(q[place]))
                // An impossible token weighs nothing, whatever the other thinks of it.
                let weight = Double(exponentials[index])
                if weight > 0 {
                    block += weight * (direction == .underModel ? difference : -difference)
                }
            }
            sum += block
            start += exponentials.count
        }
        value = sum / weigher.sum
        self.direction = direction
        self.model = model
        self.reference = reference
    }

    func writeGradient(
        over p: UnsafeMutableBufferPointer<Float>, reference q: UnsafeBufferPointer<Float>,
        factor: Double
    ) {
        var start = 0
        switch direction {
        case .underModel:
            let scale = factor / model.sum
            let differences = p.indices.map {
                Double(model.logProbability(p[$0])) - Double(reference.logProbability(q[$0]))
            }
            _ = LogSoftmax(
                of: UnsafeBufferPointer(p), maximum: model.maximum, keeps: p.baseAddress)
            for index in p.indices {
                let weight = Double(p[index])
                p[index] = weight > 0 ? Float(scale * weight * (differences[index] - value)) : 0
            }
        case .underReference:
            _ = LogSoftmax(
                of: UnsafeBufferPointer(p), maximum: model.maximum, keeps: p.baseAddress)
            _ = LogSoftmax(of: q, maximum: reference.maximum) { _, exponentials in
                for index in 0..<exponentials.count {
                    let (mine, other) = (
                        Double(p[start + index]) / model.sum,
                        Double(exponentials[index]) / reference.sum
                    )
                    p[start + index] = Float(factor * (mine - other))
                }
                start += exponentials.count
            }
        }
    }
}
