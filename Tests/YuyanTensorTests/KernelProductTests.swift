import CYuyanKernels
import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Product kernels of every instruction set")
struct KernelProductTests {
    private static let floatColumns = [1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 47, 64, 100, 576]

    private static func columns(_ format: WeightFormat) -> [Int] {
        format.isFloat
            ? floatColumns
            : format.elements == 32
                ? [32, 64, 96, 160, 576]
                : format.elements == 64 ? [64, 128, 192, 576] : [256, 512, 1536]
    }

    @Test(
        "widen, multiply one token and multiply tiles to the scalar bits",
        arguments: vectorSets, WeightFormat.all)
    func floatPath(_ set: InstructionSet, _ format: WeightFormat) {
        let (vector, scalar) = (kernels(set), kernels(.scalar))
        var random = SeededGenerator(seed: 1)
        for columns in Self.columns(format) {
            for kind in FloatKind.allCases where columns < 500 || kind == .ordinary {
                for panels in [1, 2, 3, 4, 5] {
                    let rows = PackedRows(
                        format, rows: panels * 16, columns: columns, kind, &random)
                    expectFloat(rows, vector, scalar, kind, &random)
                }
            }
        }
    }

    private func expectFloat(
        _ rows: PackedRows, _ vector: yk_kernels, _ scalar: yk_kernels, _ kind: FloatKind,
        _ random: inout SeededGenerator
    ) {
        let (columns, panels) = (rows.columns, rows.panels)
        let what: Comment = "\(rows.format), \(panels) panels of \(columns) columns, \(kind)"
        let stride = vector.tile_float
        let x = random.floats(stride * columns, kind)

        let wide = (0..<2).map { _ in Aligned<Float>(panels * columns * 16, repeating: 7) }
        for panel in 0..<panels {
            let source = rows.memory.pointer + panel * rows.panelBytes
            scalar.expand_float(
                rows.format.format, source, columns, wide[0].pointer + panel * columns * 16)
            vector.expand_float(
                rows.format.format, source, columns, wide[1].pointer + panel * columns * 16)
        }
        #expect(wide[0].bits == wide[1].bits && wide[1].isIntact, what)

        let tile = Aligned<Float>(columns * stride, repeating: 7)
        defer { keepAlive(wide, tile) }
        vector.tile_float_pack(x, columns, stride, columns, stride, tile.pointer)
        #expect(tile.isIntact, what)
        var columnsOut: [FloatBits] = []
        for count in 1...stride where panels <= 3 || count == stride {
            let y = (0..<2).map { _ in Aligned<Float>(count * panels * 16, repeating: 7) }
            let sums = Aligned<Float>(count * vector.panels_float * 16, repeating: 7)
            defer { keepAlive(sums) }
            for (table, y) in zip([scalar, vector], y) {
                var job = yk_product(
                    panels: wide[0].pointer, panel_stride: columns * 16, panel_count: panels,
                    columns: columns, tiles: tile.pointer, tile_rows: stride, rows: count,
                    resume: 0, y: y.pointer, y_stride: panels * 16, y_panel_stride: 16,
                    width: panels * 16, added_panels: nil, added_panel_stride: 0,
                    added_columns: 0, added_tiles: nil, sums: sums.pointer)
                table.product_float(&job)
            }
            #expect(y[0].bits == y[1].bits && y[1].isIntact, "\(what), \(count) tokens")
            columnsOut = (0..<count).map {
                FloatBits(y[1].values[$0 * panels * 16..<($0 + 1) * panels * 16])
            }
        }
        for token in columnsOut.indices {
            let y = (0..<2).map { _ in Aligned<Float>(panels * 16, repeating: 7) }
            let row = Array(x[token * columns..<(token + 1) * columns])
            scalar.matvec_float(
                rows.format.format, rows.memory.pointer, panels, columns, row, y[0].pointer)
            vector.matvec_float(
                rows.format.format, rows.memory.pointer, panels, columns, row, y[1].pointer)
            #expect(y[0].bits == y[1].bits && y[1].isIntact, "\(what), one token")
            #expect(y[1].bits == columnsOut[token], "\(what), token \(token) of a tile")
            if token == 2 && columns > 100 { break }
        }
    }

    @Test(
        "multiply tiles of rows and add a second product to the scalar bits", arguments: vectorSets)
    func tiledProduct(_ set: InstructionSet) {
        let vector = kernels(set)
        var random = SeededGenerator(seed: 3)
        for columns in [0, 1, 5, 16, 143, 144, 145, 300, 577] {
            for panels in 1...5 {
                for missing in [0, 1, 15] {
                    for added in [0, 1, 16, 17] {
                        expectProduct(
                            vector, columns: columns, panels: panels, missing: missing,
                            added: added, &random)
                    }
                }
            }
        }
    }

    private func expectProduct(
        _ vector: yk_kernels, columns: Int, panels: Int, missing: Int, added: Int,
        _ random: inout SeededGenerator
    ) {
        let tileRows = vector.tile_float
        let rows = 2 * tileRows + 1
        let width = panels * 16 - missing
        func numbers(_ count: Int) -> Aligned<Float> {
            Aligned(random.floats(count + 1, .ordinary), fill: 0)
        }
        let (weights, tiles) = (numbers(panels * columns * 16), numbers(3 * tileRows * columns))
        let (ups, inner) = (numbers(panels * added * 16), numbers(3 * tileRows * added))
        defer { keepAlive(weights, tiles, ups, inner) }
        for resume in [Int32(0), 1] {
            let y = [kernels(.scalar), vector].map { table in
                let y = Aligned<Float>(rows * width, repeating: 7)
                let sums = Aligned<Float>(rows * vector.panels_float * 16, repeating: 7)
                defer { keepAlive(sums, y) }
                var job = yk_product(
                    panels: weights.pointer, panel_stride: columns * 16, panel_count: panels,
                    columns: columns, tiles: tiles.pointer, tile_rows: tileRows, rows: rows,
                    resume: resume, y: y.pointer, y_stride: width, y_panel_stride: 16,
                    width: width, added_panels: ups.pointer, added_panel_stride: added * 16,
                    added_columns: added, added_tiles: inner.pointer, sums: sums.pointer)
                table.product_float(&job)
                #expect(y.isIntact && sums.isIntact)
                return y
            }
            #expect(
                y[0].bits == y[1].bits,
                "\(panels) panels of \(columns), \(missing) missing, \(added) added, \(resume)")
        }
    }

    @Test("sum over rows to the scalar bits, in one call or two", arguments: vectorSets)
    func acrossRows(_ set: InstructionSet) {
        let tables = [kernels(.scalar), kernels(set)]
        var random = SeededGenerator(seed: 4)
        for (rows, panels, columns) in [
            (1, 1, 1), (5, 2, 3), (64, 3, 8), (65, 4, 16), (200, 7, 19),
        ] {
            let (xStride, zStride) = (panels * 16 + 5, columns + 2)
            let x = Aligned(random.floats(rows * xStride, .ordinary), fill: 0)
            let z = Aligned(random.floats(rows * zStride, .ordinary), fill: 0)
            defer { keepAlive(x, z) }
            var results: [[FloatBits]] = []
            for cut in [rows, rows / 2] {
                results += tables.map { table in
                    let y = Aligned<Float>(columns * panels * 16, repeating: 7)
                    defer { keepAlive(y) }
                    for (first, end) in [(0, cut), (cut, rows)] where first < end {
                        var job = yk_product_across(
                            x: x.pointer + first * xStride, x_stride: xStride, panels: panels,
                            z: z.pointer + first * zStride, z_stride: zStride, columns: columns,
                            rows: end - first, resume: first > 0 ? 1 : 0, y: y.pointer,
                            y_stride: 16, y_panel_stride: columns * 16)
                        table.product_across(&job)
                    }
                    #expect(y.isIntact)
                    return [FloatBits(y.values)]
                }
            }
            #expect(results.allSatisfy { $0 == results[0] }, "\(rows), \(panels), \(columns)")
        }
    }

    @Test(
        "round activations and multiply them in 16 bits to the scalar bits",
        arguments: vectorSets, WeightFormat.blocks)
    func integerPath(_ set: InstructionSet, _ format: WeightFormat) {
        let (vector, scalar) = (kernels(set), kernels(.scalar))
        var random = SeededGenerator(seed: 2)
        for columns in Self.columns(format) {
            for kind in FloatKind.allCases where columns < 500 || kind == .ordinary {
                for panels in [1, 2, 3, 4, 5] {
                    let rows = PackedRows(
                        format, rows: panels * 16, columns: columns, kind, &random)
                    expectInteger(rows, vector, scalar, kind, &random)
                }
            }
        }
    }

    private func expectInteger(
        _ rows: PackedRows, _ vector: yk_kernels, _ scalar: yk_kernels, _ kind: FloatKind,
        _ random: inout SeededGenerator
    ) {
        let (columns, panels, format) = (rows.columns, rows.panels, rows.format.format)
        let what: Comment = "\(rows.format), \(panels) panels of \(columns) columns, \(kind)"
        let stride = vector.tile_int16
        let x = random.floats(stride * columns, kind)
        let tiles = (0..<2).map { _ in RoundedTile(columns: columns, stride: stride) }
        defer { keepAlive(tiles) }
        scalar.tile_int16_pack(x, columns, stride, columns, stride, tiles[0].tile)
        vector.tile_int16_pack(x, columns, stride, columns, stride, tiles[1].tile)
        #expect(same(tiles[0], tiles[1]) && tiles[1].isIntact, what)

        let wide = (0..<2).map { _ in ExpandedPanels(columns: columns, panels: panels) }
        defer { keepAlive(wide) }
        for panel in 0..<panels {
            let source = rows.memory.pointer + panel * rows.panelBytes
            scalar.expand_int16(format, source, columns, wide[0].panel(panel))
            vector.expand_int16(format, source, columns, wide[1].panel(panel))
        }
        #expect(
            wide[0].codes.values == wide[1].codes.values
                && wide[0].scale.bits == wide[1].scale.bits
                && wide[0].minimum.bits == wide[1].minimum.bits && wide[1].isIntact, what)
        var tokens: [[Float]] = []
        let width = panels * 16
        for count in 1...stride {
            let y = (0..<3).map { _ in Aligned<Float>(count * width, repeating: 7) }
            scalar.matmul_int16(
                format, wide[0].panel(0), panels, columns, tiles[0].tile, stride, count, 0,
                y[0].pointer, width)
            vector.matmul_int16(
                format, wide[0].panel(0), panels, columns, tiles[0].tile, stride, count, 0,
                y[1].pointer, width)
            #expect(y[0].bits == y[1].bits && y[1].isIntact, "\(what), \(count) tokens")
            // The same sums in two pieces of the columns.
            let cut = columns / 64 * 32
            for (first, end) in [(0, cut), (cut, columns)] where first < end {
                vector.matmul_int16(
                    format, wide[0].panel(0, from: first, scales: format == YK_Q6_K ? 2 : 1),
                    panels, end - first, tiles[0].tile(from: first, stride: stride), stride,
                    count, first > 0 ? 1 : 0, y[2].pointer, width)
            }
            #expect(y[0].bits == y[2].bits && y[2].isIntact, "\(what), \(count) tokens, pieces")
            tokens = (0..<count).map { Array(y[1].values[$0 * width..<($0 + 1) * width]) }
        }
        for token in 0..<min(stride, 3) {
            let row = Array(x[token * columns..<(token + 1) * columns])
            let one = (0..<2).map { _ in RoundedTile(columns: columns, stride: 1) }
            defer { keepAlive(one) }
            scalar.tile_int16_pack(row, columns, 1, columns, 1, one[0].tile)
            vector.tile_int16_pack(row, columns, 1, columns, 1, one[1].tile)
            #expect(same(one[0], one[1]) && one[1].isIntact, what)
            let y = (0..<2).map { _ in Aligned<Float>(panels * 16, repeating: 7) }
            scalar.matvec_int16(
                format, rows.memory.pointer, panels, columns, one[0].tile, y[0].pointer)
            vector.matvec_int16(
                format, rows.memory.pointer, panels, columns, one[0].tile, y[1].pointer)
            #expect(y[0].bits == y[1].bits && y[1].isIntact, "\(what), one token")
            #expect(y[1].bits == tokens[token].bits, "\(what), token \(token) of a tile")
        }
    }

    private func same(_ a: RoundedTile, _ b: RoundedTile) -> Bool {
        a.codes.values == b.codes.values && a.codeSum.values == b.codeSum.values
            && a.scale.bits == b.scale.bits && a.sum.bits == b.sum.bits
    }

    @Test("pack missing rows as zeros, and a row wherever it stands", arguments: WeightFormat.all)
    func padding(_ format: WeightFormat) {
        var random = SeededGenerator(seed: 3)
        let columns = format.isFloat ? 33 : format.elements * 2
        let rowBytes = format.rowBytes(columns)
        let source = format.rows(16, columns: columns, .ordinary, &random)
        let full = PackedRows(format, source, rows: 16, columns: columns)
        for count in 1...15 {
            let some = PackedRows(
                format, Array(source.prefix(count * rowBytes)), rows: count, columns: columns)
            #expect(some.memory.isIntact)
            for row in 0..<16 {
                let values = some.unpacked(row)
                if row < count {
                    #expect(values.bits == full.unpacked(row).bits)
                } else {
                    #expect(values.allSatisfy { $0 == 0 }, "\(format), row \(row) of \(count)")
                }
            }
        }
    }

    @Test("round activations to within half a step of their block's largest")
    func rounding() {
        let scalar = kernels(.scalar)
        var random = SeededGenerator(seed: 4)
        for kind in [FloatKind.ordinary, .wide] {
            let x = random.floats(32 * 64, kind)
            let tile = RoundedTile(columns: 32, stride: 64)
            scalar.tile_int16_pack(x, 32, 64, 32, 64, tile.tile)
            for token in 0..<64 {
                let row = x[token * 32..<token * 32 + 32]
                let largest = row.map(abs).max() ?? 0
                let scale = tile.scale.values[token]
                #expect(abs(scale - largest / 32767) <= scale * 0x1p-23)
                let codes = (0..<16).flatMap { step -> [Int16] in
                    let pair = UInt32(bitPattern: tile.codes.values[step * 64 + token])
                    return [
                        Int16(truncatingIfNeeded: pair), Int16(truncatingIfNeeded: pair >> 16),
                    ]
                }
                // The order of the steps is the kernels' business: compare as multisets.
                let nearest = row.map { Double($0) / Double(scale) }.sorted()
                for (code, exact) in zip(codes.sorted(), nearest) {
                    #expect(abs(Double(code) - exact) <= 0.51, "\(code) for \(exact)")
                }
                #expect(Int(tile.codeSum.values[token]) == codes.reduce(0) { $0 + Int($1) })
            }
        }
    }
}
