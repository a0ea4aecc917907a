import CYuyanKernels
import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Product kernels for a few tokens")
struct KernelFewTests {
    @Test(
        "round activations and multiply packed panels to the scalar and the one-token bits",
        arguments: vectorSets, WeightFormat.blocks)
    func integers(_ set: InstructionSet, _ format: WeightFormat) {
        let (vector, scalar) = (kernels(set), kernels(.scalar))
        var random = SeededGenerator(seed: 31)
        for columns in format.elements == 32 ? [32, 96, 576] : [256, 768] {
            for kind in FloatKind.allCases where columns < 500 || kind == .ordinary {
                for panels in 1...3 {
                    let rows = PackedRows(
                        format, rows: panels * 16, columns: columns, kind, &random)
                    for tokens in 1...vector.few_tokens_int16 {
                        // A tile may have room for more tokens than it holds.
                        let stride = tokens + panels % 2
                        let x = random.floats(tokens * columns, kind)
                        let tiles = (0..<2).map { _ in
                            RoundedTile(columns: columns, stride: stride)
                        }
                        defer { keepAlive(tiles) }
                        scalar.few_int16_pack(x, columns, tokens, columns, stride, tiles[0].tile)
                        vector.few_int16_pack(x, columns, tokens, columns, stride, tiles[1].tile)
                        let what: Comment = "\(format), \(panels) × \(columns), \(tokens), \(kind)"
                        #expect(
                            tiles[0].codes.values == tiles[1].codes.values
                                && tiles[0].codeSum.values == tiles[1].codeSum.values
                                && tiles[0].scale.bits == tiles[1].scale.bits
                                && tiles[0].sum.bits == tiles[1].sum.bits && tiles[1].isIntact,
                            what)
                        let y = (0..<2).map { _ in
                            Aligned<Float>(tokens * panels * 16, repeating: 7)
                        }
                        scalar.few_int16(
                            format.format, rows.memory.pointer, panels, columns, tiles[0].tile,
                            stride, tokens, y[0].pointer, panels * 16)
                        vector.few_int16(
                            format.format, rows.memory.pointer, panels, columns, tiles[0].tile,
                            stride, tokens, y[1].pointer, panels * 16)
                        #expect(y[0].bits == y[1].bits && y[1].isIntact, what)
                        let last = Array(x[((tokens - 1) * columns)...])
                        expectAlone(rows, last, Array(y[1].values.suffix(panels * 16)), vector)
                    }
                }
            }
        }
    }

    private func expectAlone(
        _ rows: PackedRows, _ x: [Float], _ expected: [Float], _ vector: yk_kernels
    ) {
        let tile = RoundedTile(columns: rows.columns, stride: 1)
        let y = Aligned<Float>(rows.panels * 16, repeating: 7)
        defer { keepAlive(tile, y) }
        vector.tile_int16_pack(x, rows.columns, 1, rows.columns, 1, tile.tile)
        vector.matvec_int16(
            rows.format.format, rows.memory.pointer, rows.panels, rows.columns, tile.tile,
            y.pointer)
        #expect(y.bits == expected.bits, "\(rows.format), one token")
    }

    @Test(
        "multiply float panels and looked-up codes to the scalar and the one-token bits",
        arguments: vectorSets, WeightFormat.all.filter { $0.isFloat || $0.isLookedUp })
    func floats(_ set: InstructionSet, _ format: WeightFormat) {
        let (vector, scalar) = (kernels(set), kernels(.scalar))
        var random = SeededGenerator(seed: 32)
        let widths = format.isFloat ? [1, 2, 15, 16, 17, 33, 100, 576] : [64, 128, 576]
        for columns in widths {
            for kind in FloatKind.allCases where columns < 500 || kind == .ordinary {
                for panels in 1...3 {
                    let rows = PackedRows(
                        format, rows: panels * 16, columns: columns, kind, &random)
                    for tokens in 1...vector.few_tokens_float {
                        let stride = tokens + panels % 2
                        let x = random.floats(tokens * columns, kind)
                        let size = (columns + 15) / 16 * 16 * stride
                        let tiles = (0..<2).map { _ in Aligned<Float>(size, repeating: 7) }
                        scalar.few_float_pack(
                            x, columns, tokens, columns, stride, tiles[0].pointer)
                        vector.few_float_pack(
                            x, columns, tokens, columns, stride, tiles[1].pointer)
                        let what: Comment = "\(format), \(panels) × \(columns), \(tokens), \(kind)"
                        #expect(tiles[0].bits == tiles[1].bits && tiles[1].isIntact, what)
                        let y = (0..<2).map { _ in
                            Aligned<Float>(tokens * panels * 16, repeating: 7)
                        }
                        scalar.few_float(
                            format.format, rows.memory.pointer, panels, columns,
                            tiles[0].pointer, stride, tokens, y[0].pointer, panels * 16)
                        vector.few_float(
                            format.format, rows.memory.pointer, panels, columns,
                            tiles[0].pointer, stride, tokens, y[1].pointer, panels * 16)
                        #expect(y[0].bits == y[1].bits && y[1].isIntact, what)
                        let one = Aligned<Float>(panels * 16, repeating: 7)
                        let last = Array(x[((tokens - 1) * columns)...])
                        vector.matvec_float(
                            format.format, rows.memory.pointer, panels, columns, last,
                            one.pointer)
                        #expect(
                            one.bits == Array(y[1].values.suffix(panels * 16)).bits,
                            "\(what), one token")
                        keepAlive(tiles, y)
                    }
                }
            }
        }
    }
}
