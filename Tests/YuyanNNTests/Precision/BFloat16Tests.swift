import TestSupport
import Testing
import YuyanTensor

@testable import YuyanNN

@Suite("bfloat16")
struct BFloat16Tests {
    @Test("rounds to nearest as PyTorch does")
    func nearest() throws {
        let golden = try GoldenFile("optim/rounding.safetensors")
        let expected = try golden.ints("bf16").map {
            BFloat16(bitPattern: UInt16(bitPattern: Int16($0))).float
        }
        let found = try golden.floats("x").map { BFloat16(nearest: $0).float }
        #expect(FloatBits(found) == FloatBits(expected))
        #expect(BFloat16(nearest: .nan).float.isNaN)
    }

    @Test("rounds at random to one of the two neighbours, by the chances of the distance")
    func random() {
        for value: Float in [1.0001, -3.3333, 1e-20, -65000.7, 1e30] {
            let low = Float(bitPattern: value.bitPattern & 0xFFFF_0000)
            let high = Float(bitPattern: (value.bitPattern & 0xFFFF_0000) + 0x1_0000)
            var ups = 0
            for word in UInt16.min ... .max {
                let rounded = BFloat16(value, random: word).float
                #expect(rounded == low || rounded == high)
                ups += rounded == high ? 1 : 0
            }
            // Every word once: the share of ups is exactly the distance.
            #expect(ups == Int(value.bitPattern & 0xFFFF))
        }
    }

    @Test("leaves what fits, infinities and NaN alone")
    func exact() {
        for value: Float in [0, -0.0, 1, -2.5, .infinity, -.infinity] {
            for word: UInt16 in [0, 1, 0x8000, .max] {
                #expect(BFloat16(value, random: word).float.bitPattern == value.bitPattern)
            }
        }
        #expect(BFloat16(.nan, random: .max).float.isNaN)
    }

    @Test("rounds weights before the first step, and masters keep them as they were")
    func first() throws {
        let values = noise(6, 100)
        for (rounding, rounded) in [
            (WeightRounding.bfloat16Masters, values.map { BFloat16(nearest: $0).float }),
            (.float16Masters, values.map { Float(Float16($0)) }),
            (
                .bfloat16Stochastic(CounterRandom(seed: 1)),
                values.map { BFloat16(nearest: $0).float }
            ),
        ] {
            let parameter = PlainParameter("w", values)
            let optimizer = try Optimizer(
                OptimizerConfiguration(SGD()), groups: [ParameterGroup([parameter])],
                weights: rounding)
            #expect(FloatBits(parameter.current) == FloatBits(rounded))
            if rounding.keepsMasters {
                #expect(FloatBits(optimizer.floats("w.master")) == FloatBits(values))
            }
        }
    }

    @Test("keeps small steps on average where rounding to nearest loses them")
    func average() throws {
        let count = 20_000
        let start = [Float](repeating: 1, count: count)
        func end(_ rounding: WeightRounding) throws -> [Float] {
            let parameter = PlainParameter("w", start)
            let optimizer = try Optimizer(
                OptimizerConfiguration(SGD()), groups: [ParameterGroup([parameter])],
                weights: rounding)
            parameter.setGradient(start)
            // Each step is a sixteenth of the distance between bfloat16 numbers below 1.
            for _ in 0..<32 {
                optimizer.step(learningRate: 0x1p-12, on: Device(threads: 2))
            }
            return parameter.current
        }
        let mean =
            try end(.bfloat16Stochastic(CounterRandom(seed: 4))).reduce(0.0) {
                $0 + Double($1)
            } / Double(count)
        // The spread of one element is below 1e-2; of the mean, below 1e-4.
        #expect(abs(mean - (1 - 32 * 0x1p-12)) < 3e-4)
        #expect(try end(.float16Masters).allSatisfy { $0 == Float(Float16(1 - 32 * 0x1p-12)) })
        // With masters the small steps add up exactly, and are rounded at the end only.
        let exact = BFloat16(nearest: 1 - 32 * 0x1p-12).float
        #expect(try end(.bfloat16Masters).allSatisfy { $0 == exact })
        #expect(exact < 1)
    }
}
