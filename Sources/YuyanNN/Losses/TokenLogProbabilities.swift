import YuyanTensor

/// Log-probabilities `[S]` of the targets under the head's logits, for losses that are built on them.
///
/// The engine's bits (`LogSoftmax`). Logits live a stretch of rows at a time and are computed again by
/// the backward: `dlogits = dy (onehot - softmax)`.
///
/// - Parameters:
///   - x: Rows `[S, C]` that the head reads.
///   - targets: A token for each row, `[S]`.
package func tokenLogProbabilities(
    _ x: Tensor, targets: [Int32], head: OutputHead, on device: Device
) -> Tensor {
    precondition(targets.count == x.rowCount, "\(targets.count) targets for \(x.shape)")
    var found: [Float] = []
    found.reserveCapacity(targets.count)
    let isReached = head.forEachChunk(of: x, on: device) { range, logits in
        found += rowsInParallel(range.count, on: device) { index in
            logits.withRow(index) { row in
                LogSoftmax(of: row, maximum: row[device.argmax(row)])
                    .logProbability(row[Int(targets[range.lowerBound + index])])
            }
        }
    }
    var out = Tensor(found, shape: [found.count])
    guard let pass = device.training else { return out }
    device.record("tokenLogProbabilities", &out, isReached: isReached) { dy, gradients in
        let (dy, device) = (dy.values, gradients.device)
        let dx = head.backward(of: x, wanted: x.source != nil, pass: pass, on: device) {
            range, logits in
            _ = rowsInParallel(range.count, on: device) { index in
                let row = range.lowerBound + index
                logits.withMutableRow(index) { values in
                    values.withUnsafeMutableBufferPointer { values in
                        let softmax = LogSoftmax(
                            of: UnsafeBufferPointer(values),
                            maximum: values[device.argmax(UnsafeBufferPointer(values))],
                            keeps: values.baseAddress)
                        let scale = Float(-Double(dy[row]) / softmax.sum)
                        for index in values.indices { values[index] *= scale }
                        values[Int(targets[row])] += dy[row]
                    }
                }
                return true
            }
        }
        if let dx { gradients.add(dx, to: x.source) }
    }
    return out
}
