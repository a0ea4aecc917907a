import CYuyanKernels

/// `a + b`, element by element.
public func add(_ a: Tensor, _ b: Tensor, on device: Device) -> Tensor {
    precondition(a.shape == b.shape, "\(a.shape) plus \(b.shape)")
    let kernel = device.kernels.table.pointee.add
    var out = Tensor(uninitialized: a.shape)
    forEachRow(a.rowCount, width: a.width, on: device) { row in
        let at = row * a.width
        kernel?(a.pointer + at, b.pointer + at, a.width, out.pointer + at)
    }
    device.record("add", &out, from: [a.source, b.source]) {
        [a = a.source, b = b.source] in
        { dy, gradients in
            gradients.add(dy, to: a)
            gradients.add(dy, to: b)
        }
    }
    return out
}

extension Tensor {
    /// `a + b` without recording, in the memory of `a` if nothing else uses it.
    static func sum(_ a: consuming Tensor, _ b: Tensor, on device: Device) -> Tensor {
        precondition(a.count == b.count, "\(a.shape) plus \(b.shape)")
        let isOwn = a.hasUniqueMemory()
        let out = isOwn ? a : Tensor(uninitialized: a.shape)
        let kernel = device.kernels.table.pointee.add
        forEachRow(out.rowCount, width: out.width, on: device) { row in
            let at = row * out.width
            kernel?(a.pointer + at, b.pointer + at, out.width, out.pointer + at)
        }
        return out
    }
}

/// `x + bias`, the bias `[C]` added to every row of `x` `[..., C]`.
public func addBias(_ x: Tensor, _ bias: Tensor, on device: Device) -> Tensor {
    precondition(x.width == bias.count, "\(x.shape) plus bias \(bias.shape)")
    let kernel = device.kernels.table.pointee.add
    var out = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width, on: device) { row in
        let at = row * x.width
        kernel?(x.pointer + at, bias.pointer, x.width, out.pointer + at)
    }
    device.record("bias", &out, from: [x.source, bias.source]) {
        [x = x.source, bias = bias.parameter] in
        { dy, gradients in
            if let bias, bias.isTrainable {
                biasGradient(dy, into: bias.zeroedAccumulator(), on: gradients.device)
            }
            gradients.add(dy, to: x)
        }
    }
    return out
}

/// `silu(gate) * up`, element by element.
///
/// Shazeer, "GLU Variants Improve Transformer", arXiv:2002.05202.
public func swiglu(gate: Tensor, up: Tensor, on device: Device) -> Tensor {
    precondition(gate.shape == up.shape, "\(gate.shape) gates \(up.shape)")
    let kernel = device.kernels.table.pointee.swiglu
    var out = Tensor(uninitialized: gate.shape)
    forEachRow(gate.rowCount, width: gate.width * 4, on: device) { row in
        let at = row * gate.width
        kernel?(gate.pointer + at, up.pointer + at, gate.width, out.pointer + at)
    }
    device.record("swiglu", &out, from: [gate.source, up.source]) {
        let (savedGate, savedUp) = (SavedTensor(gate), SavedTensor(up))
        return { [gate = gate.source, up = up.source] dy, gradients in
            let device = gradients.device
            let found = swigluGradient(
                gate: savedGate.tensor(on: device), up: savedUp.tensor(on: device), dy: dy,
                on: device)
            gradients.add(found.gate, to: gate)
            gradients.add(found.up, to: up)
        }
    }
    if device.keepsRecipes {
        let (gate, up) = (SavedTensor(gate), SavedTensor(up))
        out.recipe = Recipe { device in
            swiglu(gate: gate.tensor(on: device), up: up.tensor(on: device), on: device)
        }
    }
    return out
}

/// Softmax along the last axis.
public func softmax(_ x: Tensor, on device: Device) -> Tensor {
    let kernel = device.kernels.table.pointee.softmax
    var out = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width * 4, on: device) { row in
        kernel?(x.pointer + row * x.width, x.width, out.pointer + row * x.width)
    }
    device.record("softmax", &out, from: [x.source]) { [source = x.source, y = out] in
        { dy, gradients in
            gradients.add(softmaxGradient(y: y, dy: dy, on: gradients.device), to: source)
        }
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
///
/// Its backward adds rows up in the order of `rows`, so that one may be taken twice.
public func gathered(_ x: Tensor, rows: [Int], on device: Device) -> Tensor {
    var out = Tensor(uninitialized: [rows.count, x.width])
    for (index, row) in rows.enumerated() {
        precondition(row >= 0 && row < x.rowCount, "row \(row) of \(x.shape)")
        (out.pointer + index * x.width).update(from: x.pointer + row * x.width, count: x.width)
    }
    device.record("gathered", &out, from: [x.source]) { [source = x.source, shape = x.shape] in
        { dy, gradients in
            let dx = Tensor(zeros: shape)
            let width = dx.width
            for (index, row) in rows.enumerated() {
                let (from, to) = (dy.pointer + index * width, dx.pointer + row * width)
                for column in 0..<width { to[column] += from[column] }
            }
            gradients.add(dx, to: source)
        }
    }
    return out
}

extension Tensor {
    /// Consecutive rows, copied, without recording.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= rowCount, "rows \(range) of \(shape)")
        let out = Tensor(uninitialized: [range.count, width])
        out.pointer.update(from: pointer + range.lowerBound * width, count: out.count)
        return out
    }

    /// The rows of several tensors of one width, one after the other, without recording.
    package init(stacking parts: [Tensor]) {
        let width = parts[0].width
        precondition(parts.allSatisfy { $0.width == width }, "\(parts.map(\.shape))")
        self.init(uninitialized: [parts.reduce(0) { $0 + $1.rowCount }, width])
        var row = 0
        for part in parts {
            (pointer + row * width).update(from: part.pointer, count: part.count)
            row += part.rowCount
        }
    }
}
