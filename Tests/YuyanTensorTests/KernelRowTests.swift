import CYuyanKernels
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

@Suite("Row kernels of every instruction set")
struct KernelRowTests {
    private static let lengths = Array(1...70) + [96, 97, 127, 128, 129, 576, 1000]

    /// Calls `body` for both tables and expects the same bits in an output of `count` elements.
    private func expectSame(
        _ set: InstructionSet, _ count: Int, _ what: Comment,
        from start: [Float]? = nil, _ body: (yk_kernels, UnsafeMutablePointer<Float>) -> Void
    ) {
        let outputs = [InstructionSet.scalar, set].map { set in
            let out = Aligned<Float>(start ?? [Float](repeating: 7, count: count), fill: 7)
            body(kernels(set), out.pointer)
            return out
        }
        #expect(outputs[0].bits == outputs[1].bits && outputs[1].isIntact, what)
    }

    @Test("normalise, add, gate, rotate and sum to the scalar bits", arguments: vectorSets)
    func rows(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 5)
        for kind in FloatKind.allCases {
            for n in Self.lengths {
                let what: Comment = "\(n) elements, \(kind)"
                let x = random.floats(n, kind)
                let (w, b) = (random.floats(n, kind), random.floats(n, kind))
                let epsilon: Float = n.isMultiple(of: 2) ? 1e-5 : 0
                expectSame(set, n, "rms_norm, \(what)") { $0.rms_norm(x, w, epsilon, n, $1) }
                expectSame(set, n, "layer_norm, \(what)") {
                    $0.layer_norm(x, w, b, epsilon, n, $1)
                }
                expectSame(set, n, "layer_norm without bias, \(what)") {
                    $0.layer_norm(x, w, nil, epsilon, n, $1)
                }
                expectSame(set, n, "add, \(what)") { $0.add(x, w, n, $1) }
                expectSame(set, n, "swiglu, \(what)") { $0.swiglu(x, w, n, $1) }
                expectSame(set, n, "exponential, \(what)") { $0.exponential(x, n, $1) }
                expectSame(set, n, "softmax, \(what)") { $0.softmax(x, n, $1) }
                expectSame(set, 1, "sum_exp, \(what)") { $1[0] = $0.sum_exp(x, w[0], n) }
                expectSame(set, 1, "maximum, \(what)") { $1[0] = $0.maximum(x, n) }
                let even = n / 2 * 2
                expectSame(set, n, "rope_half, \(what)", from: x) { $0.rope_half($1, w, b, even) }
                expectSame(set, n, "rope_interleaved, \(what)", from: x) {
                    $0.rope_interleaved($1, w, b, even)
                }
            }
        }
    }

    @Test("find the first of the largest values, never a NaN", arguments: InstructionSet.available)
    func argmax(_ set: InstructionSet) {
        let table = kernels(set)
        var random = SeededGenerator(seed: 6)
        let values: [Float] = [-.infinity, -1, -0.0, 0, 1, 1, .infinity, .nan]
        for round in 0..<4000 {
            let n = Int.random(in: 1...80, using: &random)
            let limit = Int.random(in: 1...values.count, using: &random)
            let x = (0..<n).map { _ in
                values[Int.random(in: 0..<limit, using: &random) % values.count]
            }
            let found = table.argmax(x, n)
            let numbers = x.indices.filter { !x[$0].isNaN }
            let expected = numbers.max { x[$0] < x[$1] || x[$0] == x[$1] && $0 > $1 }
            #expect(found == expected ?? 0, "\(set), round \(round): \(x)")
            // Lists without NaN are most; one with only NaN must at least stay inside.
            #expect(found < n)
        }
    }

    @Test("compute exp to two units in the last place", arguments: InstructionSet.available)
    func exponentialAccuracy(_ set: InstructionSet) {
        let table = kernels(set)
        let grid = stride(from: Float(-87.25), through: 88.7, by: 0.000_917).map { $0 }
        let y = Aligned<Float>(grid.count, repeating: 0)
        table.exponential(grid, grid.count, y.pointer)
        expectClose(
            y.values.map { Double($0) }, grid.map { exp(Double($0)) },
            Tolerance(relative: 2 * 0x1p-23), "\(set)")

        let edges: [Float] = [0, -0.0, .infinity, -.infinity, -1000, 1000, 88.8]
        let ends = Aligned<Float>(edges.count, repeating: 7)
        table.exponential(edges, edges.count, ends.pointer)
        #expect(ends.values == [1, 1, .infinity, 0, 0, .infinity, .infinity])
    }

    @Test("convert every float16 there and back")
    func halves() {
        for bits in UInt16.min ... .max {
            let wide = yk_half_to_float(bits)
            let reference = Float(Float16(bitPattern: bits))
            if reference.isNaN {
                #expect(wide.isNaN)
            } else if wide.bitPattern != reference.bitPattern
                || yk_float_to_half(wide) != bits
            {
                Issue.record("\(bits): \(wide), expected \(reference)")
            }
        }
    }

    @Test("round floats to float16 to nearest, ties to even")
    func narrowing() {
        var random = SeededGenerator(seed: 7)
        func check(_ value: Float) {
            let (found, expected) = (yk_float_to_half(value), Float16(value).bitPattern)
            if value.isNaN ? found & 0x7FFF <= 0x7C00 : found != expected {
                Issue.record("\(value) became \(found), expected \(expected)")
            }
        }
        for _ in 0..<200_000 {
            check(Float(bitPattern: UInt32.random(in: .min ... .max, using: &random)))
            check(random.float(.wide))
        }
        // Exactly halfway between neighbours, and one step to either side.
        for bits in stride(from: UInt16(0), to: 0x7C00, by: 1) {
            let low = Float(Float16(bitPattern: bits))
            let step = bits >= 0x7BFF ? Float(32) : Float(Float16(bitPattern: bits + 1)) - low
            let middle = low + step / 2
            for value in [middle, middle.nextDown, middle.nextUp] {
                check(value)
                check(-value)
            }
        }
    }
}
