import TestSupport
import Testing
import YuyanFormats

@testable import YuyanNN

@Suite("Loss scaling")
struct LossScalerTests {
    @Test("follows GradScaler's scale, tracker and skipped steps")
    func traces() throws {
        let document = try JSONDocument(path: Goldens.path("optim/cases.json"))
        var skipped = 0
        for trace in try document.root.array("scaler") {
            let settings = try trace.object("settings")
            var scaler = try LossScaler(
                scale: Float(settings.double("init_scale")),
                growth: settings.optionalDouble("growth_factor") ?? 2,
                backoff: settings.optionalDouble("backoff_factor") ?? 0.5,
                interval: settings.int("growth_interval"))
            var skippedHere = 0
            for (index, step) in try trace.array("steps").enumerated() {
                let taken = scaler.update(overflowed: try step.bool("overflow"))
                #expect(taken == (try step.bool("taken")), "step \(index)")
                #expect(Double(scaler.scale) == (try step.double("scale")), "step \(index)")
                #expect(scaler.growthTracker == (try step.int("tracker")), "step \(index)")
                skippedHere += taken ? 0 : 1
                #expect(scaler.skippedSteps == skippedHere)
            }
            skipped += skippedHere
        }
        #expect(skipped > 20)
    }

    @Test("starts as PyTorch does, and goes on from saved numbers")
    func defaults() throws {
        let scaler = try LossScaler()
        #expect(scaler.scale == 65536 && scaler.growth == 2 && scaler.backoff == 0.5)
        #expect(scaler.interval == 2000 && scaler.inverse == 1 / 65536)
        var saved = try LossScaler(scale: 8, growthTracker: 1999, skippedSteps: 4)
        #expect(saved.update(overflowed: false) && saved.scale == 16 && saved.skippedSteps == 4)
    }

    @Test("refuses factors that would not scale")
    func bad() {
        #expect(throws: OptimizerError.self) { try LossScaler(scale: 0) }
        #expect(throws: OptimizerError.self) { try LossScaler(scale: .infinity) }
        #expect(throws: OptimizerError.self) { try LossScaler(growth: 1) }
        #expect(throws: OptimizerError.self) { try LossScaler(backoff: 1) }
        #expect(throws: OptimizerError.self) { try LossScaler(interval: 0) }
    }

    @Test("rounds to float16 as PyTorch does, to infinity beyond its range")
    func halves() throws {
        let golden = try GoldenFile("optim/rounding.safetensors")
        var x = try golden.floats("x")
        x.withUnsafeMutableBufferPointer { roundedToHalf($0) }
        let expected = try golden.ints("f16").map {
            Float(Float16(bitPattern: UInt16(bitPattern: Int16($0))))
        }
        #expect(FloatBits(x) == FloatBits(expected))
        #expect(x.contains(.infinity))
    }
}
