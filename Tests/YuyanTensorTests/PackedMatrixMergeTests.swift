import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTensor

@Suite("Rows of an updated matrix")
struct PackedMatrixMergeTests {
    private let device = Device(threads: 3)

    private func values(_ count: Int, seed: UInt64) -> [Float] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in .random(in: -1...1, using: &random) }
    }

    private func matrix(_ rows: Int, _ columns: Int, seed: UInt64) throws -> PackedMatrix {
        try PackedMatrix(
            .values(values(rows * columns, seed: seed), shape: [rows, columns], name: "m"),
            on: device)
    }

    @Test("are gain * (W + scale * up * down), element by element", arguments: [false, true])
    func parity(_ hasGain: Bool) throws {
        let (rows, columns, rank) = (37, 45, 3)
        let weight = try matrix(rows, columns, seed: 1)
        let (down, up) = (try matrix(rank, columns, seed: 2), try matrix(rows, rank, seed: 3))
        let gain = hasGain ? values(rows, seed: 4) : nil
        let update = MatrixUpdate(
            down: down, up: up, scale: 0.7, gain: gain.map { Tensor($0, shape: [rows]) })
        let found = weight.rows(0..<rows, adding: update, on: device)
        let part = weight.rows(5..<9, adding: update, on: Device(threads: 1))
        #expect(Array(found[5 * columns..<9 * columns]).map(\.bitPattern) == part.map(\.bitPattern))
        var expected: [Double] = []
        var square = 0.0
        for o in 0..<rows {
            for k in 0..<columns {
                var delta = 0.0
                for j in 0..<rank { delta += Double(up.row(o)[j]) * Double(down.row(j)[k]) }
                square += 0.49 * delta * delta
                expected.append((Double(weight.row(o)[k]) + 0.7 * delta) * Double(gain?[o] ?? 1))
            }
        }
        expectClose(found.map(Double.init), expected, Tolerance(absolute: 1e-6))
        #expect(abs(update.norm - square.squareRoot()) < 1e-6 * update.norm)
        #expect(weight.rows(0..<rows, on: device) == weight.values)
    }

    @Test("replace rows of a tensor, all or some")
    func replacing() {
        var tensor = Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2])
        let copy = tensor
        tensor.replace([2, 0], with: Tensor([9, 8, 7, 6], shape: [2, 2]))
        #expect(tensor.values == [7, 6, 3, 4, 9, 8] && copy.values == [1, 2, 3, 4, 5, 6])
        tensor.replace(nil, with: copy)
        #expect(tensor.values == copy.values)
    }
}
