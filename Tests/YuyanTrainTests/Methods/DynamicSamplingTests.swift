import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Dynamic sampling")
struct DynamicSamplingTests {
    @Test("replaces groups that all earn the same by groups of the next prompts, and only these")
    func replaces() throws {
        let run = PolicyRun()
        let flags = run.scripted(12) { $0 % 2 == 1 } + ["--dynamic_sampling", "2"]
        #expect(try run.train("run", "grpo", flags).outcome == .finished(step: 3))
        // Of 0 and 1 the first is dull, and so is 2, which is drawn for it; 3 is not.
        #expect(try run.askedRows() == (0..<12).flatMap { [$0, $0, $0, $0] })
        let log = try run.log("run")
        #expect(log.map { $0["dynamic_sampling/drawn_groups"] } == [4, 4, 4])
        #expect(log.map { $0["dynamic_sampling/dropped_groups"] } == [2, 2, 2])
        #expect(log.map { $0["frac_reward_zero_std"] } == [0, 0, 0])
        #expect(log.map { $0["epoch"] } == [1.0 / 3, 2.0 / 3, 1])
        #expect(log.allSatisfy { ($0["grad_norm"] ?? 0) > 0 })
    }

    @Test("goes on with the next epoch where a step has used up the prompts")
    func wraps() throws {
        let run = PolicyRun()
        let flags = run.scripted(6) { $0 % 2 == 1 } + ["--dynamic_sampling", "2"]
        try run.train("run", "grpo", flags)
        // The second step meets 4 and 5, and then 0 and 1 again, of which 0 is as dull as before.
        let order = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
        #expect(try run.askedRows() == order.flatMap { [$0, $0, $0, $0] })
        #expect(try run.log("run").map { $0["epoch"] } == [2.0 / 3, 1 + 1.0 / 3, 2])
    }

    @Test("drops what stays dull: its tokens do not dilute the others'")
    func drops() throws {
        let run = PolicyRun()
        let flags = run.scripted(6) { $0 == 0 } + ["--max_steps", "1"]
        try run.train("two", "grpo", flags + ["--dynamic_sampling", "1"])
        #expect(try run.askedRows() == [0, 1, 2].flatMap { [$0, $0, $0, $0] })
        let single = PolicyRun()
        let one = single.scripted(1) { _ in true } + ["--max_steps", "1"]
        try single.train("one", "grpo", one + ["--per_device_train_batch_size", "1"])
        let (two, alone) = (try run.log("two")[0], try single.log("one")[0])
        #expect(two["dynamic_sampling/drawn_groups"] == 3)
        #expect(two["dynamic_sampling/dropped_groups"] == 2)
        for name in ["grad_norm", "entropy"] {
            let (found, expected) = (try #require(two[name]), try #require(alone[name]))
            #expect(expected > 0 && abs(found - expected) < 1e-5 * expected, "\(name)")
        }
        // Without it the dull group's tokens count too.
        try run.train("diluted", "grpo", flags)
        let diluted = try #require(try run.log("diluted")[0]["grad_norm"])
        #expect(diluted < 0.8 * (try #require(alone["grad_norm"])))
    }

    @Test("says when nothing is left of a step")
    func nothingLeft() throws {
        let run = PolicyRun()
        let flags = run.scripted(12) { _ in false } + ["--dynamic_sampling", "1"]
        let notes = try run.train("run", "grpo", flags).notes
        #expect(try run.log("run").map { $0["grad_norm"] } == [0, 0, 0])
        let said = notes.filter { $0.contains("nothing is learnt") }
        #expect(said.count == 1 && said[0].hasPrefix("step 1: "), "\(said)")
        #expect(said[0].contains("8 in groups that all earned the same"))
    }

    @Test("goes on to the same bytes, wherever it was stopped, and with any number of threads")
    func resumes() throws {
        let run = PolicyRun()
        let flags =
            run.scripted(11) { $0 % 3 == 1 } + [
                "--dynamic_sampling", "2", "--num_iterations", "2", "--lr_scheduler_type",
                "constant", "--max_steps",
            ]
        let end = RunOutcome.finished(step: 8)
        #expect(try run.train("whole", "grpo", flags + ["8"]).outcome == end)
        let weights = try run.folder.bytes("whole/adapter_model.safetensors")
        let state = try run.folder.bytes("whole/trainer_state.json")
        let log = try run.log("whole")
        let drawn = log.compactMap { $0["dynamic_sampling/drawn_groups"] }
        #expect(drawn.count == 4 && drawn.contains { $0 > 2 }, "\(drawn)")
        func goesOn(_ name: String) throws {
            #expect(try run.train(name, "grpo", flags + ["8"]).outcome == end, "\(name)")
            #expect(try run.log(name) == log, "\(name)")
            #expect(
                try run.folder.bytes("\(name)/adapter_model.safetensors") == weights, "\(name)")
            #expect(try run.folder.bytes("\(name)/trainer_state.json") == state, "\(name)")
        }
        // Behind every step, those between two steps on one set among them.
        for step in 1..<8 {
            let name = "ended\(step)"
            try run.train(name, "grpo", flags + ["\(step)"])
            try goesOn(name)
        }
        // Within steps, while answers are written too.
        var stops = 0
        for polls in stride(from: 8, to: 48, by: 5) {
            let name = "cut\(polls)"
            if try run.train(name, "grpo", flags + ["8"], stopAfter: polls).outcome == end {
                continue
            }
            stops += 1
            try goesOn(name)
        }
        #expect(stops > 2)
        for threads in ["1", "3"] {
            try run.train(threads, "grpo", flags + ["8", "--threads", threads])
            #expect(try run.log(threads) == log)
            #expect(try run.folder.bytes("\(threads)/adapter_model.safetensors") == weights)
        }
    }

    @Test("micro-batches of single samples are a loader's, and single ones go on behind them")
    func stream() throws {
        func source(_ cursor: DataCursor = DataCursor()) -> SampleStream {
            SampleStream(
                TinyData(count: 5, from: cursor, killedAt: nil, splits: true), batchSize: 2)
        }
        let whole = source()
        let batches = try (0..<3).map { _ in try #require(try whole.next()) }
        #expect(batches.map(\.batch.samples.count) == [2, 2, 1])
        #expect(batches.map(\.endsEpoch) == [false, false, true])
        #expect(batches[2].cursor == DataCursor(epoch: 1))

        let cut = source()
        _ = try cut.next()
        let further = try cut.further(4)
        #expect(further.map(\.epoch) == [0, 0, 0, 1])
        #expect(further.map(\.endsEpoch) == [false, false, true, false])
        let next = try #require(try cut.next())
        let end = try #require(further.last)
        #expect(try source(end.cursor).next()?.batch == next.batch)
        #expect(try source(DataCursor(epoch: 1, index: 1)).next()?.batch == next.batch)
    }
}
