import TestSupport
import Testing
import YuyanFormats
import YuyanNN

@testable import YuyanTrain

@Suite("trainer_state.json")
struct TrainerStateTests {
    @Test("a state reads back the same, every bit of its numbers")
    func roundTrips() throws {
        var state = TrainerState()
        state.step = 7
        state.epoch = 1.0 / 3
        state.tokens = 12345
        state.cursor = DataCursor(epoch: 1, index: 1024, offset: 3)
        state.microBatchesDone = 5
        (state.furtherDone, state.furtherHeld) = (3, 2)
        state.history = [
            ["step": 1, "loss": .double(0.1 + 0.2), "epoch": 1.0],
            ["step": 2, "loss": .double(.leastNonzeroMagnitude)],
        ]
        state.best = TrainerState.Best(value: 1.1, step: 4, isSaved: true)
        state.evaluationsSinceBest = 2
        state.window.losses = 0.7
        state.window.steps = 3
        state.window.tokens.lossSum = 1e-17
        state.window.tokens.tokenCount = 9
        state.lossScale = 32768
        state.owesEvaluation = true
        let context = TrainerState.Context(
            plan: try StepPlan(accumulation: 2, epochs: 1, maximumSteps: -1) { _ in 5 },
            recipe: Recipe(), dataFingerprint: "5 rows",
            template: TemplateDigest(origin: "'a.jinja'", digest: "1f"), microBatchSize: 8)
        let folder = TemporaryFolder()
        let text = state.json(context).indented
        let path = folder.file("trainer_state.json", Array(text.utf8))
        let (read, fingerprint, template) = try TrainerState.read(path)
        #expect(fingerprint == "5 rows" && template == context.template)
        #expect(read.json(context).indented == text)
        #expect(read.window == state.window && read.best == state.best)
        #expect(read.cursor == state.cursor && read.owesEvaluation)
        #expect(read.furtherDone == 3 && read.furtherHeld == 2)
    }

    @Test(
        "what is missing or of another version is named",
        arguments: [
            ("{}", "yuyan"), ("{\"yuyan\": {}}", "version"),
            ("{\"yuyan\": {\"version\": 2}}", "version 2"),
            ("{\"yuyan\": {\"version\": 1}}", "global_step"),
        ])
    func refuses(text: String, reason: String) {
        let folder = TemporaryFolder()
        let path = folder.file("trainer_state.json", Array(text.utf8))
        #expect {
            try TrainerState.read(path)
        } throws: { "\($0)".contains(reason) && "\($0)".contains(path) }
    }
}
