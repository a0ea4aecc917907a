import TestSupport
import Testing
import YuyanFormats
import YuyanTensor

@testable import YuyanNN

@Suite("Optimisers against their references")
struct UpdateRuleTests {
    private static let cases = [
        "adamw", "adamw-betas", "sgd", "sgd-momentum", "sgd-dampening", "sgd-nesterov", "lion",
        "lion-betas",
    ]

    /// A step rounds a handful of times, relative to the weight, and to the size of the step, whose
    /// own error grows with each rounding in it.
    private static let tolerance = Tolerance(absolute: 3e-7, relative: 1e-6)

    @Test("ten steps agree with PyTorch and lion-pytorch, element by element", arguments: cases)
    func steps(_ name: String) throws {
        let golden = try GoldenFile("optim/steps.safetensors")
        let entry = try optimizerCases().root.object("steps").object(name)
        let settings = try GoldenSettings(name, entry.object("settings"))
        let parameter = PlainParameter("w", noise(1, 300))
        let optimizer = try Optimizer(
            OptimizerConfiguration(settings.rule),
            groups: [ParameterGroup([parameter], weightDecay: settings.weightDecay)])
        let device = Device(threads: 1)
        for step in 1...10 {
            parameter.setGradient(goldenGradient(step: step, 300))
            optimizer.step(learningRate: settings.learningRate, on: device)
            guard step == 1 || step == 10 else { continue }
            expectClose(
                parameter.current, try golden.floats("\(name).p.\(step)"), Self.tolerance,
                "\(name), step \(step)")
        }
        let states = try entry.array("states").compactMap(\.string)
        #expect(states == settings.rule.states.map(\.name))
        for state in states {
            // PyTorch may fuse products and sums; a sum of numbers up to 1 that cancel keeps the
            // errors of its terms, half a unit in their last place. Squares do not cancel.
            expectClose(
                optimizer.floats("w.\(state)"), try golden.floats("\(name).\(state)"),
                Tolerance(absolute: state == "exp_avg_sq" ? 1e-12 : 3e-8, relative: 2e-6),
                "\(name), \(state)")
        }
        #expect(optimizer.stepCount == 10)
    }

    @Test("8-bit states follow bitsandbytes', code by code", arguments: ["adamw", "lion"])
    func blocks(_ name: String) throws {
        let golden = try GoldenFile("optim/steps8.safetensors")
        let entry = try optimizerCases().root.object("steps8").object(name)
        let settings = try GoldenSettings(name, entry.object("settings"))
        let count = 4196
        let parameter = PlainParameter("w", noise(1, count))
        let optimizer = try Optimizer(
            OptimizerConfiguration(settings.rule, statePrecision: .dynamic8),
            groups: [ParameterGroup([parameter], weightDecay: settings.weightDecay)])
        let device = Device(threads: 2)
        for step in 1...10 {
            parameter.setGradient(goldenGradient(step: step, count))
            optimizer.step(learningRate: settings.learningRate, on: device)
            guard step == 1 else { continue }
            expectClose(
                parameter.current, try golden.floats("\(name).p.1"), Self.tolerance, "step 1")
        }
        // A last bit of difference before rounding changes a code where it meets a boundary, and that
        // code's weight by a part of its step; so nearly all elements agree closely.
        let (found, expected) = (parameter.current, try golden.floats("\(name).p.10"))
        let apart = zip(found, expected).filter { abs($0 - $1) > 1e-6 }.count
        #expect(apart <= count / 200, "\(apart) of \(count) weights differ")
        for state in settings.rule.states.map(\.name) {
            expectClose(
                optimizer.floats("w.\(state).absmax"),
                try golden.floats("\(name).\(state).absmax"), Tolerance(relative: 1e-5),
                "\(state).absmax")
            let codes = try golden.ints("\(name).\(state)")
            let differences = zip(optimizer.codes("w.\(state)"), codes).map {
                abs(Int($0) - $1)
            }
            #expect(differences.count == count && differences.allSatisfy { $0 <= 1 }, "\(state)")
            let different = differences.filter { $0 > 0 }.count
            #expect(different <= count / 200, "\(different) of \(count) codes of \(state)")
        }
    }

    @Test("powers by squaring agree with the product")
    func powers() {
        for base in [0.9, 0.999, 0.5, 0] {
            var product = 1.0
            for exponent in 0...50 {
                #expect(abs(power(base, exponent) - product) <= product * 1e-14)
                product *= base
            }
        }
        #expect(power(0.999, 1_000_000) < 1e-300)
    }
}
