import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Products")
struct MatmulTests {
    @Test("make the generator's numbers")
    func recipe() throws {
        #expect(noise(1, 64) == (try GoldenFile("ops/linear.safetensors").floats("noise.1")))
    }

    @Test(
        "agree with float64 for every golden shape",
        arguments: InstructionSet.available, [1, 2])
    func golden(_ set: InstructionSet, _ threads: Int) throws {
        let golden = try GoldenFile("ops/linear.safetensors")
        let device = Device(threads: threads, instructionSet: set, precision: .f32)
        let (x, w) = (noise(1, 17 * 1536), noise(2, 100 * 1536))
        for k in [32, 576, 1536] {
            for n in [16, 33, 100] {
                let weight = try packed(
                    Array(w.prefix(n * k)), rows: n, columns: k, on: device)
                for m in [1, 3, 17] {
                    let y = linear(
                        Tensor(Array(x.prefix(m * k)), shape: [m, k]), weight, on: device)
                    #expect(y.shape == [m, n])
                    expectClose(
                        y.values, try golden.floats("y.\(m).\(n).\(k)"),
                        Tolerance(sumLength: k, magnitude: 1), "\(m) x \(n) x \(k)")
                }
            }
        }
    }

    /// The sum over columns in float64, of the widened rows.
    private func reference(_ x: Tensor, _ weight: PackedMatrix) -> [Double] {
        let rows = (0..<weight.rows).map { weight.row($0).map { Double($0) } }
        return (0..<x.rowCount).flatMap { token in
            let values = x.row(token).map { Double($0) }
            return rows.map { row in zip(row, values).reduce(0) { $0 + $1.0 * $1.1 } }
        }
    }

    @Test("widen every stored type exactly before they multiply", arguments: WeightFormat.all)
    func widened(_ format: WeightFormat) throws {
        let device = Device(threads: 1, precision: .f32)
        let columns = format.isFloat ? 300 : 512
        let weight = try format.matrix(rows: 37, columns: columns, seed: 12, on: device)
        for tokens in [1, 13] {
            let x = Tensor(noise(13, tokens * columns), shape: [tokens, columns])
            let expected = reference(x, weight)
            // Each of the sums is of terms no larger than the largest weight.
            let largest = (0..<37).flatMap { weight.row($0) }.map(abs).max() ?? 0
            expectClose(
                linear(x, weight, on: device).values.map { Double($0) }, expected,
                Tolerance(sumLength: columns, magnitude: Double(largest)), "\(tokens) tokens")
        }
    }

    @Test("lose under a ten-thousandth by 16-bit activations", arguments: WeightFormat.blocks)
    func rounded(_ format: WeightFormat) throws {
        let device = Device(threads: 1, precision: .int16)
        let columns = 1536
        let weight = try format.matrix(rows: 64, columns: columns, seed: 14, on: device)
        let random = CounterRandom(seed: 15)
        // Normal, and with tails as residual streams have them: a few values of fifty deviations.
        for tail in [1, 3] {
            for tokens in [1, 9] {
                let x = Tensor(
                    (0..<tokens * columns).map {
                        let value = random.normal(position: UInt64($0))
                        return tail == 1 ? value : value * value * value
                    }, shape: [tokens, columns])
                let expected = reference(x, weight)
                let found = linear(x, weight, on: device).values
                let error = zip(found, expected).reduce(0) {
                    $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1)
                }
                let power = expected.reduce(0) { $0 + $1 * $1 }
                let relative = (error / power).squareRoot()
                #expect(relative < 1e-4, "\(format), tail \(tail): \(relative)")
            }
        }
    }

    @Test(
        "give a row the same bits in any company, on any threads and instructions",
        arguments: WeightFormat.all, Precision.allCases)
    func companions(_ format: WeightFormat, _ precision: Precision) throws {
        let columns = format.isFloat ? 77 : format.elements == 32 ? 96 : 512
        let plain = Device(threads: 1, instructionSet: .scalar, precision: precision)
        // 70 rows: the last panel is padded.
        let weight = try format.matrix(rows: 70, columns: columns, seed: 16, on: plain)
        let other = try WeightFormat.all[0].matrix(
            rows: 33, columns: columns, seed: 17, on: plain)
        // Beyond the most tokens that are multiplied straight from packed panels.
        let tokens = 40
        #expect(fewTokens < tokens - 4)
        let x = Tensor(noise(18, tokens * columns), shape: [tokens, columns])
        let alone = (0..<tokens).map {
            linear(Tensor(x.row($0), shape: [1, columns]), weight, on: plain).values.bits
        }
        for set in InstructionSet.available {
            for threads in [1, 2, 5] {
                let device = Device(threads: threads, instructionSet: set, precision: precision)
                let counts = threads == 2 ? Array(1...tokens) : [1, 2, 3, 5, 8, 13, 29, tokens]
                for count in counts {
                    let first = tokens - count
                    let part = Tensor(
                        Array(x.values[(first * columns)...]), shape: [count, columns])
                    let both = linear(part, [other, weight], on: device)
                    #expect(both[0].shape == [count, 33] && both[1].shape == [count, 70])
                    for row in 0..<count {
                        #expect(
                            both[1].row(row).bits == alone[first + row],
                            "\(set), \(threads) threads, row \(row) of \(count)")
                    }
                }
            }
        }
    }

    @Test("of no tokens are empty")
    func empty() throws {
        let device = Device(threads: 2)
        let weight = try packed(noise(1, 32), rows: 4, columns: 8, on: device)
        let y = linear(Tensor([], shape: [0, 8]), weight, on: device)
        #expect(y.shape == [0, 4] && y.values.isEmpty)
    }

    @Test("of another width trap")
    func widths() async {
        await #expect(processExitsWith: trap) {
            let device = Device(threads: 1)
            let weight = try packed([1, 2, 3, 4], rows: 2, columns: 2, on: device)
            _ = linear(Tensor([1, 2, 3], shape: [1, 3]), weight, on: device)
        }
    }
}
