import TestSupport
import Testing
import YuyanNN
import YuyanTensor

/// The losses' golden as tensors; the head is a matrix that is trained.
private struct LossCase {
    let x: Tensor
    let head: PackedMatrix
    let reference: Tensor
    let targets: [Int32]
    let weights: [Float]
    let dy: [Float]
    let golden: GoldenFile
    let device: Device

    init(threads: Int = 2) throws {
        let golden = try GoldenFile("training/losses.safetensors")
        let device = Device(threads: threads)
        func tensor(_ name: String) throws -> Tensor {
            Tensor(try golden.floats(name), shape: try golden.shape(name))
        }
        x = try tensor("x")
        reference = try tensor("reference")
        let (values, shape) = (try golden.floats("head"), try golden.shape("head"))
        head = PackedMatrix(
            rows: shape[0], columns: shape[1], parameter: "lm_head.weight", on: device
        ) { row, buffer in
            for column in 0..<shape[1] { buffer[column] = values[row * shape[1] + column] }
        }
        targets = try golden.ints("targets").map { Int32($0) }
        weights = try golden.floats("weights")
        dy = try golden.floats("dy")
        self.golden = golden
        self.device = device
    }

    /// A head that holds the logits of so many rows.
    func output(rows: Int) -> OutputHead {
        var output = OutputHead(vocabularySize: head.rows) { [head] x, _, device in
            linear(x, head, on: device)
        }
        output.logitBytes = 4 * head.rows * rows
        return output
    }

    /// Gradients of `x` and of the head for the gradient `dy` of a loss.
    func gradients(
        rows: Int, _ loss: (Tensor, OutputHead, Device) -> Tensor
    ) throws -> (value: [Float], dx: [Float], dhead: [Float]) {
        let tape = Tape()
        let device = device.training(TrainingPass(tape: tape))
        let leaf = tape.leaf(x)
        head.parameter?.zeroGradient()
        let value = loss(leaf, output(rows: rows), device)
        var found = tape.backward(
            [(value, Tensor(dy, shape: [dy.count]))], on: device)
        let dx = found.take(leaf)
        return (
            value.values, try #require(dx).values,
            try #require(head.parameter?.rowMajorGradient())
        )
    }

    func check(
        _ name: String, _ found: (value: [Float], dx: [Float], dhead: [Float])
    ) throws {
        let tolerance = Tolerance(sumLength: 300, magnitude: 4)
        expectClose(found.value, try golden.floats(name), tolerance, name)
        expectClose(found.dx, try golden.floats(name + ".dx"), tolerance, name + ".dx")
        expectClose(found.dhead, try golden.floats(name + ".dhead"), tolerance, name + ".dhead")
    }
}

@Suite("Losses over logits in stretches")
struct LossTests {
    @Test("agree with PyTorch in value and gradient, for any stretch", arguments: [16, 17, 300])
    func agree(rows: Int) throws {
        let this = try LossCase()
        try this.check(
            "logprob",
            try this.gradients(rows: rows) {
                tokenLogProbabilities($0, targets: this.targets, head: $1, on: $2)
            })
        for (name, direction) in [
            ("kl_model", DivergenceDirection.underModel), ("kl_reference", .underReference),
        ] {
            try this.check(
                name,
                try this.gradients(rows: rows) {
                    divergence(
                        $0, from: { this.reference.rows($0) }, direction: direction, head: $1,
                        on: $2)
                })
        }
    }

    @Test("give cross-entropy, its gradient, entropy and accuracy", arguments: [16, 300])
    func crossEntropies(rows: Int) throws {
        let this = try LossCase()
        let tape = Tape()
        let device = this.device.training(TrainingPass(tape: tape))
        var statistics = LossStatistics()
        let total = this.weights.reduce(0) { $0 + Double($1) }
        let dx = try #require(
            crossEntropy(
                tape.leaf(this.x), targets: this.targets, weights: this.weights,
                normalizer: total, head: this.output(rows: rows), statistics: &statistics,
                on: device))
        try this.check(
            "ce",
            (
                [Float(statistics.meanLoss)], dx.values,
                try #require(this.head.parameter?.rowMajorGradient())
            ))
        #expect(statistics.tokenCount == this.targets.count)
        #expect(statistics.correctCount == (try this.golden.ints("ce.correct").reduce(0, +)))
        let entropies = try this.golden.floats("ce.entropy").reduce(0) { $0 + Double($1) }
        #expect(abs(statistics.entropySum - entropies) < 1e-3)
        #expect(abs(statistics.weightSum - total) < 1e-9)
    }

    @Test("have the same bits for any stretch and any threads")
    func sameBits() throws {
        func found(_ rows: Int, _ threads: Int) throws -> [FloatBits] {
            let this = try LossCase(threads: threads)
            let found = try this.gradients(rows: rows) {
                tokenLogProbabilities($0, targets: this.targets, head: $1, on: $2)
            }
            return [found.value, found.dx, found.dhead].map { FloatBits($0) }
        }
        let expected = try found(300, 1)
        #expect(try found(16, 1) == expected)
        #expect(try found(19, 3) == expected)
    }

    @Test("come with the means of their rows of logits, and are the same beside them")
    func meanLogits() throws {
        let this = try LossCase()
        let logits = this.output(rows: 300).logits(this.x, 0..<this.x.rowCount, this.device)
        let expected = (0..<this.x.rowCount).map { row in
            logits.withRow(row) { Float($0.reduce(0) { $0 + Double($1) } / Double($0.count)) }
        }
        let plain = tokenLogProbabilities(
            this.x, targets: this.targets, head: this.output(rows: 300), on: this.device)
        for rows in [16, 300] {
            var found: [Float] = []
            let values = tokenLogProbabilities(
                this.x, targets: this.targets, head: this.output(rows: rows), meanLogits: &found,
                on: this.device)
            expectClose(found, expected, Tolerance(absolute: 1e-6, relative: 1e-5))
            #expect(values.values == plain.values)
        }
    }

    @Test("compute no gradient that nobody wants")
    func frozen() throws {
        let this = try LossCase()
        this.head.parameter?.isTrainable = false
        let tape = Tape()
        let device = this.device.training(TrainingPass(tape: tape))
        var statistics = LossStatistics()
        let none = crossEntropy(
            this.x, targets: this.targets, weights: this.weights, normalizer: 1,
            head: this.output(rows: 300), statistics: &statistics, on: device)
        let values = tokenLogProbabilities(
            this.x, targets: this.targets, head: this.output(rows: 300), on: device)
        #expect(none == nil)
        #expect(tape.entryCount == 0 && values.source == nil)
        #expect(this.head.parameter?.hasGradient == false)
    }
}
