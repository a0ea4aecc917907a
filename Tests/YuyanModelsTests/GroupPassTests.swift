import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// A tiny model with an adapter that changes something, and answers of many lengths.
private struct GroupCase {
    let model: TrainableModel
    let device: Device
    let groups: [AnswerGroup]

    init(_ name: String, threads: Int = 2, adapted: Bool = true) throws {
        device = Device(threads: threads, precision: .f32)
        let checkpoint = try ModelCase(folder: name).checkpoint
        var configuration = LowRankConfiguration()
        configuration.rank = 4
        configuration.hasMagnitudes = true
        model = try TrainableModel(
            checkpoint, method: adapted ? .lowRank(configuration) : .full, on: device)
        for parameter in model.parameters where parameter.name.hasSuffix("lora_B.weight") {
            parameter.load(rowMajor: (0..<parameter.count).map { Float($0 % 5 - 2) * 0.1 })
        }
        model.parametersChanged(on: device)
        let size = UInt32(model.decoder.shape.vocabularySize)
        func ids(_ seed: UInt32, _ count: Int) -> [Int32] {
            (0..<UInt32(count)).map { Int32(($0 &* 2_654_435_761 &+ seed &* 40_503) >> 7 % size) }
        }
        groups = [
            AnswerGroup(prompt: ids(1, 35), answers: [ids(2, 4), ids(3, 1), ids(4, 30)]),
            AnswerGroup(prompt: ids(5, 3), answers: [ids(6, 7)]),
            AnswerGroup(prompt: ids(7, 1), answers: [ids(8, 2), ids(9, 33)]),
        ]
    }

    /// The same answers, each with a prompt of its own.
    var alone: [AnswerGroup] {
        groups.flatMap { group in
            group.answers.map { AnswerGroup(prompt: group.prompt, answers: [$0]) }
        }
    }

    /// Gradients of every parameter for a loss with another slope at each token.
    func gradients(_ groups: [AnswerGroup], _ options: GroupPassOptions) -> [[Float]] {
        model.zeroGradients()
        model.addGradients(of: groups, options, on: device) { pass in
            let (x, head) = pass.targetRows()
            let (_, dx) = tokenScores(x, targets: pass.targets, head: head, on: pass.device) {
                row, _ in TokenSlope(logProbability: Double(Int(pass.targets[row]) % 7 - 3))
            }
            return dx.map { [(x, $0)] } ?? []
        }
        return model.parameters.map { $0.rowMajorGradient() ?? [] }
    }
}

@Suite("Answers that share a prompt")
struct GroupPassTests {
    static let models = ["llama-gqa", "llama-tied", "mistral-window", "qwen2", "qwen3-tied"]

    @Test("have the log-probabilities of each answer alone, bit for bit", arguments: models)
    func sameBits(_ name: String) throws {
        let this = try GroupCase(name)
        let shared = this.model.logProbabilities(of: this.groups, on: this.device)
        let alone = this.model.logProbabilities(of: this.alone, on: this.device)
        #expect(
            FloatBits(shared.flatMap { $0.flatMap { $0 } }) == FloatBits(alone.flatMap { $0[0] }))
        #expect(shared.map { $0.map(\.count) } == this.groups.map { $0.answers.map(\.count) })
        let whole = this.alone.map { $0.prompt + $0.answers[0] }
        let training = this.model.logProbabilities(
            of: TrainingTokens(
                tokens: whole.flatMap { $0 }, weights: whole.flatMap { $0.map { _ in 1 } },
                lengths: whole.map(\.count)), on: this.device)
        var (expected, start) = ([Float](), 0)
        for group in this.alone {
            let count = group.tokenCount
            expected += training[start + group.prompt.count..<start + count]
            start += count
        }
        #expect(FloatBits(alone.flatMap { $0[0] }) == FloatBits(expected))
    }

    @Test(
        "give the gradient of answers that each have their own", arguments: models, [true, false])
    func sameGradient(_ name: String, _ adapted: Bool) throws {
        let this = try GroupCase(name, adapted: adapted)
        let options = GroupPassOptions()
        let (shared, alone) = (
            this.gradients(this.groups, options), this.gradients(this.alone, options)
        )
        for ((parameter, found), expected) in zip(zip(this.model.parameters, shared), alone) {
            let largest = expected.reduce(0) { max($0, abs(Double($1))) }
            #expect(largest > 0, "\(parameter.name)")
            // Sums over the same 80 tokens in another order, through two layers.
            expectClose(
                found, expected, Tolerance(sumLength: 4096, magnitude: largest), parameter.name)
        }
    }

    @Test("may be cut into passes, and run on any number of threads")
    func cuts() throws {
        let one = try GroupCase("llama-gqa", threads: 1)
        var options = GroupPassOptions()
        options.splitsGroups = true
        let whole = one.gradients(one.groups, options).map { FloatBits($0) }
        let three = try GroupCase("llama-gqa", threads: 3)
        #expect(three.gradients(three.groups, options).map { FloatBits($0) } == whole)
        three.model.checkpointsLayers = true
        #expect(three.gradients(three.groups, options).map { FloatBits($0) } == whole)
        one.model.tokensPerPass = 40
        let values = one.model.logProbabilities(of: one.groups, on: one.device)
        let uncut = three.model.logProbabilities(of: three.groups, on: three.device)
        #expect(values == uncut)
        for (found, expected) in zip(
            one.gradients(one.groups, options), three.gradients(three.groups, options))
        {
            let largest = expected.reduce(0) { max($0, abs(Double($1))) }
            expectClose(found, expected, Tolerance(sumLength: 4096, magnitude: largest))
        }
    }

    @Test("are the base model's own without the adapter")
    func reference() throws {
        let this = try GroupCase("qwen2")
        let plain = try TrainableModel(
            ModelCase(folder: "qwen2").checkpoint, method: .full, on: this.device)
        var options = GroupPassOptions()
        options.adapter = .none
        let found = this.model.logProbabilities(of: this.groups, options, on: this.device)
        #expect(found == plain.logProbabilities(of: this.groups, on: this.device))
        #expect(found != this.model.logProbabilities(of: this.groups, on: this.device))
    }
}
