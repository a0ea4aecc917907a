import TestSupport
import Testing
import YuyanFormats
import YuyanTensor

@testable import YuyanNN

@Suite("Optimiser")
struct OptimizerTests {
    private static let names = [
        "adamw_torch", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit", "sgd", "lion_32bit",
        "lion_8bit", "paged_lion_8bit",
    ]
    private static let roundings: [WeightRounding] = [
        .none, .bfloat16Masters, .float16Masters, .bfloat16Stochastic(CounterRandom(seed: 9)),
    ]
    private static let sizes = [5000, 17, 200_001]

    private let settings = OptimizerSettings(momentum: 0.9)

    private func parameters() -> [PlainParameter] {
        Self.sizes.enumerated().map { PlainParameter("p\($0)", noise(UInt32($0 + 1), $1)) }
    }

    private func optimizer(
        _ name: String, _ parameters: [PlainParameter], _ rounding: WeightRounding = .none,
        folder: TemporaryFolder
    ) throws -> Optimizer {
        try Optimizer(
            settings.configuration(of: name),
            groups: [
                ParameterGroup([parameters[0]], weightDecay: 0.1),
                ParameterGroup([parameters[1], parameters[2]], learningRateFactor: 4),
            ], weights: rounding, pagesIn: folder.path)
    }

    private func run(
        _ optimizer: Optimizer, _ parameters: [PlainParameter], steps: ClosedRange<Int>,
        threads: Int
    ) {
        let device = Device(threads: threads)
        for step in steps {
            for parameter in parameters {
                parameter.setGradient(goldenGradient(step: step, parameter.storageCount))
            }
            optimizer.step(learningRate: 0.01, gradientScale: 0.5, on: device)
        }
    }

    private func bits(_ parameters: [PlainParameter]) -> [FloatBits] {
        parameters.map { FloatBits($0.current) }
    }

    @Test("gives the same bits on any number of threads", arguments: names, roundings)
    func threads(_ name: String, _ rounding: WeightRounding) throws {
        let folder = TemporaryFolder()
        var found: [[FloatBits]] = []
        for threads in [1, 2, 3] {
            let parameters = parameters()
            let optimizer = try optimizer(name, parameters, rounding, folder: folder)
            run(optimizer, parameters, steps: 1...3, threads: threads)
            found.append(bits(parameters))
        }
        #expect(found[0] == found[1] && found[0] == found[2])
        #expect(found[0] != bits(self.parameters()))
    }

    @Test(
        "gives paged state the bits of state in memory",
        arguments: [("adamw_torch", "paged_adamw_32bit"), ("lion_8bit", "paged_lion_8bit")])
    func paged(_ plain: String, _ paged: String) throws {
        let folder = TemporaryFolder()
        let (first, second) = (parameters(), parameters())
        let inMemory = try optimizer(plain, first, .bfloat16Masters, folder: folder)
        let onDisk = try optimizer(paged, second, .bfloat16Masters, folder: folder)
        run(inMemory, first, steps: 1...5, threads: 2)
        run(onDisk, second, steps: 1...5, threads: 2)
        #expect(bits(first) == bits(second))
        #expect(inMemory.arrays == onDisk.arrays)
        for array in inMemory.arrays {
            #expect(inMemory.codes(array.name) == onDisk.codes(array.name), "\(array.name)")
        }
        // The file has no name from the start, so that nothing is left behind.
        #expect(folder.names.isEmpty)
    }

    @Test("goes on with the same bits after a restore", arguments: names, roundings)
    func resume(_ name: String, _ rounding: WeightRounding) throws {
        let folder = TemporaryFolder()
        let whole = parameters()
        let original = try optimizer(name, whole, rounding, folder: folder)
        run(original, whole, steps: 1...2, threads: 2)
        let saved = try original.image()
        let resumed = whole.map { PlainParameter($0.name, $0.current) }
        let copy = try optimizer(name, resumed, rounding, folder: folder)
        try copy.restore(from: saved)
        #expect(copy.stepCount == 2)
        run(original, whole, steps: 3...5, threads: 1)
        run(copy, resumed, steps: 3...5, threads: 1)
        #expect(bits(whole) == bits(resumed))
    }

    @Test("takes the memory that was predicted, and names all of it", arguments: names, roundings)
    func memory(_ name: String, _ rounding: WeightRounding) throws {
        let parameters = parameters()
        let configuration = try settings.configuration(of: name)
        let group = ParameterGroup(parameters)
        let folder = TemporaryFolder()
        let optimizer = try Optimizer(
            configuration, groups: [group], weights: rounding, pagesIn: folder.path)
        let predicted = configuration.stateBytes(of: [group], weights: rounding)
        let arrays = optimizer.arrays.reduce(0) { $0 + $1.byteCount }
        #expect(arrays <= predicted && predicted <= arrays + 64 * optimizer.arrays.count)
        #expect(optimizer.memory.byteCount >= predicted)
        #expect(optimizer.memory.byteCount < predicted + (64 << 10))
        let perElement = Double(predicted) / Double(Self.sizes.reduce(0, +))
        let states = Double(configuration.rule.states.count)
        let width = configuration.statePrecision == .dynamic8 ? 1 + 4.0 / 256 : 4
        let expected = states * width + (rounding.keepsMasters ? 4 : 0)
        #expect(abs(perElement - expected) < 0.02)
        withExtendedLifetime(folder) {}
    }

    @Test("leaves parameters without a gradient alone, and counts their steps apart")
    func withoutGradient() throws {
        let parameters = parameters()
        let optimizer = try optimizer("adamw_torch", parameters, folder: TemporaryFolder())
        let device = Device(threads: 2)
        parameters[0].setGradient(goldenGradient(step: 1, 5000))
        optimizer.step(learningRate: 0.1, on: device)
        #expect(bits(parameters)[0] != bits(self.parameters())[0])
        #expect(Array(bits(parameters)[1...]) == Array(bits(self.parameters())[1...]))
        // The late one's first step is that of a parameter alone.
        let alone = PlainParameter("p1", noise(2, 17))
        let other = try Optimizer(
            settings.configuration(of: "adamw_torch"),
            groups: [ParameterGroup([alone], learningRateFactor: 4)])
        alone.setGradient(goldenGradient(step: 2, 17))
        parameters[1].setGradient(goldenGradient(step: 2, 17))
        optimizer.step(learningRate: 0.1, on: device)
        other.step(learningRate: 0.1, on: device)
        #expect(bits([parameters[1]]) == bits([alone]))
        #expect(optimizer.stepCount == 2)
    }

    @Test("keeps zeros zero, as padding must stay")
    func padding() throws {
        let folder = TemporaryFolder()
        for name in Self.names {
            let parameter = PlainParameter("w", [Float](repeating: 0, count: 8192))
            let optimizer = try Optimizer(
                settings.configuration(of: name),
                groups: [ParameterGroup([parameter], weightDecay: 0.1)],
                pagesIn: folder.path)
            for _ in 0..<3 {
                parameter.setGradient([Float](repeating: 0, count: 8192))
                optimizer.step(learningRate: 0.1, on: Device(threads: 1))
            }
            #expect(parameter.current.allSatisfy { $0 == 0 }, "\(name)")
        }
        withExtendedLifetime(folder) {}
    }

    @Test("refuses a saved state that does not fit, by the array's name")
    func misfits() throws {
        let folder = TemporaryFolder()
        let parameters = parameters()
        let adam = try optimizer("adamw_torch", parameters, folder: folder)
        run(adam, parameters, steps: 1...1, threads: 1)
        let saved = try adam.image()
        let eight = try optimizer("adamw_8bit", self.parameters(), folder: folder)
        #expect(
            throws: OptimizerError.stateShape(
                file: "image", name: "p0.exp_avg", found: "5000 numbers of F32",
                expected: "5000 of U8")
        ) { try eight.restore(from: saved) }
        let sgd = try optimizer("sgd", self.parameters(), folder: folder)
        #expect {
            try sgd.restore(from: saved)
        } throws: {
            guard case OptimizerError.missingState("image", "p0.momentum_buffer", _) = $0 else {
                return false
            }
            return "\($0)".contains("another optimiser")
        }
        let lion = try optimizer("lion_32bit", self.parameters(), folder: folder)
        #expect {
            try lion.restore(from: saved)
        } throws: {
            guard case OptimizerError.unexpectedState("image", let names) = $0 else { return false }
            return names == ["p0.exp_avg_sq", "p1.exp_avg_sq", "p2.exp_avg_sq"]
        }
        // A refusal changes nothing.
        #expect(lion.stepCount == 0 && lion.floats("p0.exp_avg").allSatisfy { $0 == 0 })
    }

    @Test("says which folder has no room for paged state")
    func noFolder() throws {
        let configuration = try settings.configuration(of: "paged_adamw_8bit")
        #expect {
            _ = try Optimizer(
                configuration, groups: [ParameterGroup([PlainParameter("w", noise(1, 5000))])],
                pagesIn: "/nowhere/at/all")
        } throws: {
            guard case FormatError.cannotWrite("/nowhere/at/all", _) = $0 else { return false }
            return true
        }
    }
}
