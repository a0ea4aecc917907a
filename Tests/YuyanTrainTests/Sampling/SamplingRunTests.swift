import Synchronization
import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Batches that a run has told of.
private final class BatchCount: Sendable {
    let value = Atomic(0)
}

@Suite("Runs of stage sample")
struct SamplingRunTests {
    private let folder = TemporaryFolder()
    private let model = Goldens.path("models/gguf/llama-gqa.gguf")

    private static let prompts = (0..<13).map { #"{"prompt": "abc \#($0)", "answer": "e\#($0)"}"# }

    private func file(_ name: String, _ lines: [String]) -> String {
        folder.file(name, Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    private static let rewards = [
        "--reward_funcs", "[{name: regex, pattern: \"[a-m]\", mode: search}]",
    ]

    /// Thirteen prompts in seven batches.
    private func source(_ output: String, _ flags: [String], stage: String = "sample") throws
        -> RecipeSource
    {
        let data =
            flags.contains("--dataset") ? [] : ["--dataset", file("data.jsonl", Self.prompts)]
        return try RecipeSource(
            arguments: [
                "--model_name_or_path", model, "--output_dir", folder.path + "/" + output,
                "--stage", stage, "--per_device_train_batch_size", "2", "--report_samples", "3",
                "--threads", "2", "--run_name", "sampling",
            ] + data + flags)
    }

    private static let draws = [
        "--num_generations", "6", "--max_completion_length", "3", "--sample_keep", "2",
    ]

    @discardableResult
    private func sample(
        _ output: String, _ flags: [String] = [], scored: Bool = true,
        stopAfter batches: Int? = nil, looks: Int? = nil
    ) throws -> SamplingResult {
        let late = LateSignal(after: looks)
        let done = BatchCount()
        return try SamplingRun(
            source(output, Self.draws + (scored ? Self.rewards : []) + flags), modelPath: model,
            stopSignal: {
                if let batches, done.value.load(ordering: .relaxed) >= batches { return 2 }
                return late.signal
            },
            observe: { event in
                if case .batch = event { done.value.add(1, ordering: .relaxed) }
            }
        ).sample()
    }

    private func summary(_ result: SamplingResult) throws -> SamplingSummary {
        guard case .finished(let summary) = result.outcome else {
            Issue.record("\(result)")
            throw TinyRun.Killed()
        }
        return summary
    }

    private func lines(_ name: String) throws -> [JSONCursor] {
        String(decoding: try folder.bytes(name), as: UTF8.self).split(separator: "\n").map {
            // A line is bytes that were a document when they were written.
            (try? JSONDocument(bytes: Array($0.utf8), name: name).root)
        }.compactMap { $0 }
    }

    /// The log without what depends on the machine.
    private func log(_ output: String) throws -> [[String: Double]] {
        try ReportPage.lines(of: folder.path + "/\(output)/metrics.jsonl").map { line in
            line.values.filter {
                !["tokens_per_second", "step_time"].contains($0.key)
                    && !$0.key.hasPrefix("memory")
            }
        }
    }

    private func refusal(_ output: String, _ flags: [String], stage: String = "sample") -> String {
        do {
            if stage == "sample" {
                try sample(output, flags)
            } else {
                _ = try TrainingRun(source(output, flags, stage: stage), modelPath: model) { _ in }
                    .train()
            }
            return ""
        } catch {
            return "\(error)"
        }
    }

    /// What equal runs share, the folder's name aside.
    private func expectSame(_ a: String, _ b: String, pairs: Bool = true, _ note: String) throws {
        for name in ["samples.jsonl", "summary.json"] + (pairs ? ["pairs.jsonl"] : []) {
            #expect(
                try folder.bytes("\(a)/\(name)") == folder.bytes("\(b)/\(name)"), "\(name) \(note)")
        }
        func page(_ output: String) throws -> String {
            String(decoding: try folder.bytes("\(output)/report.html"), as: UTF8.self)
                .replacing(folder.path + "/" + output, with: "out")
        }
        #expect(try page(a) == page(b), "report \(note)")
        #expect(try log(a) == log(b), "log \(note)")
    }

    @Test("writes the best answers with their rewards, and says what best of n is worth")
    func samples() throws {
        let flags = ["--sample_threshold", "1", "--sample_pairs"]
        let summary = try summary(sample("best", flags))
        #expect(summary.prompts == 13 && summary.answers == 78 && summary.batches == 7)
        let rows = try lines("best/samples.jsonl")
        #expect(rows.count == summary.samples && rows.count > 2 && rows.count <= 26)
        var places: [Int] = []
        for row in rows {
            #expect(row.entries?.map(\.key) == ["prompt", "completion", "answer", "reward"])
            #expect(try row.double("reward") == 1)
            let text = try row.string("completion")
            #expect(text.unicodeScalars.contains { ("a"..."m").contains($0) }, "\(text)")
            let number = try #require(Int(try row.string("answer").dropFirst()))
            #expect(try row.string("prompt") == "abc \(number)")
            places.append(number)
        }
        // Each prompt once, in the order of the file, with two answers at most.
        #expect(places == places.sorted())
        #expect(Set(places).count == summary.promptsWithSamples)
        #expect(
            Set(
                rows.map {
                    "\($0["prompt"]?.string ?? "") \(stripped($0["completion"]?.string ?? ""))"
                }
            )
            .count == rows.count)

        let pairs = try lines("best/pairs.jsonl")
        #expect(pairs.count == summary.pairs && pairs.count > 2)
        for pair in pairs {
            #expect(try pair.double("chosen_reward") == 1 && pair.double("rejected_reward") == 0)
        }

        #expect(summary.judgedPrompts == 13)
        #expect(summary.bestOf.map(\.count) == [1, 2, 4, 6])
        let mean = try #require(summary.meanReward)
        #expect(mean > 0 && mean < 1)
        #expect(abs(summary.bestOf[0].reward - mean) < 1e-12)
        for (less, more) in zip(summary.bestOf, summary.bestOf.dropFirst()) {
            #expect(less.reward <= more.reward + 1e-12)
        }
        // With a threshold at the reward's top, what was kept is what was solved.
        #expect(abs(summary.bestOf[3].reward - summary.keptShare) < 1e-12)

        let log = try log("best")
        #expect(log.count == 7)
        for key in [
            "reward", "reward_std", "rewards/regex/mean", "completions/mean_length",
            "completions/clipped_ratio", "samples/kept_ratio", "samples/prompt_ratio",
        ] {
            #expect(log.allSatisfy { $0[key] != nil }, "\(key)")
        }
        #expect(log[6]["num_prompts"] == 13)
        #expect(log[6]["num_tokens"] == Double(summary.tokens))
        let names = itemNames(in: folder.path + "/best")
        #expect(
            names.filter { !$0.hasPrefix(".") } == [
                "metrics.jsonl", "pairs.jsonl", "recipe.yaml", "report.html", "runs",
                "samples.jsonl", "summary.json",
            ])
        // What TensorBoard reads: every number of every batch.
        let events = try #require(itemNames(in: folder.path + "/best/runs").first)
        #expect(events.hasPrefix("events.out.tfevents."))
        let bytes = try folder.bytes("best/runs/\(events)")
        for tag in ["train/reward", "train/samples/kept_ratio", "train/num_tokens"] {
            let places = bytes.indices.count { bytes[$0...].starts(with: Array(tag.utf8)) }
            #expect(places >= 7, "\(tag)")
        }
        let page = String(decoding: try folder.bytes("best/report.html"), as: UTF8.self)
        #expect(page.contains("Best reward of n answers") && page.contains("<polyline"))
        #expect(page.contains("abc 0") && page.contains("abc 2") && !page.contains("abc 3"))
        let again = try SamplingSummary(path: folder.path + "/best/summary.json")
        #expect(again.json.description == summary.json.description)
    }

    @Test("its rows are read by sft, dpo and rm as they are", arguments: [false, true])
    func isReadBack(isChat: Bool) throws {
        let template = folder.file("chat.jinja", Array(DataFixture.chatML.utf8))
        let chats = (0..<10).map {
            #"{"messages": [{"role": "user", "content": "ab \#($0)"}, "#
                + #"{"role": "assistant", "content": "the"}], "answer": "e"}"#
        }
        let format = isChat ? ["--template", template] : []
        let data = isChat ? ["--dataset", file("chats.jsonl", chats)] : []
        let found = try summary(
            sample("data", data + format + ["--sample_pairs", "--num_generations", "8"]))
        #expect(found.samples > 2 && found.pairs ?? 0 > 1)
        let row = try #require(try lines("data/samples.jsonl").first)
        #expect((row["messages"] != nil) == isChat && row["answer"] != nil)
        for (stage, name) in [("sft", "samples"), ("dpo", "pairs"), ("rm", "pairs")] {
            let flags = [
                "--dataset", folder.path + "/data/\(name).jsonl", "--max_steps", "2",
                "--lora_rank", "2", "--report_samples", "0", "--report_to", "none",
            ]
            let outcome = try TrainingRun(
                source("\(stage)", flags + format, stage: stage), modelPath: model
            ) { _ in }.train().outcome
            #expect(outcome == .finished(step: 2), "\(stage)")
        }
    }

    @Test("without rewards answers are written as they come")
    func plain() throws {
        let summary = try summary(sample("plain", ["--sample_keep", "9"], scored: false))
        #expect(summary.meanReward == nil && summary.bestOf.isEmpty && summary.pairs == nil)
        let rows = try lines("plain/samples.jsonl")
        #expect(rows.count == summary.samples && rows.count > 13)
        #expect(rows.allSatisfy { $0["reward"] == nil })
        #expect(try log("plain").allSatisfy { $0["reward"] == nil && $0["num_tokens"] != nil })
        #expect(itemNames(in: folder.path + "/plain").contains("pairs.jsonl") == false)
    }

    @Test("a single answer may be the likeliest, whatever the seed")
    func likeliest() throws {
        let one = ["--num_generations", "1", "--temperature", "0", "--sample_keep", "1"]
        try sample("a", one + ["--seed", "1"], scored: false)
        try sample("b", one + ["--seed", "2"], scored: false)
        #expect(try folder.bytes("a/samples.jsonl") == folder.bytes("b/samples.jsonl"))
        #expect(try !folder.bytes("a/samples.jsonl").isEmpty)
        #expect(refusal("c", ["--temperature", "0"]).contains("'temperature' is 0"))
    }

    @Test("the seed decides, threads do not")
    func isDeterministic() throws {
        for threads in ["1", "2"] {
            try sample("threads\(threads)", ["--sample_pairs", "--threads", threads])
        }
        for name in ["samples.jsonl", "pairs.jsonl", "summary.json"] {
            #expect(try folder.bytes("threads1/\(name)") == folder.bytes("threads2/\(name)"))
        }
        #expect(try log("threads1") == log("threads2"))
        try sample("other", ["--sample_pairs", "--seed", "7"])
        #expect(try folder.bytes("other/samples.jsonl") != folder.bytes("threads1/samples.jsonl"))
    }

    @Test("answers through an adapter, whatever rank the recipe has")
    func adapters() throws {
        let data = file(
            "learn.jsonl", (0..<8).map { #"{"prompt": "abc \#($0)", "completion": "zzz"}"# })
        _ = try TrainingRun(
            source(
                "trained",
                [
                    "--dataset", data, "--max_steps", "60", "--lora_rank", "4", "--learning_rate",
                    "2e-2", "--report_samples", "0", "--report_to", "none", "--save_strategy", "no",
                ], stage: "sft"), modelPath: model
        ) { _ in }.train()
        let zed = ["--reward_funcs", "[{name: regex, pattern: z, mode: search}]"]
        let before = try summary(sample("before", zed))
        let after = try summary(
            sample(
                "after",
                zed + [
                    "--adapter_name_or_path", folder.path + "/trained", "--finetuning_type", "full",
                ]))
        #expect(try #require(after.meanReward) > (before.meanReward ?? 0) + 0.3)
    }

    @Test("stopped behind any batch it goes on to the same bytes")
    func resumes() throws {
        try sample("whole", ["--sample_pairs"])
        for polls in 0..<7 {
            let output = "cut\(polls)"
            let first = try sample(output, ["--sample_pairs"], stopAfter: polls)
            guard case .interrupted(2, polls) = first.outcome else {
                Issue.record("\(first.outcome)")
                return
            }
            #expect(itemNames(in: folder.path + "/" + output).contains("journal.jsonl"))
            _ = try summary(sample(output, ["--sample_pairs", "--threads", "2"]))
            try expectSame("whole", output, "stopped at \(polls)")
        }
        // Stopped again and again.
        for _ in 0..<7 { try sample("often", ["--sample_pairs"], stopAfter: 1) }
        _ = try summary(sample("often", ["--sample_pairs"]))
        try expectSame("whole", "often", "stopped often")
    }

    @Test("stopped while it writes or scores it loses the batch, and goes on to the same bytes")
    func stopsAtOnce() throws {
        try sample("whole", ["--sample_pairs"])
        var stops = 0
        for looks in 1..<24 {
            let output = "cut\(looks)"
            let first = try sample(output, ["--sample_pairs"], looks: looks)
            if case .interrupted(2, let batches) = first.outcome {
                stops += 1
                #expect(batches < 7)
                // The third look is the first while the engine writes.
                if looks < 3 { #expect(batches == 0) }
            }
            _ = try summary(sample(output, ["--sample_pairs"]))
            try expectSame("whole", output, "stopped at look \(looks)")
        }
        #expect(stops > 15)
    }

    @Test("a program that takes its time is ended with the run")
    func endsPrograms() throws {
        let script = folder.file("slow.sh", Array("#!/bin/sh\nsleep 3600\n".utf8))
        let reward = "[{program: /bin/sh, arguments: [\(script)], timeout: 3000}]"
        for faults in ["stop", "skip"] {
            let start = ContinuousClock.now
            let result = try sample(
                "slow-\(faults)", ["--reward_funcs", reward, "--reward_faults", faults],
                scored: false, looks: 40)
            guard case .interrupted(2, 0) = result.outcome else {
                Issue.record("\(result.outcome)")
                return
            }
            #expect(ContinuousClock.now - start < .seconds(600))
        }
    }

    @Test("killed while it writes, it goes on at the first batch that is not whole")
    func survivesTornFiles() throws {
        try sample("whole")
        for damage in ["torn", "nothing but the header", "rubbish", "lost in the middle"] {
            let output = "damaged"
            try sample(output, stopAfter: 4)
            let path = folder.path + "/damaged/journal.jsonl"
            var text = String(decoding: try folder.bytes("damaged/journal.jsonl"), as: UTF8.self)
            var all = text.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(all.count == 6)
            switch damage {
            case "torn": text.removeLast(20)
            case "nothing but the header": text = all[0] + "\n"
            case "rubbish": text += "{\"batch\": 5}x\n\n"
            default:
                all.remove(at: 2)
                text = all.joined(separator: "\n")
            }
            _ = folder.file("damaged/journal.jsonl", Array(text.utf8))
            #expect(access(path, F_OK) == 0)
            _ = folder.file("damaged/.yuyan-abc.tmp", [1])
            _ = try summary(sample(output))
            try expectSame("whole", output, pairs: false, damage)
            #expect(access(path, F_OK) != 0)
            #expect(!itemNames(in: folder.path + "/damaged").contains(".yuyan-abc.tmp"))
            try RunFolder(folder.path + "/damaged").clear()
        }
    }

    @Test("a finished run says so and changes nothing; overwriting begins anew")
    func finishes() throws {
        let first = try summary(sample("done"))
        // Killed between its last two steps.
        _ = folder.file("done/journal.jsonl", [1])
        func contents() throws -> [[UInt8]] {
            try ["samples.jsonl", "summary.json", "report.html", "metrics.jsonl"].map {
                try folder.bytes("done/" + $0)
            }
        }
        let before = try contents()
        let again = try sample("done", ["--threads", "1"])
        #expect(again.isEarlier)
        #expect(try summary(again).json.description == first.json.description)
        #expect(try contents() == before)
        #expect(!itemNames(in: folder.path + "/done").contains("journal.jsonl"))
        let anew = try sample("done", ["--overwrite_output_dir", "--seed", "3"])
        #expect(!anew.isEarlier)
        #expect(try contents()[0] != before[0])
    }

    @Test("another recipe or other data is refused by name, finished or not")
    func refusesChanges() throws {
        for (output, polls) in [("half", 3), ("full", Int.max)] {
            try sample(output, stopAfter: polls)
            #expect(refusal(output, ["--sample_keep", "1"]).contains("sample_keep (2 → 1)"))
            #expect(refusal(output, ["--temperature", "0.5"]).contains("temperature (1.0 → 0.5)"))
            // The same name and as many bytes.
            let path = folder.path + "/data.jsonl"
            _ = file("data.jsonl", Self.prompts.reversed())
            let found = refusal(output, ["--dataset", path])
            #expect(found.contains("was made with other data"), "\(found)")
            _ = file("data.jsonl", Self.prompts)
            #expect(refusal(output, ["--dataset", path]) == "")
        }
    }

    @Test("training and sampling do not write into each other's folders")
    func respectsFolders() throws {
        try sample("answers", stopAfter: 2)
        let learn = ["--dataset", file("learn.jsonl", [#"{"prompt": "a", "completion": "b"}"#])]
        let steps = ["--max_steps", "1", "--report_samples", "0", "--report_to", "none"]
        #expect(refusal("answers", learn + steps, stage: "sft").contains("holds journal.jsonl"))
        try sample("answers")
        #expect(refusal("answers", learn + steps, stage: "sft").contains("holds summary.json"))
        #expect(try !folder.bytes("answers/samples.jsonl").isEmpty)
        #expect(refusal("trained", learn + steps, stage: "sft") == "")
        #expect(refusal("trained", []).contains("holds adapter_model.safetensors"))
    }

    @Test("a dry run answers a batch, runs no reward and writes nothing")
    func looks() throws {
        let script = folder.file(
            "touch.sh", Array("#!/bin/sh\ntouch \(folder.path)/touched\ncat\n".utf8))
        let run = try SamplingRun(
            source(
                "dry",
                Self.draws + [
                    "--reward_funcs", "[{program: /bin/sh, arguments: [\(script)]}]",
                ]), modelPath: model, isDry: true, observe: { _ in })
        #expect(run.plan.prompts == 13 && run.plan.batches == 7 && run.plan.generations == 6)
        let time = try run.timed()
        #expect(time.seconds > time.batchSeconds && time.tokensPerSecond > 0)
        #expect(run.plan.memory.parts.map(\.key).contains("rollouts"))
        #expect(!folder.names.contains("dry") && !folder.names.contains("touched"))
    }

    @Test("what cannot be is refused by name, and leaves no folder")
    func refuses() throws {
        for (flags, reason) in [
            (["--sample_keep", "0"], "'sample_keep' is 0, expected 1 to 4096"),
            (["--sample_margin", "-1"], "'sample_margin' is -1, expected at least 0"),
            (["--sample_pairs", "--num_generations", "1"], "2 or more with sample_pairs"),
            (["--sample_pairs", "--reward_funcs", "[]"], "'sample_pairs' is true"),
            (["--sample_threshold", "1", "--reward_funcs", "[]"], "'sample_threshold' is 1"),
            (["--streaming", "--max_steps", "3"], "remove streaming"),
            (["--mix_strategy", "interleave_over"], "'mix_strategy' is interleave_over"),
            (["--resume_from_checkpoint", "out/checkpoint-3"], "'resume_from_checkpoint' is"),
            (["--max_completion_length", "125"], "data.jsonl:1: has"),
            (["--reward_funcs", "[regx]"], "regex"),
            (["--packing", "true"], "packing"),
        ] {
            let found = refusal("refused", flags)
            #expect(found.contains(reason), "\(flags): \(found)")
        }
        let template = folder.file("chat.jinja", Array(DataFixture.chatML.utf8))
        let mixed = file(
            "mixed.jsonl",
            [#"{"prompt": "a"}"#, #"{"prompt": [{"role": "user", "content": "b"}]}"#])
        let found = refusal("refused", ["--dataset", mixed, "--template", template])
        #expect(found.contains("mixed.jsonl:2") && found.contains("rows of two shapes"), "\(found)")
        #expect(!folder.names.contains("refused"))
    }

    @Test("keys that have no effect are said, those of drawing are not")
    func notesKeys() throws {
        let notes = try source(
            "notes",
            Self.draws + Self.rewards + [
                "--learning_rate", "1", "--lora_rank", "4", "--val_size", "3", "--max_samples", "5",
                "--top_p", "0.9", "--sample_margin", "1",
            ]
        ).notes
        for key in ["learning_rate", "lora_rank"] {
            #expect(
                notes.contains {
                    $0.hasSuffix("'\(key)' has no effect: stage sample trains nothing")
                },
                "\(notes)")
        }
        #expect(notes.contains { $0.contains("'val_size' has no effect") })
        #expect(
            notes.contains { $0.hasSuffix("'sample_margin' has no effect: sample_pairs is false") })
        for key in ["num_generations", "top_p", "max_samples", "reward_funcs", "sample_keep"] {
            #expect(!notes.contains { $0.contains("'\(key)'") }, "\(notes)")
        }
        #expect(
            try source("notes", ["--sample_keep", "2"], stage: "sft").notes
                .contains { $0.hasSuffix("'sample_keep' has no effect: stage is sft") })
    }
}
