import CYuyanKernels

/// The gradient of `rmsNorm`: of its input, and of its weight if `weightGradient` is given.
///
/// `x` and `dy` are `[..., C]`, or `[..., n * C]` normalised in pieces of `C`; `weight` is `[C]`. The
/// weight's gradient `[C]` is added to, over rows (and pieces) in order.
package func rmsNormGradient(
    _ x: Tensor, weight: Tensor, epsilon: Float, dy: Tensor,
    weightGradient: UnsafeMutablePointer<Float>?, on device: Device
) -> Tensor {
    let width = weight.count
    precondition(
        width > 0 && x.width.isMultiple(of: width) && x.shape == dy.shape,
        "\(x.shape), \(dy.shape) by \(weight.shape)")
    let kernels = device.kernels.table.pointee
    let dx = Tensor(uninitialized: x.shape)
    let rows = x.count / width
    let reciprocals = Tensor(uninitialized: [rows])
    forEachRow(rows, width: 2 * width, on: device) { row in
        let at = row * width
        kernels.rms_norm_gradient(
            x.pointer + at, weight.pointer, epsilon, dy.pointer + at, width, dx.pointer + at,
            reciprocals.pointer + row)
    }
    if let weightGradient {
        forEachStripe(width, rows: rows, on: device) { columns in
            let at = columns.lowerBound
            kernels.norm_weight_gradient(
                x.pointer + at, dy.pointer + at, width, nil, reciprocals.pointer, rows,
                columns.count, weightGradient + at)
        }
    }
    return dx
}

/// The gradient of `layerNorm`: of its input, and of weight and bias if their places are given.
///
/// `x` and `dy` are `[..., C]`; the gradients `[C]` are added to, over rows in order.
package func layerNormGradient(
    _ x: Tensor, weight: Tensor, epsilon: Float, dy: Tensor,
    weightGradient: UnsafeMutablePointer<Float>?, biasGradient: UnsafeMutablePointer<Float>?,
    on device: Device
) -> Tensor {
    let width = weight.count
    precondition(
        x.width == width && x.shape == dy.shape, "\(x.shape), \(dy.shape) by \(weight.shape)")
    let kernels = device.kernels.table.pointee
    let dx = Tensor(uninitialized: x.shape)
    let rows = x.rowCount
    let means = Tensor(uninitialized: [rows])
    let reciprocals = Tensor(uninitialized: [rows])
    forEachRow(rows, width: 3 * width, on: device) { row in
        let at = row * width
        kernels.layer_norm_gradient(
            x.pointer + at, weight.pointer, epsilon, dy.pointer + at, width, dx.pointer + at,
            means.pointer + row, reciprocals.pointer + row)
    }
    if let weightGradient {
        forEachStripe(width, rows: rows, on: device) { columns in
            let at = columns.lowerBound
            kernels.norm_weight_gradient(
                x.pointer + at, dy.pointer + at, width, means.pointer, reciprocals.pointer, rows,
                columns.count, weightGradient + at)
        }
    }
    if let biasGradient { YuyanTensor.biasGradient(dy, into: biasGradient, on: device) }
    return dx
}

/// Adds the rows of `dy` `[..., C]` to `gradient` `[C]`, in order.
package func biasGradient(
    _ dy: Tensor, into gradient: UnsafeMutablePointer<Float>, on device: Device
) {
    let kernel = device.kernels.table.pointee.bias_gradient
    let (rows, width) = (dy.rowCount, dy.width)
    forEachStripe(width, rows: rows, on: device) { columns in
        kernel?(
            dy.pointer + columns.lowerBound, width, rows, columns.count,
            gradient + columns.lowerBound)
    }
}

/// Calls `body` for stripes of columns, each to be reduced over all rows by one worker.
private func forEachStripe(
    _ width: Int, rows: Int, on device: Device, _ body: (Range<Int>) -> Void
) {
    if width * rows <= 1 << 14 { return body(0..<width) }
    let size = 64
    device.pool.parallel((width + size - 1) / size) { stripe, _ in
        body(stripe * size..<min((stripe + 1) * size, width))
    }
}
