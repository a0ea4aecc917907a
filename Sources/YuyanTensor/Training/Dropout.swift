/// Sets elements of `x` `[T, C]` to zero with probability `p`, and divides the others by `1 - p`.
///
/// Srivastava et al., "Dropout", JMLR 15 (2014). The number of an element is a function of the
/// run's seed, `stream` and the token's place in the run, so it is the same when a pass is computed
/// again, cut otherwise, or resumed. Four neighbours share a block of random bits, 32 each. Without a
/// training pass `x` itself is returned.
///
/// - Parameters:
///   - stream: Number of the module; two dropouts of one stream would drop alike.
///   - rows: For each row of `x`, its row in the pass; nil if they are all rows in order.
package func dropout(
    _ x: Tensor, probability p: Float, stream: UInt64, rows: [Int]? = nil, on device: Device
) -> Tensor {
    precondition(p >= 0 && p < 1, "a probability of \(p)")
    guard let training = device.training, p > 0 else { return x }
    let mask = DropoutMask(
        numbers: training.dropout, stream: stream, probability: p, rows: rows)
    var out = mask.applied(to: x, on: device)
    device.record("dropout", &out, from: [x.source]) { [source = x.source] in
        { dy, gradients in
            gradients.add(mask.applied(to: dy, on: gradients.device), to: source)
        }
    }
    if device.keepsRecipes {
        let saved = SavedTensor(x)
        out.recipe = Recipe { mask.applied(to: saved.tensor(on: $0), on: $0) }
    }
    return out
}

/// Which elements are dropped; a few words, whatever the tensor's size.
private struct DropoutMask: Sendable {
    let numbers: DropoutNumbers
    let stream: UInt64
    let probability: Float
    let rows: [Int]?

    func applied(to x: Tensor, on device: Device) -> Tensor {
        let out = Tensor(uninitialized: x.shape)
        let width = x.width
        let factor = 1 / (1 - probability)
        let threshold = UInt32(min(Double(probability) * 0x1p32, 0x1p32 - 1))
        let blocks = UInt64((width + 3) / 4)
        forEachRow(x.rowCount, width: 16 * width, on: device) { index in
            let row = numbers.token(ofRow: rows?[index] ?? index)
            let (from, to) = (x.pointer + index * width, out.pointer + index * width)
            for first in stride(from: 0, to: width, by: 4) {
                let words = numbers.random.block(
                    stream: stream, position: row * blocks + UInt64(first / 4))
                for lane in 0..<min(4, width - first) {
                    to[first + lane] = words[lane] < threshold ? 0 : from[first + lane] * factor
                }
            }
        }
        return out
    }
}
