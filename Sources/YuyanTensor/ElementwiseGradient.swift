import CYuyanKernels

/// The gradients of `swiglu` for both of its inputs.
package func swigluGradient(
    gate: Tensor, up: Tensor, dy: Tensor, on device: Device
) -> (gate: Tensor, up: Tensor) {
    precondition(
        gate.shape == up.shape && up.shape == dy.shape, "\(gate.shape), \(up.shape), \(dy.shape)")
    let kernel = device.kernels.table.pointee.swiglu_gradient
    let (dgate, dup) = (Tensor(uninitialized: gate.shape), Tensor(uninitialized: gate.shape))
    forEachRow(gate.rowCount, width: gate.width * 4, on: device) { row in
        let at = row * gate.width
        kernel?(
            gate.pointer + at, up.pointer + at, dy.pointer + at, gate.width, dgate.pointer + at,
            dup.pointer + at)
    }
    return (dgate, dup)
}

/// The gradient of `gelu`.
package func geluGradient(_ x: Tensor, _ form: Gelu, dy: Tensor, on device: Device) -> Tensor {
    precondition(x.shape == dy.shape, "\(x.shape), \(dy.shape)")
    let kernel = device.kernels.table.pointee.gelu_gradient
    let dx = Tensor(uninitialized: x.shape)
    forEachRow(x.rowCount, width: x.width * 4, on: device) { row in
        let at = row * x.width
        kernel?(form.code, x.pointer + at, dy.pointer + at, x.width, dx.pointer + at)
    }
    return dx
}

/// The gradient of `softmax` along the last axis, from its result `y`.
package func softmaxGradient(y: Tensor, dy: Tensor, on device: Device) -> Tensor {
    precondition(y.shape == dy.shape, "\(y.shape), \(dy.shape)")
    let kernel = device.kernels.table.pointee.softmax_gradient
    let dx = Tensor(uninitialized: y.shape)
    forEachRow(y.rowCount, width: y.width * 2, on: device) { row in
        let at = row * y.width
        kernel?(y.pointer + at, dy.pointer + at, y.width, dx.pointer + at)
    }
    return dx
}

/// The gradient of `rotated`: the rotation back, with the table's factor if it has one.
package func rotatedGradient(
    _ dy: Tensor, headDimension: Int, table: RotaryTable, pairing: RotaryPairing = .halves,
    on device: Device
) -> Tensor {
    let back = RotaryTable(cosine: table.cosine, sine: scaled(table.sine, by: -1, on: device))
    return rotated(dy, headDimension: headDimension, table: back, pairing: pairing, on: device)
}
