import TestSupport
import Testing

@testable import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Row operations against PyTorch", .serialized)
struct RowOperationTests {
    @Test("normalise by root mean square and by variance", arguments: InstructionSet.available)
    func norms(_ set: InstructionSet) throws {
        let golden = try GoldenFile("ops/norm.safetensors")
        let device = Device(threads: 1, instructionSet: set)
        for width in [576, 64, 33] {
            let x = Tensor(try golden.floats("x.\(width)"), shape: [4, width])
            let weight = Tensor(try golden.floats("weight.\(width)"), shape: [width])
            let bias = Tensor(try golden.floats("bias.\(width)"), shape: [width])
            for (name, epsilon) in [("1e-05", Float(1e-5)), ("1e-06", 1e-6)] {
                // The mean of squares is rounded like a sum; the rest are a few roundings.
                let tolerance = Tolerance(sumLength: width / 16, magnitude: 1)
                expectClose(
                    rmsNorm(x, weight: weight, epsilon: epsilon, on: device).values,
                    try golden.floats("rms.\(width).\(name)"), tolerance, "rms \(width) \(name)")
                expectClose(
                    layerNorm(x, weight: weight, bias: bias, epsilon: epsilon, on: device).values,
                    try golden.floats("layer.\(width).\(name)"), tolerance,
                    "layer \(width) \(name)")
            }
        }
    }

    @Test("normalise head by head as they would each head alone")
    func headNorm() {
        let device = Device(threads: 2)
        let x = Tensor(noise(3, 5 * 64), shape: [5, 64])
        let weight = Tensor(noise(4, 16), shape: [16])
        let whole = rmsNorm(x, weight: weight, epsilon: 1e-6, on: device)
        let heads = rmsNorm(x.reshaped(to: [20, 16]), weight: weight, epsilon: 1e-6, on: device)
        #expect(whole.values.bits == heads.values.bits)
    }

    @Test("gate, exponentiate and take softmax", arguments: InstructionSet.available)
    func activations(_ set: InstructionSet) throws {
        let device = Device(threads: 1, instructionSet: set)
        let golden = try GoldenFile("ops/activation.safetensors")
        let gate = Tensor(try golden.floats("gate"), shape: [3, 100])
        let up = Tensor(try golden.floats("up"), shape: [3, 100])
        expectClose(
            swiglu(gate: gate, up: up, on: device).values, try golden.floats("swiglu"),
            Tolerance(relative: 8 * 0x1p-24))
        let x = try golden.floats("silu.x")
        let ones = Tensor([Float](repeating: 1, count: x.count), shape: [x.count])
        // Below -87.3 the exponential is taken as infinite, the result as zero.
        expectClose(
            swiglu(gate: Tensor(x, shape: [x.count]), up: ones, on: device).values,
            try golden.floats("silu"), Tolerance(absolute: 1e-36, relative: 8 * 0x1p-24))
        expectClose(
            device.exponential(try golden.floats("exp.x")), try golden.floats("exp"),
            // Results below the smallest normal number are flushed to zero.
            Tolerance(absolute: 1.3e-38, relative: 4 * 0x1p-24))

        let rows = try GoldenFile("ops/softmax.safetensors")
        expectClose(
            softmax(Tensor(try rows.floats("x"), shape: [4, 97]), on: device).values,
            try rows.floats("softmax"),
            // The difference to the largest, up to 60, is rounded before it is exponentiated.
            Tolerance(absolute: 1.3e-38, relative: 64 * 0x1p-24))
    }

    @Test("sum exponentials for log-softmax", arguments: InstructionSet.available)
    func logSumExp(_ set: InstructionSet) throws {
        let device = Device(threads: 1, instructionSet: set)
        let golden = try GoldenFile("ops/softmax.safetensors")
        let logits = try golden.floats("logits")
        let (largest, sum) = logits.withUnsafeBufferPointer { device.sumOfExponentials($0) }
        #expect(largest == logits.max())
        let total = Double(largest) + log(Double(sum))
        expectClose([Float(total)], try golden.floats("logsumexp"), Tolerance(relative: 0x1p-22))
        expectClose(
            logits.map { Float(Double($0) - total) }, try golden.floats("logsoftmax"),
            Tolerance(absolute: 4e-6))
    }

    @Test("rotate in halves and in pairs, at any position", arguments: InstructionSet.available)
    func rope(_ set: InstructionSet) throws {
        let device = Device(threads: 1, instructionSet: set)
        let golden = try GoldenFile("ops/rope.safetensors")
        let positions = try golden.ints("positions")
        for (width, theta) in [(16, 10000), (64, 100000), (128, 1_000_000)] {
            let half = width / 2
            let x = Tensor(
                try golden.floats("x.\(width)"), shape: [positions.count, 2 * width])
            for kind in ["exact", "rounded"] {
                let angles = positions.flatMap { position in
                    (0..<half).map { i in
                        let exact = pow(Double(theta), -Double(2 * i) / Double(width))
                        return Double(position) * (kind == "exact" ? exact : Double(Float(exact)))
                    }
                }
                let shape = [positions.count, half]
                let table = RotaryTable(
                    cosine: Tensor(angles.map { Float(cos($0)) }, shape: shape),
                    sine: Tensor(angles.map { Float(sin($0)) }, shape: shape))
                for (name, pairing) in [("half", RotaryPairing.halves), ("pairs", .interleaved)] {
                    expectClose(
                        rotated(
                            x, headDimension: width, table: table, pairing: pairing, on: device
                        ).values, try golden.floats("\(kind).\(name).\(width).\(theta)"),
                        Tolerance(absolute: 4e-7), "\(kind) \(name)")
                }
            }
        }
    }

    @Test("rotate a part of each head and leave the rest")
    func partialRope() {
        let device = Device(threads: 1)
        let x = Tensor(noise(5, 3 * 32), shape: [3, 32])
        let table = RotaryTable(
            cosine: Tensor([Float](repeating: 0, count: 12), shape: [3, 4]),
            sine: Tensor([Float](repeating: 1, count: 12), shape: [3, 4]))
        // A quarter turn: (a, b) becomes (-b, a).
        let y = rotated(x, headDimension: 16, table: table, on: device)
        for row in 0..<3 {
            for head in [0, 16] {
                let (a, b) = (x.row(row)[head..<head + 16], y.row(row)[head..<head + 16])
                let turned = (0..<16).map { i -> Float in
                    i < 4 ? -a[head + i + 4] : i < 8 ? a[head + i - 4] : a[head + i]
                }
                #expect(Array(b) == turned)
            }
        }
    }

    @Test("add, and add biases, element by element")
    func sums() {
        let device = Device(threads: 3)
        let (a, b) = (noise(6, 700 * 33), noise(7, 700 * 33))
        let shape = [700, 33]
        #expect(
            add(Tensor(a, shape: shape), Tensor(b, shape: shape), on: device).values.bits
                == zip(a, b).map { $0 + $1 }.bits)
        let bias = Array(b.prefix(33))
        #expect(
            addBias(Tensor(a, shape: shape), Tensor(bias, shape: [33]), on: device).values.bits
                == a.indices.map { a[$0] + bias[$0 % 33] }.bits)
    }

    @Test("gather rows in the order asked for")
    func gather() {
        let x = Tensor(noise(8, 5 * 7), shape: [5, 7])
        let y = gathered(x, rows: [4, 0, 4], on: Device(threads: 1))
        #expect(y.shape == [3, 7])
        #expect(y.values == x.row(4) + x.row(0) + x.row(4))
    }
}
