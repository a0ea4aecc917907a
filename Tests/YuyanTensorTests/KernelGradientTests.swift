import CYuyanKernels
import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Gradient kernels of every instruction set")
struct KernelGradientTests {
    private static let lengths = Array(1...70) + [96, 97, 128, 129, 576]

    /// Calls `body` for both tables and expects the same bits in outputs of `counts` elements.
    private func expectSame(
        _ set: InstructionSet, _ counts: [Int], _ what: Comment,
        _ body: (yk_kernels, [UnsafeMutablePointer<Float>]) -> Void
    ) {
        let both = [InstructionSet.scalar, set].map { set in
            let outputs = counts.map { Aligned<Float>($0, repeating: 0.75) }
            body(kernels(set), outputs.map(\.pointer))
            return outputs
        }
        for (a, b) in zip(both[0], both[1]) {
            #expect(a.bits == b.bits && b.isIntact, what)
        }
    }

    @Test("of rows have the scalar bits", arguments: vectorSets)
    func rows(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 31)
        for kind in FloatKind.allCases {
            for n in Self.lengths {
                let what: Comment = "\(n) elements, \(kind)"
                let x = random.floats(n, kind)
                let (w, dy) = (random.floats(n, kind), random.floats(n, kind))
                let epsilon: Float = n.isMultiple(of: 2) ? 1e-5 : 0
                for form in [YK_GELU_ERF, YK_GELU_TANH] {
                    expectSame(set, [n], "gelu, \(what)") { $0.gelu(form, x, n, $1[0]) }
                    expectSame(set, [n], "gelu_gradient, \(what)") {
                        $0.gelu_gradient(form, x, dy, n, $1[0])
                    }
                }
                expectSame(set, [n, n], "swiglu_gradient, \(what)") {
                    $0.swiglu_gradient(x, w, dy, n, $1[0], $1[1])
                }
                expectSame(set, [n], "softmax_gradient, \(what)") {
                    $0.softmax_gradient(x, dy, n, $1[0])
                }
                expectSame(set, [n, 1], "rms_norm_gradient, \(what)") {
                    $0.rms_norm_gradient(x, w, epsilon, dy, n, $1[0], $1[1])
                }
                expectSame(set, [n, 1, 1], "layer_norm_gradient, \(what)") {
                    $0.layer_norm_gradient(x, w, epsilon, dy, n, $1[0], $1[1], $1[2])
                }
            }
        }
    }

    @Test("over rows have the scalar bits", arguments: vectorSets)
    func columns(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 32)
        for kind in FloatKind.allCases {
            for n in [1, 7, 16, 17, 33, 64, 65, 127, 150] {
                for rows in [1, 2, 9] {
                    let stride = n + rows
                    let (x, dy) = (
                        random.floats(stride * rows, kind), random.floats(stride * rows, kind)
                    )
                    let (mean, r) = (random.floats(rows, kind), random.floats(rows, kind))
                    let what: Comment = "\(rows) rows of \(n), \(kind)"
                    expectSame(set, [n], "norm_weight_gradient, \(what)") {
                        $0.norm_weight_gradient(x, dy, stride, mean, r, rows, n, $1[0])
                    }
                    expectSame(set, [n], "norm_weight_gradient without means, \(what)") {
                        $0.norm_weight_gradient(x, dy, stride, nil, r, rows, n, $1[0])
                    }
                    expectSame(set, [n], "bias_gradient, \(what)") {
                        $0.bias_gradient(dy, stride, rows, n, $1[0])
                    }
                }
            }
        }
    }

    @Test("move strips and turn panels as the scalar ones do", arguments: vectorSets)
    func moves(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 33)
        let x = random.floats(40 * 40)
        for stride in [4, 6, 12, 16] {
            for width in 1...stride {
                for rows in [1, 3, 20] {
                    expectSame(set, [rows * stride], "\(rows) rows, \(width) of \(stride)") {
                        $0.strip_pack(x, 37, rows, width, stride, $1[0])
                    }
                }
            }
        }
        for count in 1...16 {
            for rows in 1...16 {
                expectSame(set, [rows * 16], "\(count) columns of \(rows) rows") {
                    $0.panel_transpose(x, count, rows, $1[0])
                }
            }
        }
    }

    @Test("pack activations as the scalar ones do", arguments: vectorSets)
    func tiles(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 34)
        let stride = kernels(set).tile_float
        for columns in Array(1...40) + [100, 576] {
            let x = random.floats(stride * (columns + 3))
            for count in 1...stride {
                // The places of missing tokens may hold anything.
                expectSame(set, [columns * stride], "\(count) tokens of \(columns)") {
                    table, out in
                    table.tile_float_pack(x, columns + 3, count, columns, stride, out[0])
                    for k in 0..<columns {
                        for i in count..<stride { out[0][k * stride + i] = 0 }
                    }
                }
            }
        }
    }

    private struct Case: CustomStringConvertible {
        let tokens: Int
        let group: Int
        let dimension: Int
        let window: Int
        let slopes: [Float]?
        var description: String {
            "\(tokens) tokens, group \(group), width \(dimension), window \(window)"
        }
    }

    private static let cases: [Case] = {
        var cases: [Case] = []
        for tokens in [1, 2, 17, 31, 32, 33, 70, 300] {
            for (index, dimension) in [2, 6, 16, 20, 40, 64].enumerated() {
                if tokens == 300 && dimension % 16 != 0 { continue }
                for (window, slopes) in [
                    (0, nil), (1, nil), (20, nil), (33, [0.5, 0.25, 0.125, 1]), (64, nil),
                    (0, [1, 0, 0.01, 0.5]),
                ] as [(Int, [Float]?)] {
                    cases.append(
                        Case(
                            tokens: tokens, group: 1 + (tokens + index + window) % 4,
                            dimension: dimension, window: window, slopes: slopes))
                }
            }
        }
        return cases
    }()

    @Test("of attention have the scalar bits, in one piece or in several", arguments: vectorSets)
    func attention(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 35)
        for this in Self.cases {
            let (T, D, rowWidth) = (this.tokens, this.dimension, this.group * this.dimension)
            let inputs = (0..<3).map { _ in random.floats(T * rowWidth) }
            let (keys, values) = (random.floats(T * D), random.floats(T * D))
            let plain = run(kernels(.scalar), this, inputs, keys, values, cuts: [0, T])
            let whole = run(kernels(set), this, inputs, keys, values, cuts: [0, T])
            #expect(whole == plain, "\(this)")
            let middle = T / 64 * 32
            let cut = run(
                kernels(set), this, inputs, keys, values,
                cuts: middle > 0 ? [0, middle, T] : [0, T], apart: true)
            #expect(cut == plain, "\(this), in pieces")
        }
    }

    /// Statistics and all gradients, as bits.
    private func run(
        _ table: yk_kernels, _ this: Case, _ inputs: [[Float]], _ keys: [Float],
        _ values: [Float], cuts: [Int], apart: Bool = false
    ) -> [FloatBits] {
        let (T, D) = (this.tokens, this.dimension)
        let rowWidth = this.group * D
        let tileFloats = yk_attention_gradient_tile(D)
        let tiles = Aligned<Float>((T + 31) / 32 * tileFloats, repeating: 7)
        for first in stride(from: 0, to: T, by: 32) {
            let (k, v) = (Array(keys[(first * D)...]), Array(values[(first * D)...]))
            table.attention_tile_pack(
                k, v, D, min(32, T - first), D, tiles.pointer + first / 32 * tileFloats)
        }
        let statistics = Aligned<Float>(T * this.group * 3, repeating: 7)
        let dq = Aligned<Float>(T * rowWidth, repeating: 7)
        let (dk, dv) = (
            Aligned<Float>(T * D, repeating: 7), Aligned<Float>(T * D, repeating: 7)
        )
        let scratch = Aligned<Float>(
            yk_attention_gradient_scratch(D), repeating: .nan)
        let slopes = Aligned<Float>(this.slopes ?? [0], fill: 0)
        func job(
            queries: Range<Int>, keys: Range<Int>, givesQueries: Bool = false,
            givesKeys: Bool = false,
            _ kernel: @convention(c) (UnsafePointer<yk_attention_gradient_job>?) -> Void
        ) {
            inputs[0].withUnsafeBufferPointer { q in
                inputs[1].withUnsafeBufferPointer { out in
                    inputs[2].withUnsafeBufferPointer { dy in
                        var job = yk_attention_gradient_job(
                            queries: q.baseAddress, out: out.baseAddress,
                            out_gradient: dy.baseAddress,
                            query_gradient: givesQueries ? dq.pointer : nil,
                            query_stride: rowWidth, tiles: tiles.pointer,
                            key_gradient: givesKeys ? dk.pointer : nil,
                            value_gradient: givesKeys ? dv.pointer : nil, key_stride: D,
                            token_count: T, group: this.group, head_dimension: D,
                            window: this.window, scale: 0.3,
                            slopes: this.slopes == nil ? nil : slopes.pointer,
                            statistics: statistics.pointer, statistics_stride: this.group * 3,
                            first_query: queries.lowerBound, end_query: queries.upperBound,
                            first_key: keys.lowerBound, end_key: keys.upperBound,
                            scratch: scratch.pointer)
                        kernel(&job)
                    }
                }
            }
        }
        for (first, end) in zip(cuts, cuts.dropFirst()) {
            job(queries: first..<end, keys: 0..<end, table.attention_statistics)
        }
        if apart {
            for (first, end) in zip(cuts, cuts.dropFirst()) {
                job(
                    queries: first..<end, keys: 0..<end, givesQueries: true,
                    table.attention_gradient)
                job(
                    queries: first..<T, keys: first..<end, givesKeys: true,
                    table.attention_gradient)
            }
        } else {
            job(
                queries: 0..<T, keys: 0..<T, givesQueries: true, givesKeys: true,
                table.attention_gradient)
        }
        let all = [tiles, statistics, dq, dk, dv]
        precondition(all.allSatisfy(\.isIntact) && scratch.isIntact, "wrote past an end")
        return all.map(\.bits)
    }
}
