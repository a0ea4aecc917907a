import TestSupport
import Testing
import YuyanFormats

@testable import YuyanNN

@Suite("Learning rate schedules")
struct LearningRateScheduleTests {
    @Test("follow transformers' curves from the first step to beyond the last")
    func curves() throws {
        let document = try JSONDocument(path: Goldens.path("optim/cases.json"))
        let cases = try document.root.object("schedules")
        let golden = try GoldenFile("optim/schedules.safetensors")
        var names: Set<String> = []
        for (index, entry) in try cases.array("cases").enumerated() {
            let name = try entry.string("name")
            names.insert(name)
            var settings = ScheduleSettings(
                learningRate: try cases.double("learning_rate"),
                totalSteps: try cases.int("total"), warmupSteps: try entry.int("warmup"))
            for (key, value) in try entry.object("options").entries ?? [] {
                if let text = value.string {
                    settings.options[key] = .text(text)
                } else {
                    settings.options[key] = .number(try #require(value.double))
                }
            }
            let schedule = try LearningRateSchedule(name, settings)
            let expected = try golden.doubles("\(index)")
            expectClose(
                expected.indices.map { schedule.rate(step: $0) }, expected,
                Tolerance(absolute: 1e-18, relative: 1e-13), "case \(index), \(name)")
        }
        #expect(names == Set(scheduleNames))
    }

    @Test("take the warm-up from a ratio, rounded up, unless it is given in steps")
    func warmup() throws {
        var settings = ScheduleSettings(learningRate: 1, totalSteps: 101, warmupRatio: 0.03)
        #expect(settings.warmup == 4)
        settings.warmupSteps = 7
        #expect(settings.warmup == 7)
        let schedule = try LearningRateSchedule("linear", settings)
        #expect(schedule.rate(step: 0) == 0 && schedule.rate(step: 7) == 1)
    }

    @Test("keep a third stable where WSD's options say nothing, as LLaMA-Factory")
    func stable() throws {
        let settings = ScheduleSettings(learningRate: 1, totalSteps: 100, warmupSteps: 10)
        let schedule = try LearningRateSchedule("warmup_stable_decay", settings)
        #expect((10..<40).allSatisfy { schedule.rate(step: $0) == 1 })
        #expect(schedule.rate(step: 41) < 1 && schedule.rate(step: 99) > 0)
        #expect(schedule.rate(step: 100) == 0)
    }

    @Test("refuse what they do not know, with the nearest names")
    func bad() {
        let settings = ScheduleSettings(learningRate: 1e-3, totalSteps: 10)
        #expect {
            _ = try LearningRateSchedule("cosin", settings)
        } throws: {
            guard case OptimizerError.unknownSchedule("cosin", let nearest) = $0 else {
                return false
            }
            return nearest.first == "cosine"
        }
        func expectBad(
            _ name: String, _ key: String, _ change: (inout ScheduleSettings) -> Void,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            var changed = settings
            change(&changed)
            #expect(sourceLocation: sourceLocation) {
                _ = try LearningRateSchedule(name, changed)
            } throws: {
                guard case OptimizerError.badSetting(key, _, _) = $0 else { return false }
                return true
            }
        }
        expectBad("cosine", "lr_scheduler_kwargs") { $0.options = ["cycles": .number(1)] }
        expectBad("linear", "lr_scheduler_kwargs") { $0.options = ["power": .number(1)] }
        expectBad("cosine", "num_cycles") { $0.options = ["num_cycles": .text("two")] }
        expectBad("cosine", "num_cycles") { $0.options = ["num_cycles": .number(.nan)] }
        expectBad("cosine_with_min_lr", "lr_scheduler_kwargs") {
            $0.options = ["min_lr": .number(0), "min_lr_rate": .number(0)]
        }
        expectBad("polynomial", "lr_end") { $0.options = ["lr_end": .number(1)] }
        expectBad("inverse_sqrt", "timescale") { $0.options = ["timescale": .number(0)] }
        expectBad("inverse_sqrt", "timescale") { $0.options = ["timescale": .number(2.5)] }
        expectBad("warmup_stable_decay", "decay_type") {
            $0.options = ["decay_type": .text("square")]
        }
        expectBad("linear", "learning_rate") { $0.learningRate = .infinity }
        expectBad("linear", "warmup_ratio") { $0.warmupRatio = 1.5 }
        expectBad("linear", "warmup_steps") { $0.warmupSteps = -1 }
    }
}
