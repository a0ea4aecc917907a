import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Gradients of norms")
struct NormalizationGradientTests {
    @Test("agree with PyTorch", arguments: InstructionSet.available, [1, 3])
    func golden(_ set: InstructionSet, _ threads: Int) throws {
        let golden = try GoldenFile("gradients/rows.safetensors")
        let device = Device(threads: threads, instructionSet: set)
        for width in [1, 17, 64, 100] {
            let x = Tensor(noise(110, 5 * width).map { 3 * $0 }, shape: [5, width])
            let dy = Tensor(noise(111, 5 * width), shape: [5, width])
            let weight = Tensor(noise(112, width).map { 1 + 0.5 * $0 }, shape: [width])
            // A row of one has no variance: its reciprocal root is 1 / sqrt(epsilon).
            let tolerance = Tolerance(sumLength: width, magnitude: width == 1 ? 10 : 1)
            let (dw, db) = (
                Aligned<Float>(width, repeating: 0), Aligned<Float>(width, repeating: 0)
            )
            expectClose(
                rmsNormGradient(
                    x, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: dw.pointer,
                    on: device
                ).values, try golden.floats("rms.\(width).x"), tolerance, "rms \(width)")
            expectClose(dw.values, try golden.floats("rms.\(width).weight"), tolerance)
            dw.pointer.update(repeating: 0, count: width)
            expectClose(
                layerNormGradient(
                    x, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: dw.pointer,
                    biasGradient: db.pointer, on: device
                ).values, try golden.floats("layer.\(width).x"), tolerance, "layer \(width)")
            expectClose(dw.values, try golden.floats("layer.\(width).weight"), tolerance)
            expectClose(db.values, try golden.floats("layer.\(width).bias"), tolerance)
            #expect(dw.isIntact && db.isIntact)
        }
        let dw = Aligned<Float>(24, repeating: 0)
        let dx = rmsNormGradient(
            Tensor(noise(114, 5 * 72), shape: [5, 72]),
            weight: Tensor(noise(116, 24).map { 1 + 0.5 * $0 }, shape: [24]), epsilon: 1e-6,
            dy: Tensor(noise(115, 5 * 72), shape: [5, 72]), weightGradient: dw.pointer, on: device)
        expectClose(dx.values, try golden.floats("rms.heads.x"), Tolerance(sumLength: 24))
        expectClose(dw.values, try golden.floats("rms.heads.weight"), Tolerance(sumLength: 24))
    }

    @Test("have the same bits on any threads, and row by row")
    func sameBits() {
        let (rows, width) = (301, 130)
        let (x, dy) = (noise(71, rows * width), noise(72, rows * width))
        let weight = Tensor(noise(73, width), shape: [width])
        func all(_ device: Device, size: Int) -> [FloatBits] {
            let gradients = (0..<4).map { _ in Aligned<Float>(width, repeating: 0) }
            var (rms, layer) = ([Float](), [Float]())
            for first in stride(from: 0, to: rows, by: size) {
                let count = min(size, rows - first)
                let range = first * width..<(first + count) * width
                let (xs, dys) = (
                    Tensor(Array(x[range]), shape: [count, width]),
                    Tensor(Array(dy[range]), shape: [count, width])
                )
                rms +=
                    rmsNormGradient(
                        xs, weight: weight, epsilon: 1e-6, dy: dys,
                        weightGradient: gradients[0].pointer, on: device
                    ).values
                layer +=
                    layerNormGradient(
                        xs, weight: weight, epsilon: 1e-6, dy: dys,
                        weightGradient: gradients[1].pointer, biasGradient: gradients[2].pointer,
                        on: device
                    ).values
                biasGradient(dys, into: gradients[3].pointer, on: device)
            }
            #expect(gradients[2].bits == gradients[3].bits)
            return [rms.bits, layer.bits] + gradients.map(\.bits)
        }
        let expected = all(Device(threads: 1, instructionSet: .scalar), size: rows)
        for threads in [1, 2, 3] {
            for size in [1, 40, rows] {
                #expect(all(Device(threads: threads), size: size) == expected)
            }
        }
    }

    @Test("without a place for the weight's give the same input gradient")
    func frozen() {
        let device = Device(threads: 2)
        let x = Tensor(noise(74, 90), shape: [3, 30])
        let dy = Tensor(noise(75, 90), shape: [3, 30])
        let weight = Tensor(noise(76, 30), shape: [30])
        let place = Aligned<Float>(30, repeating: 0)
        let with = rmsNormGradient(
            x, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: place.pointer, on: device)
        let without = rmsNormGradient(
            x, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: nil, on: device)
        #expect(with.values.bits == without.values.bits)
        let layer = layerNormGradient(
            x, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: place.pointer,
            biasGradient: nil, on: device)
        let bare = layerNormGradient(
            x, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: nil, biasGradient: nil,
            on: device)
        #expect(layer.values.bits == bare.values.bits)
    }

    @Test("agree with finite differences")
    func differences() {
        let device = Device(threads: 1)
        let weight = Tensor(noise(77, 20), shape: [20])
        let bias = Tensor(noise(78, 20), shape: [20])
        let (x, dy) = (noise(79, 40), Tensor(noise(80, 40), shape: [2, 20]))
        expectDifferences(x, [2, 20], dy) {
            rmsNorm($0, weight: weight, epsilon: 1e-5, on: device)
        } gradient: {
            rmsNormGradient(
                $0, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: nil, on: device)
        }
        expectDifferences(x, [2, 20], dy) {
            layerNorm($0, weight: weight, bias: bias, epsilon: 1e-5, on: device)
        } gradient: {
            layerNormGradient(
                $0, weight: weight, epsilon: 1e-5, dy: dy, weightGradient: nil,
                biasGradient: nil, on: device)
        }
    }
}
