import TestSupport
import Testing
import YuyanFormats
import YuyanTensor

@testable import YuyanNN

@Suite("Gradient norm")
struct GradientNormTests {
    private func parameters(_ sizes: [(UInt32, Int)], factor: Float) -> [PlainParameter] {
        sizes.map { seed, count in
            let parameter = PlainParameter("p\(seed)", [Float](repeating: 0, count: count))
            parameter.setGradient(noise(seed, count).map { $0 * factor })
            return parameter
        }
    }

    @Test("agrees with PyTorch's, and clips as it does")
    func reference() throws {
        for entry in try optimizerCases().root.array("clipping") {
            let factor = Float(try entry.double("factor"))
            let parameters = parameters([(201, 33), (202, 1000), (203, 17)], factor: factor)
            let norm = gradientNorm(parameters, on: Device(threads: 2))
            #expect(norm.isFinite)
            let exact = try entry.double("exact")
            #expect(abs(norm.length() - exact) <= 1e-12 * exact)
            let scale = norm.gradientScale(limit: try entry.double("limit"))
            let first = noise(201, 33)[0] * factor * scale
            #expect(abs(Double(first) - (try entry.double("first"))) <= 1e-6 * abs(Double(first)))
        }
    }

    @Test("has the same bits on any number of threads")
    func threads() {
        let parameters = parameters([(1, 300_000), (2, 65536), (3, 1), (4, 70_001)], factor: 3)
        let found = [1, 2, 3, 5].map { gradientNorm(parameters, on: Device(threads: $0)) }
        #expect(found.allSatisfy { $0 == found[0] })
        let exact = parameters.reduce(0.0) { sum, parameter in
            guard let gradient = parameter.gradient else { return sum }
            return (0..<parameter.storageCount).reduce(sum) {
                $0 + Double(gradient[$1]) * Double(gradient[$1])
            }
        }
        #expect(abs(found[0].squares - exact) <= 1e-11 * exact)
    }

    @Test(
        "names the first parameter that is not finite",
        arguments: [Float.nan, .infinity, -.infinity])
    func notFinite(_ bad: Float) {
        let parameters = parameters([(1, 100), (2, 70_000), (3, 50)], factor: 1e19)
        #expect(gradientNorm(parameters, on: Device(threads: 1)).isFinite)
        for (parameter, index) in [(1, 69_999), (2, 3)] {
            parameters[parameter].gradient?[index] = bad
        }
        let norm = gradientNorm(parameters, on: Device(threads: 2))
        #expect(!norm.isFinite && norm.firstNotFinite == "p2" && !norm.length().isFinite)
    }

    @Test("of no gradient is zero, and does not clip")
    func empty() {
        let parameter = PlainParameter("w", [1, 2, 3])
        let norm = gradientNorm([parameter], on: Device(threads: 2))
        #expect(norm.squares == 0 && norm.isFinite)
        #expect(norm.gradientScale(scale: 0.25, limit: 1) == 0.25)
        #expect(norm.gradientScale(limit: nil) == 1 && norm.gradientScale(limit: 0) == 1)
    }

    @Test("clips what accumulation has scaled")
    func scaled() {
        let norm = gradientNorm(parameters([(1, 1000)], factor: 1), on: Device(threads: 1))
        let scale = norm.gradientScale(scale: 0.125, limit: 0.5)
        #expect(abs(norm.length(scale: Double(scale)) - 0.5) < 1e-5)
    }
}
