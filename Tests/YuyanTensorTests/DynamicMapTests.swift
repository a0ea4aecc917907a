import CYuyanKernels
import TestSupport
import Testing

@testable import YuyanTensor

@Suite("8-bit dynamic map")
struct DynamicMapTests {
    @Test("holds bitsandbytes' 256 numbers", arguments: [true, false])
    func values(_ isSigned: Bool) throws {
        let golden = try GoldenFile("optim/maps.safetensors")
        let map = isSigned ? DynamicMap.signed : .unsigned
        #expect(
            FloatBits(map.values) == FloatBits(try golden.floats(isSigned ? "signed" : "unsigned")))
        if isSigned {
            // The kernels have a table of their own.
            let table = UnsafeBufferPointer(start: yk_dynamic_map(), count: 256)
            #expect(FloatBits(table) == FloatBits(map.values))
        }
    }

    @Test(
        "rounds blocks to the reference's codes and widens them to its numbers",
        arguments: [true, false])
    func blocks(_ isSigned: Bool) throws {
        let golden = try GoldenFile("optim/maps.safetensors")
        let (map, name) = isSigned ? (DynamicMap.signed, "signed") : (.unsigned, "unsigned")
        var x = noise(7, 1000).enumerated().map {
            $1 * Float(sign: .plus, exponent: -4 * ($0 % 6), significand: 1)
        }
        for index in 256..<512 { x[index] = 0 }
        x[600] = 3
        if !isSigned { x = x.map { abs($0) } }
        var codes = [UInt8](repeating: 0, count: 1000)
        var wide = [Float](repeating: 0, count: 1000)
        var scales: [Float] = []
        for first in stride(from: 0, to: 1000, by: 256) {
            let count = min(256, 1000 - first)
            x.withUnsafeBufferPointer { x in
                codes.withUnsafeMutableBufferPointer { codes in
                    wide.withUnsafeMutableBufferPointer { wide in
                        guard let x = x.baseAddress, let codes = codes.baseAddress,
                            let wide = wide.baseAddress
                        else { return }
                        let scale = map.quantize(x + first, count: count, into: codes + first)
                        scales.append(scale)
                        map.widen(codes + first, scale: scale, count: count, into: wide + first)
                    }
                }
            }
        }
        #expect(codes.map { Int($0) } == (try golden.ints("\(name).codes")))
        #expect(FloatBits(scales) == FloatBits(try golden.floats("\(name).absmax")))
        #expect(FloatBits(wide) == FloatBits(try golden.floats("\(name).wide")))
    }

    @Test("finds the nearest code of every kind of number")
    func nearest() {
        var random = SeededGenerator(seed: 3)
        for map in [DynamicMap.signed, .unsigned] {
            for _ in 0..<40 {
                var x = (0..<256).map { _ in
                    Float.random(in: -1...1, using: &random)
                        * Float(
                            sign: .plus, exponent: .random(in: -30...0, using: &random),
                            significand: 1)
                }
                x[0] = 1
                if map.values[0] == 0 { x = x.map { abs($0) } }
                var codes = [UInt8](repeating: 0, count: 256)
                let scale = map.quantize(x, count: 256, into: &codes)
                #expect(scale == 1)
                for (value, code) in zip(x, codes) {
                    let distances = map.values.map { abs($0 - value) }
                    #expect(distances[Int(code)] == distances.min())
                }
            }
        }
    }

    @Test("gives a block of zeros scale 0 and zeros back")
    func zeros() {
        var codes = [UInt8](repeating: 9, count: 256)
        var wide = [Float](repeating: 9, count: 256)
        let scale = DynamicMap.signed.quantize(
            [Float](repeating: 0, count: 256), count: 256, into: &codes)
        DynamicMap.signed.widen(codes, scale: scale, count: 256, into: &wide)
        #expect(scale == 0 && wide.allSatisfy { $0 == 0 })
    }
}
