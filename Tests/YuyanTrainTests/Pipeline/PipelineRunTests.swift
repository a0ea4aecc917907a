import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Pipelines as they are run")
struct PipelineRunTests {
    private let folder = TemporaryFolder()
    private let model = Goldens.path("models/gguf/llama-gqa.gguf")

    private static let rewards = #"[{name: regex, pattern: "[a-m]", mode: search}]"#

    /// Supervised, then preferences, then rewards, each on the adapter of the one before.
    private func pipeline(evaluates: Bool = false) -> String {
        func rows(_ name: String, _ row: (Int) -> String) -> String {
            let path = folder.path + "/" + name
            let text = (0..<12).map { row($0) + "\n" }.joined()
            return folder.names.contains(name) ? path : folder.file(name, Array(text.utf8))
        }
        let plain = rows("plain.jsonl") {
            #"{"prompt": "abc \#($0)", "completion": " de \#($0 * 7 % 10)"}"#
        }
        let pairs = rows("pairs.jsonl") {
            #"{"prompt": "abc \#($0)", "chosen": " de \#($0 * 7 % 10)", "rejected": " fg \#($0 % 3)"}"#
        }
        let prompts = rows("prompts.jsonl") { #"{"prompt": "abc \#($0)", "answer": "e"}"# }
        let evaluation = """
            evaluate:
              dataset: \(prompts)
              reward_funcs: \(Self.rewards)
              max_completion_length: 4

            """
        let text = """
            output_dir: \(folder.path)/out
            defaults:
              model_name_or_path: \(model)
              lora_rank: 2
              learning_rate: 1e-2
              per_device_train_batch_size: 2
              max_steps: 3
              save_steps: 1
              logging_steps: 1
              report_samples: 0
              threads: 2
              report_to: none
            stages:
              - name: teach
                dataset: \(plain)
              - name: prefer
                stage: dpo
                dataset: \(pairs)
                adapter_name_or_path: ${teach}
              - name: reinforce
                stage: grpo
                dataset: \(prompts)
                adapter_name_or_path: ${prefer}
                reward_funcs: \(Self.rewards)
                num_generations: 4
                max_completion_length: 1

            """
        return folder.file(
            evaluates ? "asks.yaml" : "p.yaml",
            Array((text + (evaluates ? evaluation : "")).utf8))
    }

    /// What a run did, by the stages' names.
    private final class Seen {
        var skipped: [String] = []
        var began: [String] = []
        var anew: [String: String] = [:]
        var resumed: [String] = []
        var evaluated: [String] = []

        func note(_ event: PipelineEvent) {
            switch event {
            case .skipped(let place, _): skipped.append(place.name)
            case .began(let place, _, let reason):
                began.append(place.name)
                anew[place.name] = reason
            case .stage(let place, .resumed): resumed.append(place.name)
            case .evaluated(let place, _): evaluated.append(place?.name ?? "start")
            default: break
            }
        }
    }

    private func make(
        _ output: String, _ flags: [String], _ selection: PipelineSelection,
        evaluates: Bool = false,
        isDry: Bool = false, stopAfter polls: Int? = nil, _ seen: Seen = Seen()
    ) throws -> PipelineRun {
        let late = LateSignal(after: polls)
        return try PipelineRun(
            PipelineSource(
                arguments: [
                    pipeline(evaluates: evaluates), "--output_dir", folder.path + "/" + output,
                ] + flags),
            selection: selection, modelPath: { $0 }, isDry: isDry,
            stopSignal: { late.signal }, observe: seen.note)
    }

    @discardableResult
    private func run(
        _ output: String, _ flags: [String] = [], _ selection: PipelineSelection = .unfinished,
        evaluates: Bool = false, stopAfter polls: Int? = nil
    ) throws -> (result: PipelineResult, seen: Seen) {
        let seen = Seen()
        let run = try make(
            output, flags, selection, evaluates: evaluates, stopAfter: polls, seen)
        return (try run.run(), seen)
    }

    private func refusal(
        _ output: String, _ flags: [String] = [], _ selection: PipelineSelection = .unfinished
    ) -> String {
        do {
            try run(output, flags, selection)
            return "nothing was refused"
        } catch {
            return "\(error)"
        }
    }

    private static let stages = ["01-teach", "02-prefer", "03-reinforce"]

    private func adapters(_ output: String) throws -> [[UInt8]] {
        try Self.stages.map { try folder.bytes("\(output)/\($0)/adapter_model.safetensors") }
    }

    @Test("run stage after stage, write one page, and find themselves finished")
    func whole() throws {
        let (result, seen) = try run("whole", evaluates: true)
        #expect(result.signal == nil)
        #expect(result.stages.map(\.status) == ["finished", "finished", "finished"])
        #expect(result.stages.map(\.steps) == [3, 3, 3])
        #expect(result.stages.map(\.kind) == ["sft", "dpo", "grpo"])
        #expect(seen.began == ["teach", "prefer", "reinforce"] && seen.anew.isEmpty)
        #expect(seen.evaluated == ["start", "teach", "prefer", "reinforce"])
        #expect(result.stages.map { $0.figures.map(\.name) } == [["loss"], ["loss"], ["reward"]])
        #expect(result.evaluationNames.contains("rewards/regex/mean"))
        #expect(result.start.count == result.evaluationNames.count)
        for stage in result.stages {
            #expect(stage.evaluation.map(\.name) == result.start.map(\.name))
        }
        let adapters = try adapters("whole")
        #expect(Set(adapters).count == 3)

        let page = String(decoding: try folder.bytes("whole/report.html"), as: UTF8.self)
        for stage in Self.stages {
            #expect(page.contains("<a href=\"\(stage)/report.html\">"))
            #expect(try !folder.bytes("whole/\(stage)/report.html").isEmpty)
        }
        #expect(page.contains("<svg") && !page.contains("<script"))
        #expect(page.contains("3 of 3 stages are finished."))

        let record = try folder.bytes("whole/pipeline.json")
        let (again, seenAgain) = try run("whole", evaluates: true)
        #expect(seenAgain.skipped == ["teach", "prefer", "reinforce"])
        #expect(seenAgain.began.isEmpty && seenAgain.evaluated.isEmpty)
        #expect(again.stages.map(\.wasFinished) == [true, true, true])
        #expect(try folder.bytes("whole/pipeline.json") == record)
        #expect(try self.adapters("whole") == adapters)
        #expect(again.stages.map(\.figures) == result.stages.map(\.figures))
    }

    @Test("give the bytes of the same recipes run one by one")
    func likeTrain() throws {
        try run("piped")
        let source = try PipelineSource(
            arguments: [pipeline(), "--output_dir", folder.path + "/alone"])
        for stage in source.stages {
            _ = try TrainingRun(stage.source, modelPath: model, observe: { _ in }).train()
        }
        #expect(try adapters("piped") == adapters("alone"))
    }

    @Test("go on to the same bytes, wherever they were stopped")
    func resumes() throws {
        try run("whole")
        let whole = try adapters("whole")
        var interrupted: Set<String> = []
        var resumed: Set<String> = []
        for polls in stride(from: 0, to: 60, by: 2) {
            let output = "cut\(polls)"
            let (first, _) = try run(output, stopAfter: polls)
            guard first.signal != nil else { continue }
            #expect(first.signal == 2)
            interrupted.formUnion(
                first.stages.filter { $0.status == "interrupted" }.map(\.name))
            let (last, seen) = try run(output)
            resumed.formUnion(seen.resumed)
            #expect(last.signal == nil)
            #expect(seen.skipped == first.stages.filter { $0.status == "finished" }.map(\.name))
            #expect(try adapters(output) == whole, "stopped after \(polls)")
        }
        #expect(interrupted == ["teach", "prefer", "reinforce"])
        #expect(resumed == ["teach", "prefer", "reinforce"])
    }

    @Test("a stage that is done anew takes those behind it along, if it comes out different")
    func redoes() throws {
        try run("out")
        let before = try adapters("out")
        // The same recipe gives the same bytes, so nothing behind it has changed.
        let (_, same) = try run("out", [], .only("teach"))
        #expect(same.began == ["teach"] && same.anew["teach"] == "as asked")
        #expect(try adapters("out") == before)
        #expect(try run("out").seen.skipped == ["teach", "prefer", "reinforce"])

        let other = ["--teach.seed", "9"]
        let (only, seen) = try run("out", other, .only("teach"))
        #expect(seen.began == ["teach"] && only.stages[0].status == "finished")
        let changed = try adapters("out")
        #expect(changed[0] != before[0] && changed[1] == before[1] && changed[2] == before[2])
        let (_, rest) = try run("out", other)
        #expect(rest.skipped == ["teach"] && rest.began == ["prefer", "reinforce"])
        #expect(rest.anew["prefer"] == "what it takes from teach has changed")
        #expect(rest.anew["reinforce"] == "what it takes from prefer has changed")
        try run("fresh", other)
        #expect(try adapters("out") == adapters("fresh"))
    }

    @Test("--from begins anew, and goes on where it was stopped if it is said again")
    func from() throws {
        try run("out")
        let before = try adapters("out")
        let (_, seen) = try run("out", [], .from("prefer"))
        #expect(seen.skipped == ["teach"] && seen.began == ["prefer", "reinforce"])
        #expect(seen.resumed.isEmpty)
        #expect(try adapters("out") == before)

        var cutBehindFirst = 0
        for polls in 1..<24 {
            let (first, _) = try run("out", [], .from("teach"), stopAfter: polls)
            guard first.signal != nil else { continue }
            let done = first.stages.filter { $0.status == "finished" }.map(\.name)
            let (last, again) = try run("out", [], .from("teach"))
            #expect(last.signal == nil && again.skipped == done, "\(polls): \(again.skipped)")
            cutBehindFirst += done.isEmpty ? 0 : 1
            #expect(try adapters("out") == before)
        }
        #expect(cutBehindFirst > 2)
        // Once it has come to its end, it begins anew again.
        #expect(try run("out", [], .from("reinforce")).seen.began == ["reinforce"])
        #expect(try run("out", [], .from("reinforce")).seen.began == ["reinforce"])
        #expect(refusal("out", [], .from("refine")).contains("no stage is called 'refine'"))
    }

    @Test("a longer stage goes on, and those behind it follow")
    func lengthens() throws {
        try run("out")
        let (result, seen) = try run("out", ["--prefer.max_steps", "5"])
        #expect(seen.skipped == ["teach"] && seen.began == ["prefer", "reinforce"])
        #expect(seen.resumed == ["prefer"] && seen.anew.keys.sorted() == ["reinforce"])
        #expect(result.stages.map(\.steps) == [3, 5, 3])
    }

    @Test("what is not what it was is refused, with the way out")
    func refuses() throws {
        try run("out")
        let recipe = refusal("out", ["--prefer.learning_rate", "0.02"])
        #expect(recipe.contains("stage 'prefer' was run by another recipe: learning_rate"))
        #expect(recipe.contains("0.01 → 0.02") && recipe.contains("--from prefer"), "\(recipe)")
        // Asked for, it is no mistake.
        let (_, seen) = try run("out", ["--prefer.learning_rate", "0.02"], .from("prefer"))
        #expect(seen.began == ["prefer", "reinforce"])

        let text = String(decoding: try folder.bytes("pairs.jsonl"), as: UTF8.self)
        _ = folder.file("pairs.jsonl", Array(text.replacing("abc 3", with: "abd 3").utf8))
        let data = refusal("out", ["--prefer.learning_rate", "0.02"])
        #expect(data.contains("stage 'prefer' was run on other data"), "\(data)")
        _ = folder.file("pairs.jsonl", Array(text.utf8))
        #expect(
            try run("out", ["--prefer.learning_rate", "0.02"]).seen.skipped.count == 3)

        #expect(
            refusal("new", [], .only("prefer")).contains(
                "stage 'prefer' takes from 'teach', which is not finished"))
        let missing = refusal("new", ["--reinforce.dataset", "/nowhere.jsonl"])
        #expect(missing.contains("stage 'reinforce': ") && missing.contains("/nowhere.jsonl"))
        #expect(!folder.names.contains("new"))
    }

    @Test("a result that was touched is made anew, and a lost record is no guess")
    func distrusts() throws {
        try run("out")
        let before = try adapters("out")
        _ = folder.file("out/01-teach/adapter_model.safetensors", before[1])
        let (_, seen) = try run("out")
        #expect(seen.began == ["teach"] && seen.skipped == ["prefer", "reinforce"])
        #expect(seen.anew["teach"]?.contains("does not hold the result") == true)
        #expect(try adapters("out") == before)

        _ = folder.file("out/pipeline.json", Array("{".utf8))
        #expect(refusal("out").contains("out/pipeline.json:1"))
        _ = folder.file(
            "out/pipeline.json", Array(#"{"version": 1, "redo": [], "stages": []}"#.utf8))
        let lost = refusal("out")
        #expect(lost.contains("stage 'prefer'") && lost.contains("--from prefer"), "\(lost)")
        // The first stage needs nothing of others: its own folder says that it is finished.
        #expect(try run("out", [], .from("prefer")).seen.skipped == ["teach"])
        #expect(try adapters("out") == before)
    }

    @Test("a look says what would be done, and does nothing")
    func looks() throws {
        let outlook = try make("out", [], .unfinished, isDry: true).look()
        #expect(
            outlook.stages.map(\.prospect) == [.begins, .follows(["teach"]), .follows(["prefer"])])
        #expect(outlook.first?.place.description == "[1/3 teach]")
        guard case .training(let summary, _)? = outlook.first?.time else {
            Issue.record("no stage that trains")
            return
        }
        #expect(summary.steps == 3)
        #expect(!folder.names.contains("out"))

        try run("out")
        let names = itemNames(in: folder.path + "/out")
        let done = try make("out", [], .unfinished, isDry: true).look()
        #expect(done.stages.map(\.prospect) == [.finished, .finished, .finished])
        #expect(done.first == nil)
        let from = try make("out", [], .from("prefer"), isDry: true).look()
        #expect(
            from.stages.map(\.prospect) == [
                .finished, .beginsAnew("as asked"), .follows(["prefer"]),
            ])
        #expect(from.first?.place.name == "prefer")
        let only = try make("out", [], .only("prefer"), isDry: true).look()
        #expect(only.stages.map(\.prospect) == [.left, .beginsAnew("as asked"), .left])
        #expect(itemNames(in: folder.path + "/out") == names)
        // Nothing was noted either.
        #expect(try run("out").seen.skipped.count == 3)
    }

    /// A cold start, sampling through its adapter, and learning from what was kept.
    @Test("answers that one stage keeps are what the next one learns from")
    func samples() throws {
        let plain = (0..<12).map { #"{"prompt": "abc \#($0)", "completion": " de"}"# + "\n" }
        let prompts = (0..<12).map { #"{"prompt": "abc \#($0)"}"# + "\n" }
        let text = """
            output_dir: \(folder.path)/sampled
            defaults:
              model_name_or_path: \(model)
              lora_rank: 2
              learning_rate: 1e-2
              per_device_train_batch_size: 2
              report_samples: 0
              threads: 2
              report_to: none
            stages:
              - name: cold
                dataset: \(folder.file("cold.jsonl", Array(plain.joined().utf8)))
                max_steps: 2
              - name: sample
                stage: sample
                dataset: \(folder.file("ask.jsonl", Array(prompts.joined().utf8)))
                adapter_name_or_path: ${cold}
                reward_funcs: [{name: length, target: 4}]
                num_generations: 4
                max_completion_length: 4
                sample_pairs: true
              - name: refine
                dataset: ${sample}/samples.jsonl
                adapter_name_or_path: ${cold}
                max_steps: 2

            """
        let path = folder.file("sampled.yaml", Array(text.utf8))
        func run(_ flags: [String] = [], stopAfter polls: Int = .max) throws -> (
            PipelineResult, Seen
        ) {
            let seen = Seen()
            let late = LateSignal(after: polls)
            let run = try PipelineRun(
                PipelineSource(arguments: [path] + flags), modelPath: { $0 },
                stopSignal: { late.signal }, observe: seen.note)
            return (try run.run(), seen)
        }
        let (result, seen) = try run()
        #expect(result.stages.map(\.status) == ["finished", "finished", "finished"])
        #expect(result.stages.map(\.steps) == [2, 6, 2] && seen.began.count == 3)
        let kept = try folder.bytes("sampled/02-sample/samples.jsonl")
        #expect((1...12).contains(kept.count { $0 == 0x0A }))
        let adapter = try folder.bytes("sampled/03-refine/adapter_model.safetensors")
        #expect(try run().1.skipped == ["cold", "sample", "refine"])

        var cut = 0
        for polls in 0..<18 {
            let flags = ["--output_dir", folder.path + "/cut\(polls)"]
            guard try run(flags, stopAfter: polls).0.signal != nil else { continue }
            cut += 1
            #expect(try run(flags).0.signal == nil)
            #expect(try folder.bytes("cut\(polls)/02-sample/samples.jsonl") == kept)
            #expect(
                try folder.bytes("cut\(polls)/03-refine/adapter_model.safetensors") == adapter)
        }
        #expect(cut > 9)
    }

    @Test("two commands do not write into one folder")
    func locks() throws {
        let first = try make("out", [], .unfinished)
        #expect(refusal("out").contains("another run is writing here"))
        _ = try first.run()
    }
}
