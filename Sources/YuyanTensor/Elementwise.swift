import CYuyanKernels

/// `a + b`, element by element.
public func add(_ a: Tensor, _ b: Tensor, on device: Device) -> Tensor {
    precondition(a.shape == b.shape, "\(a.shape) plus \(b.shape)")
    let kernel = device.kernels.table.pointee.add
    let out = Tensor(uninitialized: a.shape)
    forEachRow(a.rowCount, width: a.width, on: device) { row in
        let at = row * a.width
        kernel?(a.pointer + at, b.pointer + at, a.width, out.pointer + at)
    }
    return out
}

/// `x + bias`, the bias `[C]` added to every row of `x` `[..., C]`.
public func addBias(_ x: Tensor, _ bias: Tensor, on device: Device) -> Tensor {
    precondition(x.width == bias.count, "\(x.shape) plus bias \(bias.shape)")
    let kernel = device.kernels.table.pointee.add
    let out = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width, on: device) { row in
        let at = row * x.width
        kernel?(x.pointer + at, bias.pointer, x.width, out.pointer + at)
    }
    return out
}

/// `silu(gate) * up`, element by element.
///
/// Shazeer, "GLU Variants Improve Transformer", arXiv:2002.05202.
public func swiglu(gate: Tensor, up: Tensor, on device: Device) -> Tensor {
    precondition(gate.shape == up.shape, "\(gate.shape) gates \(up.shape)")
    let kernel = device.kernels.table.pointee.swiglu
    let out = Tensor(uninitialized: gate.shape)
    forEachRow(gate.rowCount, width: gate.width * 4, on: device) { row in
        let at = row * gate.width
        kernel?(gate.pointer + at, up.pointer + at, gate.width, out.pointer + at)
    }
    return out
}

/// Softmax along the last axis.
public func softmax(_ x: Tensor, on device: Device) -> Tensor {
    let kernel = device.kernels.table.pointee.softmax
    let out = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width * 4, on: device) { row in
        kernel?(x.pointer + row * x.width, x.width, out.pointer + row * x.width)
    }
    return out
}

extension Device {
    /// Index of the largest value, the lowest of equals.
    package func argmax(_ x: UnsafeBufferPointer<Float>) -> Int {
        guard let start = x.baseAddress else { preconditionFailure("argmax of nothing") }
        return kernels.table.pointee.argmax(start, x.count)
    }

    /// The largest value and the sum of `exp(x - largest)`, from which log-softmax follows.
    ///
    /// The sum runs in 16 interleaved chains and a fixed tree.
    package func sumOfExponentials(_ x: UnsafeBufferPointer<Float>) -> (largest: Float, sum: Float)
    {
        guard let start = x.baseAddress else { preconditionFailure("log-softmax of nothing") }
        let largest = kernels.table.pointee.maximum(start, x.count)
        return (largest, kernels.table.pointee.sum_exp(start, largest, x.count))
    }

    /// `exp` of every value, by the project's own polynomial.
    package func exponential(_ x: [Float]) -> [Float] {
        [Float](unsafeUninitializedCapacity: x.count) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            x.withUnsafeBufferPointer {
                kernels.table.pointee.exponential($0.baseAddress, x.count, start)
            }
            count = x.count
        }
    }
}

/// Some rows of `x` `[T, C]`, in the order given.
public func gathered(_ x: Tensor, rows: [Int]) -> Tensor {
    let out = Tensor(uninitialized: [rows.count, x.width])
    for (index, row) in rows.enumerated() {
        precondition(row >= 0 && row < x.rowCount, "row \(row) of \(x.shape)")
        (out.pointer + index * x.width).update(from: x.pointer + row * x.width, count: x.width)
    }
    return out
}
