import CYuyanKernels

/// How a head's elements are paired for rotation.
public enum RotaryPairing: Sendable, Hashable {
    /// `(i, i + D / 2)`: Hugging Face, GPT-NeoX.
    case halves
    /// `(2i, 2i + 1)`: the original paper, GPT-J.
    case interleaved
}

/// Cosines and sines `[T, R / 2]` for the positions of a batch; `R` is the rotated width.
public struct RotaryTable: Sendable {
    package let cosine: Tensor
    package let sine: Tensor

    package init(cosine: Tensor, sine: Tensor) {
        precondition(cosine.shape == sine.shape, "\(cosine.shape) and \(sine.shape)")
        self.cosine = cosine
        self.sine = sine
    }
}

/// Rotates the first `R` elements of every head of `x` `[T, H * D]` by the angles of its row.
///
/// Su et al., "RoFormer", arXiv:2104.09864.
public func rotated(
    _ x: Tensor, headDimension: Int, table: RotaryTable, pairing: RotaryPairing = .halves,
    on device: Device
) -> Tensor {
    let half = table.cosine.width
    precondition(
        x.rowCount == table.cosine.rowCount && x.width.isMultiple(of: headDimension)
            && 2 * half <= headDimension,
        "\(x.shape) in heads of \(headDimension) by angles \(table.cosine.shape)")
    let kernels = device.kernels.table.pointee
    let kernel = pairing == .halves ? kernels.rope_half : kernels.rope_interleaved
    var out = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width, on: device) { row in
        let start = out.pointer + row * x.width
        start.update(from: x.pointer + row * x.width, count: x.width)
        for head in stride(from: 0, to: x.width, by: headDimension) {
            kernel?(
                start + head, table.cosine.pointer + row * half, table.sine.pointer + row * half,
                2 * half)
        }
    }
    device.record("rotated", &out, from: [x.source]) { [source = x.source] in
        { dy, gradients in
            let dx = rotatedGradient(
                dy, headDimension: headDimension, table: table, pairing: pairing,
                on: gradients.device)
            gradients.add(dx, to: source)
        }
    }
    return out
}
