import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Gradients element by element")
struct ElementwiseGradientTests {
    @Test("agree with PyTorch", arguments: InstructionSet.available)
    func golden(_ set: InstructionSet) throws {
        let golden = try GoldenFile("gradients/rows.safetensors")
        let device = Device(threads: 2, instructionSet: set)
        let few = Tolerance(absolute: 8 * 0x1p-24, relative: 16 * 0x1p-24)
        let gated = swigluGradient(
            gate: Tensor(noise(120, 150).map { 8 * $0 }, shape: [3, 50]),
            up: Tensor(noise(121, 150).map { 2 * $0 }, shape: [3, 50]),
            dy: Tensor(noise(122, 150), shape: [3, 50]), on: device)
        expectClose(gated.gate.values, try golden.floats("swiglu.gate"), few, "gate")
        expectClose(gated.up.values, try golden.floats("swiglu.up"), few, "up")
        let y = softmax(Tensor(noise(123, 231).map { 6 * $0 }, shape: [3, 77]), on: device)
        expectClose(
            softmaxGradient(y: y, dy: Tensor(noise(124, 231), shape: [3, 77]), on: device).values,
            try golden.floats("softmax.x"), few, "softmax")
    }

    @Test("of the Gaussian unit agree with PyTorch", arguments: InstructionSet.available)
    func gaussian(_ set: InstructionSet) throws {
        let golden = try GoldenFile("gradients/rows.safetensors")
        let device = Device(threads: 1, instructionSet: set)
        let grid = try golden.floats("gelu.grid")
        let x = Tensor(grid, shape: [1, grid.count])
        let dy = Tensor(try golden.floats("gelu.dy"), shape: [1, grid.count])
        for (form, name) in [(Gelu.exact, "exact"), (.tanh, "tanh")] {
            // The slope crosses zero near -0.75, so its error is absolute; x reaches 30.
            expectClose(
                geluGradient(x, form, dy: dy, on: device).values,
                try golden.floats("gelu.\(name).x"),
                Tolerance(absolute: 1.5e-6, relative: 16 * 0x1p-24), name)
        }
    }

    @Test("of rotations agree with PyTorch", arguments: InstructionSet.available)
    func rotation(_ set: InstructionSet) throws {
        let golden = try GoldenFile("gradients/rows.safetensors")
        let device = Device(threads: 1, instructionSet: set)
        let table = RotaryTable(
            cosine: Tensor(try golden.floats("rope.cosine"), shape: [3, 4]),
            sine: Tensor(try golden.floats("rope.sine"), shape: [3, 4]))
        let dy = Tensor(noise(131, 72), shape: [3, 24])
        for (pairing, name) in [(RotaryPairing.halves, "half"), (.interleaved, "pairs")] {
            expectClose(
                rotatedGradient(
                    dy, headDimension: 12, table: table, pairing: pairing, on: device
                ).values, try golden.floats("rope.\(name).x"),
                Tolerance(absolute: 4 * 0x1p-24, relative: 4 * 0x1p-24), name)
        }
    }

    @Test("agree with finite differences")
    func differences() {
        let device = Device(threads: 1)
        let dy = Tensor(noise(81, 36), shape: [2, 18])
        let x = noise(82, 36).map { 3 * $0 }
        let other = Tensor(noise(83, 36), shape: [2, 18])
        expectDifferences(x, [2, 18], dy) {
            swiglu(gate: $0, up: other, on: device)
        } gradient: {
            swigluGradient(gate: $0, up: other, dy: dy, on: device).gate
        }
        expectDifferences(x, [2, 18], dy) {
            swiglu(gate: other, up: $0, on: device)
        } gradient: {
            swigluGradient(gate: other, up: $0, dy: dy, on: device).up
        }
        for form in [Gelu.exact, .tanh] {
            expectDifferences(x, [2, 18], dy) {
                gelu($0, form, on: device)
            } gradient: {
                geluGradient($0, form, dy: dy, on: device)
            }
        }
        expectDifferences(x, [2, 18], dy) {
            softmax($0, on: device)
        } gradient: {
            softmaxGradient(y: softmax($0, on: device), dy: dy, on: device)
        }
    }

    @Test("have the same bits on any threads")
    func threads() {
        let shape = [310, 200]
        let (a, b, dy) = (
            Tensor(noise(84, 62000), shape: shape), Tensor(noise(85, 62000), shape: shape),
            Tensor(noise(86, 62000), shape: shape)
        )
        func all(_ device: Device) -> [FloatBits] {
            let gated = swigluGradient(gate: a, up: b, dy: dy, on: device)
            return [
                gated.gate, gated.up, geluGradient(a, .exact, dy: dy, on: device),
                geluGradient(a, .tanh, dy: dy, on: device),
                softmaxGradient(y: a, dy: dy, on: device),
            ].map { $0.values.bits }
        }
        let expected = all(Device(threads: 1, instructionSet: .scalar))
        for threads in [1, 2, 3] { #expect(all(Device(threads: threads)) == expected) }
    }
}
