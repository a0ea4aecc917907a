import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Steps and epochs")
struct StepPlanTests {
    @Test("steps and epochs are those of transformers' Trainer")
    func agreesWithTrainer() throws {
        let file = try MappedFile(path: Goldens.path("formats/trainer_steps.txt"))
        let text = file.withBytes { all in
            all.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }
        let lines = text.split(separator: "\n")
        #expect(lines.count == 320)
        for line in lines {
            let fields = line.split(separator: " ").map(String.init)
            let batches = try #require(Int(fields[0]))
            let plan = try StepPlan(
                accumulation: try #require(Int(fields[1])),
                epochs: try #require(Double(fields[2])),
                maximumSteps: try #require(Int(fields[3])), microBatches: { _ in batches })
            #expect("\(plan.steps) \(plan.epochs)" == "\(fields[4]) \(fields[5])", "\(line)")
        }
    }

    @Test("epochs may have different numbers of micro-batches")
    func countsUnevenEpochs() throws {
        let counts = [5, 3, 4]
        let plan = try StepPlan(
            accumulation: 2, epochs: 2.5, maximumSteps: -1, microBatches: { counts[$0] })
        #expect(plan.steps == 3 + 2 + 1)
        #expect(plan.epochs == 3)
        #expect(plan.passes == 2 + 2.0 / 4)
        let short = try StepPlan(
            accumulation: 2, epochs: 1, maximumSteps: 4, microBatches: { counts[$0] })
        #expect(short.passes == 1 + 2.0 / 3)
        #expect(plan.fraction(epoch: 0, done: 5) == 1)
        #expect(plan.fraction(epoch: 1, done: 1) == 1 + 1.0 / 3)
        // Samples beside micro-batches are a part of one, and may lead beyond what is planned.
        #expect(plan.fraction(epoch: 1, done: 1.5) == 1.5)
        #expect(plan.fraction(epoch: 3, done: 1) == 3.25)
    }

    @Test("more passes than can be planned are refused, and so is what an epoch throws")
    func isBounded() {
        #expect {
            try StepPlan(
                accumulation: 1, epochs: 1, maximumSteps: .max, microBatches: { _ in 1 })
        } throws: {
            "\($0)".contains("'max_steps' is \(Int.max), expected at most 1000000 passes")
        }
        #expect(throws: DataError.self) {
            try StepPlan(accumulation: 1, epochs: 2, maximumSteps: -1) { epoch in
                guard epoch == 0 else { throw DataError.nothingToLearn(rows: 1, problems: []) }
                return 1
            }
        }
    }

    @Test("streamed data count steps only")
    func countsStreams() throws {
        let plan = try StepPlan(accumulation: 4, epochs: 3, maximumSteps: 9, microBatches: nil)
        #expect(plan.steps == 9 && plan.epochs == 0)
        #expect(plan.fraction(epoch: 2, done: 7) == 2)
    }
}
