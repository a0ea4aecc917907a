import CYuyanKernels

/// `x / sqrt(mean(x²) + epsilon) * weight` along the last axis.
///
/// Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467. `x` is `[..., C]`
/// (or `[..., n * C]`, normalised in pieces of `C`, as QK-norm does per head), `weight` `[C]`.
public func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Float, on device: Device) -> Tensor {
    let width = weight.count
    precondition(width > 0 && x.width.isMultiple(of: width), "\(x.shape) by \(weight.shape)")
    let kernel = device.kernels.table.pointee.rms_norm
    var out = Tensor(uninitialized: x.shape)
    forEachRow(x.count / width, width: width, on: device) { row in
        kernel?(x.pointer + row * width, weight.pointer, epsilon, width, out.pointer + row * width)
    }
    device.record("rmsNorm", &out, from: [x.source, weight.source]) {
        [source = x.source, saved = SavedTensor(x)] in
        { dy, gradients in
            let dx = rmsNormGradient(
                saved.tensor(on: gradients.device), weight: weight, epsilon: epsilon, dy: dy,
                weightGradient: weight.gradientSum, on: gradients.device)
            gradients.add(dx, to: source)
        }
    }
    if device.keepsRecipes {
        let saved = SavedTensor(x)
        out.recipe = Recipe { device in
            rmsNorm(saved.tensor(on: device), weight: weight, epsilon: epsilon, on: device)
        }
    }
    return out
}

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` along the last axis.
///
/// Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450.
public func layerNorm(
    _ x: Tensor, weight: Tensor, bias: Tensor?, epsilon: Float, on device: Device
) -> Tensor {
    precondition(x.width == weight.count, "\(x.shape) by \(weight.shape)")
    let kernel = device.kernels.table.pointee.layer_norm
    var out = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width, on: device) { row in
        kernel?(
            x.pointer + row * x.width, weight.pointer, bias?.pointer, epsilon, x.width,
            out.pointer + row * x.width)
    }
    device.record("layerNorm", &out, from: [x.source, weight.source, bias?.source]) {
        [source = x.source, saved = SavedTensor(x)] in
        { dy, gradients in
            let dx = layerNormGradient(
                saved.tensor(on: gradients.device), weight: weight, epsilon: epsilon, dy: dy,
                weightGradient: weight.gradientSum, biasGradient: bias?.gradientSum,
                on: gradients.device)
            gradients.add(dx, to: source)
        }
    }
    if device.keepsRecipes {
        let saved = SavedTensor(x)
        out.recipe = Recipe { device in
            layerNorm(
                saved.tensor(on: device), weight: weight, bias: bias, epsilon: epsilon, on: device)
        }
    }
    return out
}

extension Tensor {
    /// Where the gradient of a trained vector is summed; nil if it is frozen.
    fileprivate var gradientSum: UnsafeMutablePointer<Float>? {
        guard let parameter, parameter.isTrainable else { return nil }
        return parameter.zeroedAccumulator()
    }
}

/// Calls `body` for every row, on the pool when the rows are work enough for it.
func forEachRow(_ rows: Int, width: Int, on device: Device, _ body: (Int) -> Void) {
    let rowsEach = max(1, 8192 / max(width, 1))
    if rows <= rowsEach {
        for row in 0..<rows { body(row) }
        return
    }
    device.pool.parallel((rows + rowsEach - 1) / rowsEach) { chunk, _ in
        for row in chunk * rowsEach..<min((chunk + 1) * rowsEach, rows) { body(row) }
    }
}
