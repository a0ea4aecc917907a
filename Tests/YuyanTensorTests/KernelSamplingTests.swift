import CYuyanKernels
import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Sampling kernels of every instruction set")
struct KernelSamplingTests {
    @Test("raise e to the scalar bits, at every exponent", arguments: vectorSets)
    func exponentials(_ set: InstructionSet) {
        let (vector, scalar) = (kernels(set), kernels(.scalar))
        // A prime step, so that all exponents and many fractions occur.
        let x = (0..<65_537).map { Float(bitPattern: UInt32(truncatingIfNeeded: $0 * 65_521)) }
        for (maximum, divisor) in [(Float(0), Float(1)), (10, 0.7), (-3, 2.5)] {
            var y = [x, x]
            scalar.sampling_exp(x, maximum, divisor, x.count, &y[0])
            vector.sampling_exp(x, maximum, divisor, x.count, &y[1])
            for index in x.indices where y[0][index].bitPattern != y[1][index].bitPattern {
                #expect(y[0][index].isNaN && y[1][index].isNaN, "\(set), exp of \(x[index])")
            }
        }
    }

    @Test("find the least and the greatest key of any length", arguments: InstructionSet.available)
    func keys(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 41)
        for count in [0, 1, 15, 16, 17, 100, 513] {
            let x = random.floats(count, .infinite)
            var (low, high) = (Int32(0), Int32(0))
            kernels(set).key_range(x, count, &low, &high)
            let keys = x.map { value in
                let bits = Int32(bitPattern: (value + 0).bitPattern)
                return bits ^ ((bits &>> 31) & 0x7FFF_FFFF)
            }
            #expect(low == keys.min() ?? .max && high == keys.max() ?? .min, "\(count) numbers")
        }
        var (low, high) = (Int32(0), Int32(0))
        kernels(set).key_range([1, .nan, -.nan, 0], 4, &low, &high)
        #expect(Float(bitPattern: UInt32(bitPattern: high)).isNaN)
    }
}
