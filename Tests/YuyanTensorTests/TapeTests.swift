import TestSupport
import Testing

@testable import YuyanTensor

/// A small network over every operation that records itself.
private struct Network {
    let device = Device(threads: 2)
    let matrix: PackedMatrix
    let second: PackedMatrix
    let table: PackedMatrix
    let bias: Tensor
    let norm: Tensor
    let shift: Tensor
    let magnitude: Tensor
    let ids: [Int32] = [3, 1, 3, 0, 5, 1]
    static let width = 8

    init(trained: Bool = true) {
        func values(_ count: Int, _ seed: UInt64, around centre: Float = 0) -> [Float] {
            var random = SeededGenerator(seed: seed)
            return (0..<count).map { _ in centre + .random(in: -0.5...0.5, using: &random) }
        }
        let device = device
        func matrix(_ rows: Int, _ columns: Int, _ name: String, _ seed: UInt64) -> PackedMatrix {
            let all = values(rows * columns, seed)
            return PackedMatrix(
                rows: rows, columns: columns, parameter: trained ? name : nil, on: device
            ) { row, buffer in
                for column in 0..<columns { buffer[column] = all[row * columns + column] }
            }
        }
        func vector(_ name: String, _ seed: UInt64, around centre: Float = 0) -> Tensor {
            let all = values(Self.width, seed, around: centre)
            return trained
                ? Tensor(parameter: name, all) : Tensor(all, shape: [Self.width])
        }
        self.matrix = matrix(8, 8, "matrix", 1)
        second = matrix(8, 8, "second", 2)
        table = matrix(7, 8, "table", 3)
        bias = vector("bias", 4)
        norm = vector("norm", 5, around: 1)
        shift = vector("shift", 6)
        magnitude = vector("magnitude", 7, around: 1)
    }

    var parameters: [Parameter] {
        [matrix, second, table].compactMap(\.parameter)
            + [bias, norm, shift, magnitude].compactMap(\.parameter)
    }

    func callAsFunction(on device: Device, checkpointing: Bool = false) -> Tensor {
        var x = embedding(ids, table: table, on: device)
        x = checkpointing ? checkpointed(x, on: device, layer) : layer(x, device)
        x = gelu(x, .tanh, on: device)
        return softmax(gathered(x, rows: [5, 2, 2, 1], on: device), on: device)
    }

    private func layer(_ x: Tensor, _ device: Device) -> Tensor {
        var x = rmsNorm(x, weight: norm, epsilon: 1e-5, on: device)
        let parts = linear(x, [matrix, second], on: device)
        let gated = swiglu(gate: parts[0], up: parts[1], on: device)
        x = add(x, dropout(gated, probability: 0.25, stream: 3, on: device), on: device)
        x = addBias(x, bias, on: device)
        x = layerNorm(x, weight: norm, bias: shift, epsilon: 1e-5, on: device)
        let angles = (0..<12).map { Float($0) * 0.3 }
        let table = RotaryTable(
            cosine: Tensor(angles.map { 1 - $0 * $0 / 20 }, shape: [6, 2]),
            sine: Tensor(angles, shape: [6, 2]))
        let q = rotated(x, headDimension: 4, table: table, on: device)
        let segments = [
            SequenceSegment(rows: 0..<4, firstPosition: 0, blocks: [0]),
            SequenceSegment(rows: 4..<6, firstPosition: 0, blocks: [1]),
        ]
        let mixed = attention(
            queries: q, keys: q, values: x, segments: segments,
            shape: AttentionShape(heads: 2, keyValueHeads: 2, headDimension: 4, window: 3),
            on: device)
        var y = linear(mixed, matrix, on: device)
        let gain = magnitude.parameter.map {
            ColumnGain(
                factors: Tensor($0.values.map { $0 / 2 }, shape: [Self.width]),
                trained: ($0, Tensor(Array(repeating: 0.5, count: 8), shape: [Self.width])))
        }
        y.add(
            scaled(gathered(x, rows: [4, 1], on: device), by: 1.5, on: device), at: [4, 1],
            gain: gain, on: device)
        y.add(x, at: nil, gain: nil, on: device)
        return y
    }

    /// A fixed weighing of the output, whose gradient is known.
    var seed: [Float] { (0..<32).map { Float($0 % 5) - 1.7 } }

    func loss() -> Double {
        let y = self(on: device.training(TrainingPass(tape: nil)))
        return zip(y.values, seed).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    func backward(checkpointing: Bool = false) -> [FloatBits?] {
        let tape = Tape()
        let device = device.training(TrainingPass(tape: tape))
        let y = self(on: device, checkpointing: checkpointing)
        for parameter in parameters { parameter.zeroGradient() }
        tape.backward([(y, Tensor(seed, shape: y.shape))], on: device)
        return parameters.map { $0.rowMajorGradient().map { FloatBits($0) } }
    }
}

@Suite("Tape")
struct TapeTests {
    @Test("gives every operation's parameters the slope that finite differences find")
    func slopes() throws {
        let network = Network()
        _ = network.backward()
        #expect(network.parameters.count == 7)
        for parameter in network.parameters {
            let gradient = try #require(parameter.rowMajorGradient())
            let values = parameter.rowMajor()
            #expect(gradient.contains { abs($0) > 1e-3 }, "\(parameter.name)")
            for index in stride(from: 0, to: values.count, by: 3) {
                func loss(_ step: Float) -> Double {
                    var moved = values
                    moved[index] += step
                    parameter.load(rowMajor: moved)
                    return network.loss()
                }
                let step: Float = 1e-2
                // Two central differences, so that the error is of fourth order.
                let coarse = (loss(2 * step) - loss(-2 * step)) / Double(4 * step)
                let fine = (loss(step) - loss(-step)) / Double(2 * step)
                parameter.load(rowMajor: values)
                let slope = (4 * fine - coarse) / 3
                #expect(
                    abs(slope - Double(gradient[index])) < 2e-3 * (1 + abs(slope)),
                    "\(parameter.name)[\(index)]: \(gradient[index]), differences \(slope)")
            }
        }
    }

    @Test("gives the same bits with a part computed again")
    func checkpointing() {
        let network = Network()
        #expect(network.backward(checkpointing: true) == network.backward())
    }

    @Test("records nothing of what no gradient reaches")
    func frozen() {
        let network = Network(trained: false)
        for checkpointing in [false, true] {
            let tape = Tape()
            let device = network.device.training(TrainingPass(tape: tape))
            let y = network(on: device, checkpointing: checkpointing)
            #expect(tape.entryCount == 0 && y.source == nil)
        }
    }

    @Test("records from the first trained weight on, and none before it")
    func partly() {
        let network = Network()
        for parameter in network.parameters where parameter.name != "second" {
            parameter.isTrainable = false
        }
        let tape = Tape()
        let device = network.device.training(TrainingPass(tape: tape))
        let x = rmsNorm(
            embedding(network.ids, table: network.table, on: device), weight: network.norm,
            epsilon: 1e-5, on: device)
        #expect(x.source == nil && tape.entryCount == 0)
        _ = linear(x, [network.matrix, network.second], on: device)
        #expect(tape.entryCount == 1)
    }

    @Test("sums gradients of a row that is taken twice, and forgets them when told to")
    func accumulation() throws {
        let network = Network()
        let first = network.backward()
        let again = network.backward()
        #expect(first == again)
        let table = try #require(network.table.parameter)
        let gradient = try #require(table.rowMajorGradient())
        // Ids 2, 4 and 6 do not occur.
        #expect(gradient[2 * 8..<3 * 8].allSatisfy { $0 == 0 })
        #expect(gradient[3 * 8..<4 * 8].contains { $0 != 0 })
        table.zeroGradient()
        #expect(table.gradient == nil && !table.hasGradient)
    }

    @Test("keeps parameters in panels, with zeros as padding, and gives them back in rows")
    func layout() throws {
        let values = (0..<18 * 5).map { Float($0) }
        let matrix = PackedMatrix(
            rows: 18, columns: 5, parameter: "w", on: Device(threads: 2)
        ) { row, buffer in
            for column in 0..<5 { buffer[column] = values[row * 5 + column] }
        }
        let parameter = try #require(matrix.parameter)
        #expect(parameter.storageCount == 2 * 16 * 5 && parameter.count == 90)
        #expect(parameter.rowMajor() == values)
        // The padding, and the first of the values.
        let zeros = parameter.values.filter { $0 == 0 }
        #expect(zeros.count == 160 - 90 + 1)
        parameter.load(rowMajor: values.map { $0 + 1 })
        #expect((0..<18).flatMap { matrix.row($0) } == values.map { $0 + 1 })
    }
}

@Suite("Dropout")
struct DropoutTests {
    @Test("drops by seed, stream, token and element alone")
    func counters() {
        let device = Device(threads: 2)
        let x = Tensor(Array(repeating: 1, count: 40 * 50), shape: [40, 50])
        func dropped(
            _ x: Tensor, seed: UInt64 = 1, stream: UInt64 = 0, tokens: [UInt64]? = nil,
            rows: [Int]? = nil
        ) -> Tensor {
            let pass = TrainingPass(
                tape: nil, dropout: DropoutNumbers(seed: seed, tokens: tokens))
            return dropout(
                x, probability: 0.25, stream: stream, rows: rows, on: device.training(pass))
        }
        let all = dropped(x)
        #expect(Set(all.values) == [0, 1 / (1 - 0.25)])
        let zeros = all.values.filter { $0 == 0 }
        // Five standard deviations of 2000 draws.
        #expect(abs(zeros.count - 500) < 97)
        #expect(dropped(x, seed: 2).values != all.values)
        #expect(dropped(x, stream: 1).values != all.values)
        let part = x.rows(0..<3)
        #expect(dropped(part, tokens: [7, 8, 9]).values == all.rows(7..<10).values)
        #expect(dropped(part, rows: [7, 8, 9]).values == all.rows(7..<10).values)
        #expect(dropout(x, probability: 0.25, stream: 0, on: device).values == x.values)
    }
}
