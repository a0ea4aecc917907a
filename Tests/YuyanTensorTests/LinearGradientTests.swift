import TestSupport
import Testing

@testable import YuyanTensor

/// A weight's gradient in panel layout, and as rows.
private struct PanelGradient {
    let outputs: Int
    let inputs: Int
    let memory: Aligned<Float>

    init(outputs: Int, inputs: Int) {
        self.outputs = outputs
        self.inputs = inputs
        memory = Aligned((outputs + 15) / 16 * 16 * inputs, repeating: 0)
    }

    func add(_ dy: Tensor, _ x: Tensor, resume: Bool = true, on device: Device) {
        accumulateWeightGradient(
            dy, x, into: memory.pointer, outputs: outputs, resume: resume, on: device)
        precondition(memory.isIntact)
    }

    var rows: [Float] {
        (0..<outputs * inputs).map { index in
            let (o, i) = (index / inputs, index % inputs)
            return memory.pointer[(o / 16 * inputs + i) * 16 + o % 16]
        }
    }
    var padding: [Float] {
        (0..<memory.count).filter { $0 / (16 * inputs) * 16 + $0 % 16 >= outputs }
            .map { memory.pointer[$0] }
    }
}

@Suite("Gradients of products")
struct LinearGradientTests {
    @Test("agree with PyTorch, of one weight and of two", arguments: InstructionSet.available)
    func golden(_ set: InstructionSet) throws {
        let golden = try GoldenFile("gradients/linear.safetensors")
        let device = Device(threads: 2, instructionSet: set)
        let weights = [
            try packed(noise(141, 33 * 20), rows: 33, columns: 20, on: device),
            try packed(noise(142, 7 * 20), rows: 7, columns: 20, on: device),
        ]
        for tokens in [1, 2, 17, 33] {
            let x = Tensor(noise(140, tokens * 20), shape: [tokens, 20])
            let dys = [
                Tensor(noise(143, tokens * 33), shape: [tokens, 33]),
                Tensor(noise(144, tokens * 7), shape: [tokens, 7]),
            ]
            expectClose(
                inputGradient(dys, weights, on: device).values, try golden.floats("\(tokens).x"),
                Tolerance(sumLength: 40), "\(tokens) tokens, x")
            for (dy, name) in zip(dys, ["first", "second"]) {
                let gradient = PanelGradient(outputs: dy.width, inputs: 20)
                gradient.add(dy, x, on: device)
                expectClose(
                    gradient.rows, try golden.floats("\(tokens).\(name)"),
                    Tolerance(sumLength: tokens), "\(tokens) tokens, \(name)")
                #expect(gradient.padding.allSatisfy { $0.bitPattern == 0 })
            }
        }
    }

    /// The chains that the definition names, one fused multiply-add at a time.
    private func chain(_ dys: [Tensor], _ weights: [PackedMatrix]) -> [Float] {
        let (tokens, width) = (dys[0].rowCount, weights[0].columns)
        let rows = weights.map { weight in (0..<weight.rows).map { weight.row($0) } }
        return (0..<tokens * width).map { index in
            var sum: Float = 0
            for (dy, rows) in zip(dys, rows) {
                let dyRow = dy.row(index / width)
                for (o, row) in rows.enumerated() {
                    sum.addProduct(dyRow[o], row[index % width])
                }
            }
            return sum
        }
    }

    @Test(
        "of an input are the chain that is promised, for every stored type and odd sizes",
        arguments: WeightFormat.all, Precision.allCases)
    func inputBits(_ format: WeightFormat, _ precision: Precision) throws {
        let plain = Device(threads: 1, instructionSet: .scalar, precision: precision)
        let columns = format.isFloat ? 37 : format.elements == 32 ? 96 : 256
        let weights = [
            try format.matrix(rows: 21, columns: columns, seed: 41, on: plain),
            try WeightFormat.all[0].matrix(rows: 48, columns: columns, seed: 42, on: plain),
            try format.matrix(rows: 5, columns: columns, seed: 43, on: plain),
        ]
        for tokens in [1, 2, 17, 33] {
            let dys = weights.enumerated().map { index, weight in
                Tensor(
                    noise(UInt32(44 + index), tokens * weight.rows), shape: [tokens, weight.rows])
            }
            let expected = chain(dys, weights).bits
            for set in InstructionSet.available {
                for threads in [1, 2, 3] {
                    let device = Device(
                        threads: threads, instructionSet: set, precision: precision)
                    #expect(
                        inputGradient(dys, weights, on: device).values.bits == expected,
                        "\(tokens) tokens, \(set), \(threads) threads")
                }
            }
        }
    }

    @Test("of an input go on over groups of outputs", arguments: [1000, 1024, 1025, 2100])
    func groups(_ outputs: Int) throws {
        let device = Device(threads: 2)
        let weights = [
            try packed(noise(51, outputs * 19), rows: outputs, columns: 19, on: device),
            try packed(noise(52, 40 * 19), rows: 40, columns: 19, on: device),
        ]
        let dys = [
            Tensor(noise(53, 13 * outputs), shape: [13, outputs]),
            Tensor(noise(54, 13 * 40), shape: [13, 40]),
        ]
        #expect(
            inputGradient(dys, weights, on: device).values.bits == chain(dys, weights).bits)
    }

    @Test("of a weight are the chain that is promised, in one call or in many")
    func weightBits() {
        for (tokens, outputs, inputs) in [
            (1, 1, 1), (2, 17, 5), (17, 33, 29), (33, 16, 48), (1100, 20, 25),
        ] {
            let dy = noise(61, tokens * outputs)
            let x = noise(62, tokens * inputs)
            let expected = (0..<outputs * inputs).map { index -> Float in
                var sum: Float = 0
                for t in 0..<tokens {
                    sum.addProduct(dy[t * outputs + index / inputs], x[t * inputs + index % inputs])
                }
                return sum
            }.bits
            for set in InstructionSet.available {
                for (threads, size) in [(1, tokens), (2, tokens), (3, 1), (2, 7)] {
                    if size == 1 && tokens > 100 { continue }
                    let device = Device(threads: threads, instructionSet: set)
                    let gradient = PanelGradient(outputs: outputs, inputs: inputs)
                    for first in stride(from: 0, to: tokens, by: size) {
                        let count = min(size, tokens - first)
                        gradient.add(
                            Tensor(
                                Array(dy[first * outputs..<(first + count) * outputs]),
                                shape: [count, outputs]),
                            Tensor(
                                Array(x[first * inputs..<(first + count) * inputs]),
                                shape: [count, inputs]), on: device)
                    }
                    #expect(
                        gradient.rows.bits == expected,
                        "\(tokens) by \(size), \(set), \(threads) threads")
                    #expect(gradient.padding.allSatisfy { $0.bitPattern == 0 })
                }
            }
        }
    }

    @Test("of weights that share an input are those of each by itself", arguments: [1, 2, 3])
    func together(_ threads: Int) {
        let device = Device(threads: threads)
        let x = Tensor(noise(65, 37 * 21), shape: [37, 21])
        let dys = [20, 3, 33, 16].enumerated().map { index, outputs in
            Tensor(noise(UInt32(66 + index), 37 * outputs), shape: [37, outputs])
        }
        let (alone, together) = (
            dys.map { PanelGradient(outputs: $0.width, inputs: 21) },
            dys.map { PanelGradient(outputs: $0.width, inputs: 21) }
        )
        for (dy, gradient) in zip(dys, alone) { gradient.add(dy, x, on: device) }
        accumulateWeightGradients(
            dys, x, into: together.map(\.memory.pointer), resume: true, on: device)
        #expect(alone.map(\.memory.bits) == together.map(\.memory.bits))
        #expect(together.allSatisfy { $0.memory.isIntact })
    }

    @Test("of a weight start anew when they do not go on")
    func anew() {
        let device = Device(threads: 1)
        let (dy, x) = (
            Tensor(noise(63, 5 * 20), shape: [5, 20]), Tensor(noise(64, 5 * 3), shape: [5, 3])
        )
        let once = PanelGradient(outputs: 20, inputs: 3)
        once.add(dy, x, on: device)
        let twice = PanelGradient(outputs: 20, inputs: 3)
        twice.memory.pointer.update(repeating: .nan, count: twice.memory.count)
        twice.add(dy, x, resume: false, on: device)
        #expect(twice.memory.bits == once.memory.bits)
        twice.add(dy, x, on: device)
        #expect(twice.memory.bits != once.memory.bits)
        let none = Tensor([], shape: [0, 20])
        twice.add(none, Tensor([], shape: [0, 3]), resume: false, on: device)
        #expect(twice.memory.values.allSatisfy { $0 == 0 })
    }

    @Test("of no tokens are empty, of other shapes trap")
    func shapes() async throws {
        let device = Device(threads: 2)
        let weight = try packed(noise(1, 32), rows: 4, columns: 8, on: device)
        #expect(
            inputGradient([Tensor([], shape: [0, 4])], [weight], on: device).shape == [0, 8])
        await #expect(processExitsWith: trap) {
            let device = Device(threads: 1)
            let weight = try packed([1, 2, 3, 4], rows: 2, columns: 2, on: device)
            _ = inputGradient([Tensor([1, 2, 3], shape: [1, 3])], [weight], on: device)
        }
    }
}
