import TestSupport
import Testing
import YuyanFormats
import YuyanNN

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Going on with a run")
struct ResumeTests {
    private func expectSame(
        _ a: TemporaryFolder, _ b: TemporaryFolder, weights: String = "adapter_model.safetensors",
        _ note: String
    ) throws {
        #expect(try a.bytes(weights) == b.bytes(weights), "weights \(note)")
        #expect(try a.bytes("trainer_state.json") == b.bytes("trainer_state.json"), "state \(note)")
        #expect(try a.log() == b.log(), "log \(note)")
    }

    @Test("killed before any micro-batch, a run ends in the bytes of one that was not")
    func survivesKills() throws {
        var run = TinyRun()
        run.hasValidation = true
        let whole = TemporaryFolder()
        #expect(try run.run(in: whole.path) == .finished(step: 6))
        #expect(try whole.log().count == 12)
        for place in 0..<10 {
            let folder = TemporaryFolder()
            run.killedAt = place
            #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
            run.killedAt = nil
            #expect(try run.run(in: folder.path) == .finished(step: 6))
            try expectSame(whole, folder, "killed at \(place)")
        }
    }

    @Test("killed again and again, with checkpoints and logs apart", arguments: [1, 2, 3])
    func survivesManyKills(every: Int) throws {
        var run = TinyRun {
            $0.run.saveSteps = 2
            $0.run.loggingSteps = 3
            $0.run.saveLimit = 1
        }
        let (whole, folder) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: whole.path)
        for place in stride(from: every, to: 10, by: every) {
            run.killedAt = place
            #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
        }
        run.killedAt = nil
        try run.run(in: folder.path)
        try expectSame(whole, folder, "every \(every)")
        #expect(try RunFolder(folder.path).checkpoints().map(\.step) == [6])
    }

    @Test("asked to stop at any moment, evaluations included, it saves and goes on")
    func survivesSignals() throws {
        var run = TinyRun { $0.run.saveSteps = 100 }
        run.hasValidation = true
        let whole = TemporaryFolder()
        try run.run(in: whole.path)
        var moments = 0
        for moment in 0..<60 {
            let folder = TemporaryFolder()
            run.stopsAt = moment
            let first = try run.run(in: folder.path)
            if case .finished = first { break }
            guard case .interrupted(2, let step, _) = first else {
                Issue.record("\(first)")
                return
            }
            moments += 1
            #expect(
                try RunFolder(folder.path).checkpoints().map(\.step) == (step > 0 ? [step] : []))
            run.stopsAt = nil
            try run.run(in: folder.path)
            try expectSame(whole, folder, "stopped at \(moment)")
        }
        #expect(moments > 20)
    }

    @Test(
        "a whole model, in bfloat16 with masters or stochastic rounding, and in float16",
        arguments: [
            "f32", "bf16", "pure_bf16", "fp16", "adamw_8bit", "paged_adamw_32bit", "sgd",
        ])
    func survivesInAllPrecisions(kind: String) throws {
        var run = TinyRun {
            $0.method.type = .full
            $0.optimisation.usesBF16 = kind == "bf16"
            $0.optimisation.pureBF16 = kind == "pure_bf16"
            $0.optimisation.usesFP16 = kind == "fp16"
            if kind.contains("adam") || kind == "sgd" { $0.optimisation.optimizer = kind }
            if kind == "sgd" { $0.optimisation.optimizerArguments = "momentum=0.9" }
        }
        let (whole, folder) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: whole.path)
        run.killedAt = 5
        #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
        run.killedAt = nil
        run.threads = 3
        try run.run(in: folder.path)
        try expectSame(whole, folder, weights: "model.safetensors", kind)
    }

    @Test("steps that float16 skips do not move the schedule, killed or not")
    func skipsWithoutSchedule() throws {
        var run = TinyRun {
            $0.method.type = .full
            $0.optimisation.usesFP16 = true
            $0.optimisation.schedule = "linear"
        }
        run.lossScale = 0x1p40
        run.count = 200
        run.recipe.optimisation.maximumSteps = 40
        let (whole, folder) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: whole.path)
        let schedule = try LearningRateSchedule(run.recipe, steps: 40)
        var (skipped, most) = (0.0, 0.0)
        for line in try ReportPage.lines(of: whole.path + "/metrics.jsonl") {
            let values = Dictionary(line.values.map { ($0.key, $0.value) }) { $1 }
            #expect(
                values["learning_rate"] == schedule.rate(step: line.step - 1 - Int(skipped)))
            skipped = try #require(values["skipped_steps"])
            most = max(most, skipped)
        }
        #expect(most > 3 && most < 40)
        for place in [6, 31] {
            run.killedAt = place
            #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
        }
        run.killedAt = nil
        try run.run(in: folder.path)
        try expectSame(whole, folder, weights: "model.safetensors", "skipping")
    }

    @Test("stopped by a signal it can go on, though checkpoints have no optimiser")
    func stopsWithOptimizer() throws {
        var run = TinyRun { $0.run.savesOnlyModel = true }
        let (whole, folder) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: whole.path)
        for moment in [3, 4] {
            run.stopsAt = moment
            guard case .interrupted(_, let step, _) = try run.run(in: folder.path) else {
                Issue.record("not stopped at \(moment)")
                return
            }
            let names = itemNames(in: folder.path + "/checkpoint-\(step)")
            #expect(step > 0 && names.contains("optimizer.safetensors"))
        }
        run.stopsAt = nil
        try run.run(in: folder.path)
        try expectSame(whole, folder, "without optimisers")
        #expect(!itemNames(in: folder.path + "/checkpoint-6").contains("optimizer.safetensors"))
    }

    @Test("killed with checkpoints of weights only, it says why and removes nothing")
    func explainsWeightsOnly() throws {
        var run = TinyRun { $0.run.savesOnlyModel = true }
        let (whole, folder) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: whole.path)
        #expect {
            try run.run(in: whole.path)
        } throws: {
            guard case RunError.finished = $0 else { return false }
            return "\($0)".contains("nothing is left to do")
        }
        run.killedAt = 6
        #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
        run.killedAt = nil
        let before = try RunFolder(folder.path).checkpoints().map(\.step)
        #expect(before == [1, 2, 3])
        #expect {
            try run.run(in: folder.path)
        } throws: {
            guard case RunError.weightsOnly(let checkpoint) = $0 else { return false }
            return checkpoint.hasSuffix("/checkpoint-3")
                && "\($0)".contains("save_only_model: true")
                && "\($0)".contains("resume_from_checkpoint: false")
        }
        #expect(try RunFolder(folder.path).checkpoints().map(\.step) == before)
        run.recipe.run.resumeFrom = "false"
        try run.run(in: folder.path)
        #expect(
            try whole.bytes("adapter_model.safetensors")
                == folder.bytes("adapter_model.safetensors"))
        #expect(run.recipe.run.savingNotes.count == 1)
        #expect(TinyRun().recipe.run.savingNotes.isEmpty)
    }

    @Test("a finished run without checkpoints is called that")
    func finishesWithoutCheckpoints() throws {
        var run = TinyRun { $0.run.saveStrategy = .no }
        let folder = TemporaryFolder()
        try run.run(in: folder.path)
        #expect {
            try run.run(in: folder.path)
        } throws: {
            guard case RunError.finished = $0 else { return false }
            return "\($0)".contains("holds a finished run without checkpoints")
        }
        run.recipe.run.overwrites = true
        #expect(try run.run(in: folder.path) == .finished(step: 6))
    }

    @Test("what a killed save left is removed, and a damaged checkpoint is passed over")
    func survivesRubbish() throws {
        var run = TinyRun()
        let whole = TemporaryFolder()
        try run.run(in: whole.path)
        for damage in ["torn optimizer", "no state", "empty state", "wrong step", "no adapter"] {
            let folder = TemporaryFolder()
            run.killedAt = 8
            #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
            run.killedAt = nil
            let newest = folder.path + "/checkpoint-5"
            switch damage {
            case "torn optimizer": truncate(newest + "/optimizer.safetensors", 100)
            case "no state": unlink(newest + "/trainer_state.json")
            case "empty state": truncate(newest + "/trainer_state.json", 0)
            case "wrong step": rename(newest, folder.path + "/checkpoint-9")
            default: unlink(newest + "/recipe.yaml")
            }
            mkdir(folder.path + "/.yuyan-abc.tmp", 0o700)
            _ = folder.file(".yuyan-abc.tmp/optimizer.safetensors", [1, 2, 3])
            _ = folder.file(".yuyan-xyz.tmp", [1])
            mkdir(folder.path + "/.yuyan-def.old", 0o700)
            try run.run(in: folder.path)
            try expectSame(whole, folder, damage)
            #expect(folder.names.allSatisfy { !$0.hasPrefix(".yuyan-") || $0 == ".yuyan-lock" })
        }
    }

    @Test("early stopping and the best checkpoint are remembered")
    func remembersBest() throws {
        var run = TinyRun {
            $0.optimisation.epochs = 4
            // So the first evaluation is the best.
            $0.run.greaterIsBetter = true
            $0.run.earlyStoppingSteps = 2
            $0.run.saveSteps = 100
            $0.run.saveLimit = 1
        }
        run.hasValidation = true
        let (whole, folder) = (TemporaryFolder(), TemporaryFolder())
        let outcome = try run.run(in: whole.path)
        guard case .stoppedEarly(let step, let best) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(step == best + 2)
        let kept = try RunFolder(whole.path).checkpoints().map(\.step)
        #expect(kept.contains(best) && kept.contains(step))
        run.killedAt = 3
        #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
        run.killedAt = nil
        #expect(try run.run(in: folder.path) == outcome)
        try expectSame(whole, folder, "early stop")
        for name in ["best", "last"] {
            var buffer = [CChar](repeating: 0, count: 64)
            #expect(readlink(folder.path + "/" + name, &buffer, 63) > 0)
            let target = String(
                decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            #expect(target == "checkpoint-\(name == "best" ? best : step)")
        }
    }

    @Test("a recipe that would have computed other steps is refused with its keys")
    func refusesChanges() throws {
        var run = TinyRun()
        let folder = TemporaryFolder()
        run.killedAt = 6
        #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
        run.killedAt = nil
        var other = run
        other.recipe.optimisation.learningRate = 0.5
        other.recipe.method.loraRank = 3
        #expect {
            try other.run(in: folder.path)
        } throws: { error in
            guard case RunError.changedRecipe(_, let found) = error else { return false }
            return found == ["lora_rank (2 → 3)", "learning_rate (0.01 → 0.5)"]
        }
        // Where it ends and what it keeps may change.
        var longer = run
        longer.recipe.optimisation.maximumSteps = 7
        longer.recipe.run.saveSteps = 3
        #expect(try longer.run(in: folder.path) == .finished(step: 7))
    }

    @Test("a finished run stays finished; overwriting begins anew, and never an unfinished run")
    func finishes() throws {
        var run = TinyRun()
        let (whole, folder) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: whole.path)
        try run.run(in: folder.path)
        let before = try folder.bytes("metrics.jsonl")
        #expect(try run.run(in: folder.path) == .finished(step: 6))
        #expect(try folder.bytes("metrics.jsonl") == before)
        run.recipe.run.overwrites = true
        run.killedAt = 7
        #expect(throws: TinyRun.Killed.self) { try run.run(in: folder.path) }
        #expect(try RunFolder(folder.path).checkpoints().map(\.step) == [1, 2, 3, 4])
        run.killedAt = nil
        try run.run(in: folder.path)
        try expectSame(whole, folder, "overwritten")
    }

    @Test("a folder with somebody's model is not written to, nor one that another run holds")
    func respectsFolders() throws {
        let run = TinyRun()
        let folder = TemporaryFolder()
        _ = folder.file("model.safetensors", [1])
        #expect {
            try run.run(in: folder.path)
        } throws: {
            guard case RunError.occupied(_, "model.safetensors") = $0 else { return false }
            return true
        }
        let held = TemporaryFolder()
        let lock = try RunFolder(held.path).claim()
        #expect {
            try run.run(in: held.path)
        } throws: {
            guard case RunError.busy = $0 else { return false }
            return true
        }
        withExtendedLifetime(lock) {}
    }

    @Test("threads change no bit", arguments: [1, 3])
    func isThreadFree(threads: Int) throws {
        var run = TinyRun()
        let (a, b) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: a.path)
        run.threads = threads
        try run.run(in: b.path)
        try expectSame(a, b, "\(threads) threads")
    }

    @Test(
        "a step of two samples twice is a step of one sample four times",
        arguments: ["lora", "full"])
    func isCutFree(type: String) throws {
        var run = TinyRun {
            $0.method.type = type == "full" ? .full : .lora
            $0.method.usesDoRA = type == "lora"
        }
        let (a, b) = (TemporaryFolder(), TemporaryFolder())
        try run.run(in: a.path)
        run.splitsBatches = true
        run.count *= 2
        run.recipe.optimisation.accumulationSteps *= 2
        try run.run(in: b.path)
        let weights = type == "full" ? "model.safetensors" : "adapter_model.safetensors"
        #expect(try a.bytes(weights) == b.bytes(weights))
        #expect(try a.log() == b.log())
    }
}
