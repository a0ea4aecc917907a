import CYuyanKernels

#if canImport(Glibc)
    import Glibc
#endif

// Plain stand-ins until the kernels' gradients are merged.

func inputGradient(_ dys: [Tensor], _ weights: [PackedMatrix], on device: Device) -> Tensor {
    let dx = Tensor(zeros: [dys[0].rowCount, weights[0].columns])
    for (dy, weight) in zip(dys, weights) {
        for o in 0..<weight.rows {
            let row = weight.row(o)
            for t in 0..<dy.rowCount {
                let g = dy.pointer[t * weight.rows + o]
                for i in 0..<weight.columns { dx.pointer[t * weight.columns + i] += g * row[i] }
            }
        }
    }
    return dx
}

func accumulateWeightGradient(
    _ dy: Tensor, _ x: Tensor, into gradient: UnsafeMutablePointer<Float>, outputs: Int,
    resume: Bool, on device: Device
) {
    let columns = x.width
    for o in 0..<outputs {
        for i in 0..<columns {
            let at = (o / 16 * columns + i) * 16 + o % 16
            var sum = resume ? gradient[at] : 0
            for t in 0..<x.rowCount {
                sum.addProduct(dy.pointer[t * outputs + o], x.pointer[t * columns + i])
            }
            gradient[at] = sum
        }
    }
}

func biasGradient(_ dy: Tensor, into gradient: UnsafeMutablePointer<Float>) {
    for t in 0..<dy.rowCount {
        for c in 0..<dy.width { gradient[c] += dy.pointer[t * dy.width + c] }
    }
}

func rmsNormGradient(
    _ x: Tensor, weight: Tensor, epsilon: Float, dy: Tensor,
    weightGradient: UnsafeMutablePointer<Float>?, on device: Device
) -> Tensor {
    let n = weight.count
    let dx = Tensor(uninitialized: x.shape)
    for row in 0..<x.count / n {
        let (a, g, out) = (x.pointer + row * n, dy.pointer + row * n, dx.pointer + row * n)
        var squares = 0.0
        for i in 0..<n { squares += Double(a[i]) * Double(a[i]) }
        let r = 1 / (squares / Double(n) + Double(epsilon)).squareRoot()
        var dot = 0.0
        for i in 0..<n { dot += Double(g[i]) * Double(weight.pointer[i]) * Double(a[i]) }
        for i in 0..<n {
            let w = Double(weight.pointer[i])
            out[i] = Float(r * (Double(g[i]) * w - Double(a[i]) * dot * r * r / Double(n)))
            weightGradient?[i] += Float(Double(g[i]) * Double(a[i]) * r)
        }
    }
    return dx
}

func layerNormGradient(
    _ x: Tensor, weight: Tensor, epsilon: Float, dy: Tensor,
    weightGradient: UnsafeMutablePointer<Float>?, biasGradient: UnsafeMutablePointer<Float>?,
    on device: Device
) -> Tensor {
    let n = weight.count
    let dx = Tensor(uninitialized: x.shape)
    for row in 0..<x.rowCount {
        let (a, g, out) = (x.pointer + row * n, dy.pointer + row * n, dx.pointer + row * n)
        var mean = 0.0
        for i in 0..<n { mean += Double(a[i]) }
        mean /= Double(n)
        var variance = 0.0
        for i in 0..<n { variance += (Double(a[i]) - mean) * (Double(a[i]) - mean) }
        let r = 1 / (variance / Double(n) + Double(epsilon)).squareRoot()
        var (sum, dot) = (0.0, 0.0)
        for i in 0..<n {
            let d = Double(g[i]) * Double(weight.pointer[i])
            sum += d
            dot += d * (Double(a[i]) - mean) * r
        }
        for i in 0..<n {
            let h = (Double(a[i]) - mean) * r
            let d = Double(g[i]) * Double(weight.pointer[i])
            out[i] = Float(r * (d - sum / Double(n) - h * dot / Double(n)))
            weightGradient?[i] += Float(Double(g[i]) * h)
            biasGradient?[i] += g[i]
        }
    }
    return dx
}

func swigluGradient(gate: Tensor, up: Tensor, dy: Tensor, on device: Device) -> (
    gate: Tensor, up: Tensor
) {
    let (dg, du) = (Tensor(uninitialized: gate.shape), Tensor(uninitialized: gate.shape))
    for i in 0..<gate.count {
        let (g, u, d) = (gate.pointer[i], up.pointer[i], dy.pointer[i])
        let s = 1 / (1 + expf(-g))
        du.pointer[i] = d * g * s
        dg.pointer[i] = d * u * s * (1 + g * (1 - s))
    }
    return (dg, du)
}

func rotatedGradient(
    _ dy: Tensor, headDimension: Int, table: RotaryTable, pairing: RotaryPairing,
    on device: Device
) -> Tensor {
    let sine = Tensor(table.sine.values.map { -$0 }, shape: table.sine.shape)
    return rotated(
        dy, headDimension: headDimension, table: RotaryTable(cosine: table.cosine, sine: sine),
        pairing: pairing, on: device)
}

func softmaxGradient(y: Tensor, dy: Tensor, on device: Device) -> Tensor {
    let dx = Tensor(uninitialized: y.shape)
    for row in 0..<y.rowCount {
        let at = row * y.width
        var dot: Float = 0
        for i in 0..<y.width { dot += y.pointer[at + i] * dy.pointer[at + i] }
        for i in 0..<y.width {
            dx.pointer[at + i] = y.pointer[at + i] * (dy.pointer[at + i] - dot)
        }
    }
    return dx
}

func attentionGradients(
    dy: Tensor, output: Tensor, queries: Tensor, keys: Tensor, values: Tensor,
    segments: [SequenceSegment], shape: AttentionShape, on device: Device
) -> (queries: Tensor, keys: Tensor, values: Tensor) {
    let (dq, dk, dv) = (
        Tensor(zeros: queries.shape), Tensor(zeros: keys.shape), Tensor(zeros: values.shape)
    )
    let D = shape.headDimension
    let group = shape.heads / shape.keyValueHeads
    for segment in segments {
        for i in 0..<segment.rows.count {
            let row = segment.rows.lowerBound + i
            let first = shape.window.map { max(0, i + 1 - $0) } ?? 0
            for h in 0..<shape.heads {
                let q = queries.pointer + row * queries.width + h * D
                let g = dy.pointer + row * queries.width + h * D
                func key(_ j: Int) -> Int {
                    (segment.rows.lowerBound + j) * keys.width + h / group * D
                }
                var scores: [Double] = []
                for j in first...i {
                    var dot = 0.0
                    for d in 0..<D { dot += Double(q[d]) * Double(keys.pointer[key(j) + d]) }
                    scores.append(
                        dot * Double(shape.scale)
                            + Double(shape.slopes?[h] ?? 0) * Double(j - i))
                }
                let top = scores.max() ?? 0
                var p = scores.map { exp($0 - top) }
                let sum = p.reduce(0, +)
                p = p.map { $0 / sum }
                var dp: [Double] = []
                for j in first...i {
                    var dot = 0.0
                    for d in 0..<D { dot += Double(g[d]) * Double(values.pointer[key(j) + d]) }
                    dp.append(dot)
                }
                var delta = 0.0
                for (a, b) in zip(p, dp) { delta += a * b }
                for j in first...i {
                    let w = p[j - first]
                    let ds = w * (dp[j - first] - delta) * Double(shape.scale)
                    for d in 0..<D {
                        dv.pointer[key(j) + d] += Float(w * Double(g[d]))
                        dk.pointer[key(j) + d] += Float(ds * Double(q[d]))
                        dq.pointer[row * queries.width + h * D + d] += Float(
                            ds * Double(keys.pointer[key(j) + d]))
                    }
                }
            }
        }
    }
    return (dq, dk, dv)
}
