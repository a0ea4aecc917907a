import TestSupport
import Testing
import YuyanFormats

@Suite("yuyan train", .enabled(if: Binary.path != nil, "no release binary"))
struct TrainTests {
    private let tiny = Goldens.path("models/gguf/llama-gqa.gguf")
    private let folder = TemporaryFolder()

    private func data() -> String {
        let lines = (0..<24).map { row in
            "{\"prompt\": \"abc \(row)\", \"completion\": \" de \(row * 7 % 10)\"}\n"
        }
        return folder.file("data.jsonl", Array(lines.joined().utf8))
    }

    private func arguments(_ output: String, _ more: [String] = []) -> [String] {
        [
            "train", "--model_name_or_path", tiny, "--dataset", data(), "--output_dir",
            folder.path + "/" + output, "--lora_rank", "2", "--learning_rate", "1e-2",
            "--per_device_train_batch_size", "2", "--max_steps", "40", "--save_steps", "1",
            "--save_total_limit", "2", "--logging_steps", "1", "--val_size", "4", "--eval_steps",
            "5", "--report_samples", "0", "--threads", "2",
        ] + more
    }

    private func bytes(_ name: String) throws -> [UInt8] {
        let file = try MappedFile(path: folder.path + "/" + name)
        return file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
    }

    /// The lines of a log up to what depends on the machine.
    private func log(_ output: String) throws -> [String] {
        String(decoding: try bytes(output + "/metrics.jsonl"), as: UTF8.self)
            .split(separator: "\n").map { line in
                line.firstRange(of: ", \"tokens_per_second\"").map {
                    String(line[..<$0.lowerBound])
                }
                    ?? String(line)
            }
    }

    private func expectSame(_ a: String, _ b: String) throws {
        for name in ["/adapter_model.safetensors", "/trainer_state.json"] {
            #expect(try bytes(a + name) == bytes(b + name), "\(name)")
        }
        #expect(try log(a) == log(b))
    }

    @Test("killed with SIGKILL at random moments, it ends in the bytes of a run that was not")
    func survivesSIGKILL() throws {
        let whole = try Binary.run(arguments("whole"))
        try #require(whole.status == 0, "\(whole)")
        var random = SeededGenerator(seed: 11)
        // Kills before the first checkpoint only begin anew; later ones go on.
        var lateKills = 0
        for kill in 0..<200 {
            // Longer and longer, so that a slow machine gets anywhere too.
            let delay = Duration.milliseconds(Int.random(in: 5...250 + 5 * kill, using: &random))
            let result = try Binary.run(arguments("killed"), signal: (9, delay))
            if result.status == 0 { break }
            try #require(result.status == -9, "\(result)")
            let names = itemNames(in: folder.path + "/killed")
            if names.contains(where: { $0.hasPrefix("checkpoint-") }) { lateKills += 1 }
        }
        let last = try Binary.run(arguments("killed"))
        try #require(last.status == 0, "\(last)")
        #expect(lateKills > 0)
        try expectSame("whole", "killed")
    }

    @Test("what the program holds is predicted alike, whatever the optimiser has touched")
    func predictsProgram() throws {
        let made = try Binary.run(
            arguments("made", ["--finetuning_type", "full", "--max_steps", "1"]))
        try #require(made.status == 0, "\(made)")
        let path = folder.path + "/made"
        let width = try JSONDocument(path: path + "/config.json").root.int("intermediate_size")
        let text = String(decoding: try bytes("made/config.json"), as: UTF8.self)
        // Masters of six million weights are 24 MiB.
        let wide = text.replacing(
            "\"intermediate_size\": \(width)", with: "\"intermediate_size\": 32768")
        try #require(wide != text)
        _ = folder.file("made/config.json", Array(wide.utf8))
        func memory(_ flags: [String]) throws -> JSONCursor {
            let result = try Binary.run(
                arguments(
                    "dry",
                    [
                        "--model_name_or_path", path, "--finetuning_type", "full",
                        "--train_from_scratch", "true", "--dry-run", "--json",
                    ] + flags))
            try #require(result.status == 0, "\(result)")
            return try result.json().object("memory")
        }
        let (plain, masters) = (try memory([]), try memory(["--bf16", "true"]))
        #expect(
            try masters.int("optimiser") - plain.int("optimiser") > 12 << 20)
        #expect(try abs(masters.int("program") - plain.int("program")) < 6 << 20)
    }

    private func reinforcementArguments(_ output: String, _ flags: [String]) -> [String] {
        let rows = (0..<24).map { "{\"prompt\": \"abc \($0)\", \"answer\": \"e\"}\n" }
        return [
            "train", "--model_name_or_path", tiny, "--dataset",
            folder.file("questions.jsonl", Array(rows.joined().utf8)), "--output_dir",
            folder.path + "/" + output, "--lora_rank", "2", "--learning_rate", "1e-2",
            "--per_device_train_batch_size", "2", "--max_steps", "80", "--save_steps", "1",
            "--save_total_limit", "2", "--logging_steps", "1", "--report_samples", "0",
            "--threads", "2", "--num_generations", "4", "--max_completion_length", "8",
            "--reward_funcs", "[{name: regex, pattern: \"[a-e]\", mode: search}]",
        ] + flags
    }

    /// Kills come when a run has had time for some steps, on a machine of whatever speed; odd steps of
    /// these runs are the second ones on answers that are a checkpoint's.
    @Test(
        "killed with SIGKILL between two steps on one set of answers, it ends in the same bytes",
        arguments: [
            ["--stage", "grpo", "--num_iterations", "2", "--beta", "0.05"],
            ["--stage", "ppo", "--ppo_epochs", "2"],
        ])
    func reinforcementSurvivesSIGKILL(flags: [String]) throws {
        let whole = try Binary.run(reinforcementArguments("whole", flags))
        try #require(whole.status == 0, "\(whole)")
        var random = SeededGenerator(seed: 7)
        var (kills, delay, wentOn) = (0, 100, false)
        for _ in 0..<12 where kills < 5 || !wentOn {
            let wait = Duration.milliseconds(delay + Int.random(in: 0...60, using: &random))
            let result = try Binary.run(reinforcementArguments("killed", flags), signal: (9, wait))
            wentOn = wentOn || result.errors.contains("going on after step")
            if result.status == 0 { break }
            try #require(result.status == -9, "\(result)")
            kills += 1
            let hasSteps = itemNames(in: folder.path + "/killed").contains {
                $0.hasPrefix("checkpoint-")
            }
            if !hasSteps { delay += delay / 2 }
        }
        let last = try Binary.run(reinforcementArguments("killed", flags))
        try #require(last.status == 0, "\(last)")
        #expect(kills > 0 && (wentOn || last.errors.contains("going on after step")))
        try expectSame("whole", "killed")
    }

    @Test("Ctrl-C and SIGTERM save, say how to go on, and exit 130 and 143", arguments: [2, 15])
    func survivesSignals(number: Int32) throws {
        let long = [
            "--max_steps", "20000", "--save_steps", "20000", "--logging_steps", "1000",
            "--eval_strategy", "no",
        ]
        let result = try Binary.run(
            arguments("stopped", long), signal: (number, .milliseconds(1500)))
        try #require(result.status == 128 + number, "\(result)")
        #expect(result.errors.contains("the same command goes on from here"))
        #expect(result.output.isEmpty)
        let again = try Binary.run(
            arguments("stopped", long), signal: (9, .milliseconds(1500)))
        #expect(again.errors.contains("going on after step"), "\(again)")
    }

    private func samplingArguments(_ output: String, _ more: [String] = []) -> [String] {
        let rows = (0..<24).map { "{\"prompt\": \"abc \($0)\", \"answer\": \"e\"}\n" }
        return [
            "train", "--stage", "sample", "--model_name_or_path", tiny, "--dataset",
            folder.file("prompts.jsonl", Array(rows.joined().utf8)), "--output_dir",
            folder.path + "/" + output, "--per_device_train_batch_size", "1", "--num_generations",
            "8", "--max_completion_length", "48", "--sample_pairs", "--reward_funcs",
            "[{name: length, target: 20}]", "--threads", "2",
        ] + more
    }

    @Test("killed with SIGKILL at random moments, sampling ends in the bytes of a run that was not")
    func samplingSurvivesSIGKILL() throws {
        let whole = try Binary.run(samplingArguments("whole"))
        try #require(whole.status == 0, "\(whole)")
        var random = SeededGenerator(seed: 5)
        var kills = 0
        for _ in 0..<200 {
            let delay = Duration.milliseconds(Int.random(in: 5...200, using: &random))
            let result = try Binary.run(samplingArguments("killed"), signal: (9, delay))
            if result.status == 0 { break }
            try #require(result.status == -9, "\(result)")
            kills += 1
        }
        let last = try Binary.run(samplingArguments("killed"))
        try #require(last.status == 0, "\(last)")
        #expect(kills > 0)
        for name in ["/samples.jsonl", "/pairs.jsonl", "/summary.json"] {
            #expect(try bytes("whole" + name) == bytes("killed" + name), "\(name)")
        }
        #expect(try log("whole") == log("killed"))
    }

    @Test("sampling reports one object on request, and looks without writing")
    func samplingContract() throws {
        let dry = try Binary.run(samplingArguments("dry", ["--dry-run", "--json"]))
        try #require(dry.status == 0, "\(dry)")
        #expect(
            try dry.json().entries?.map(\.key) == [
                "prompts", "batches", "num_generations", "tokens_per_second", "batch_seconds",
                "seconds", "memory_predicted", "memory", "not_asked",
            ])
        #expect(!folder.names.contains("dry"))
        let result = try Binary.run(samplingArguments("json", ["--json"]))
        try #require(result.status == 0, "\(result)")
        #expect(
            try result.json().entries?.map(\.key) == [
                "outcome", "output_dir", "seconds", "memory_peak", "prompts", "answers", "batches",
                "samples", "prompts_with_samples", "kept_ratio", "duplicates",
                "unrendered", "pairs", "mean_reward", "best_of", "judged_prompts", "mean_length",
                "clipped_ratio",
                "num_tokens",
            ])
        #expect(try result.json().int("prompts") == 24)
        let before = try bytes("json/report.html")
        let again = try Binary.run(samplingArguments("json"))
        #expect(again.status == 0 && again.output.contains("already finished"), "\(again)")
        #expect(again.output.contains("best of 8"), "\(again)")
        #expect(try bytes("json/report.html") == before)
    }

    @Test(
        "Ctrl-C and SIGTERM stop sampling behind a batch, and exit 130 and 143", arguments: [2, 15])
    func samplingSurvivesSignals(number: Int32) throws {
        let rows = (0..<5000).map { "{\"prompt\": \"abc \($0)\"}\n" }
        let many = [
            "--dataset", folder.file("many.jsonl", Array(rows.joined().utf8)), "--threads", "2",
        ]
        let result = try Binary.run(
            samplingArguments("stopped", many), signal: (number, .milliseconds(1500)))
        try #require(result.status == 128 + number, "\(result)")
        #expect(result.errors.contains("the same command goes on from here"), "\(result)")
        #expect(result.output.isEmpty)
        let again = try Binary.run(
            samplingArguments("stopped", many), signal: (9, .milliseconds(1500)))
        #expect(again.errors.contains("going on behind batch"), "\(again)")
    }

    @Test("a disk that is full while saving ends the run, and older checkpoints go on")
    func survivesFullDisks() throws {
        // The adapter is longer than 64 KiB; recipe, log and state are shorter than 32.
        let more = [
            "--lora_rank", "32", "--max_steps", "6", "--save_steps", "2", "--save_total_limit", "9",
            "--report_to", "none", "--lr_scheduler_type", "constant", "--eval_strategy", "no",
        ]
        let whole = try Binary.run(arguments("roomy", more))
        try #require(whole.status == 0, "\(whole)")
        let short = more + ["--max_steps", "3"]
        try #require(try Binary.run(arguments("full", short + ["--save_steps", "1"])).status == 0)
        func checkpoints() -> [String] {
            itemNames(in: folder.path + "/full").filter { $0.hasPrefix("checkpoint-") }
        }
        let before = checkpoints()
        #expect(before == ["checkpoint-1", "checkpoint-2", "checkpoint-3"])
        let kept = try bytes("full/checkpoint-3/optimizer.safetensors")
        let result = try Binary.run(arguments("full", more), fileBlocks: 64)
        #expect(result.status == 1, "\(result)")
        #expect(result.errors.contains("checkpoint-4: not saved: File too large"), "\(result)")
        #expect(checkpoints() == before)
        #expect(try bytes("full/checkpoint-3/optimizer.safetensors") == kept)
        let left = itemNames(in: folder.path + "/full").filter { $0.hasPrefix(".yuyan-") }
        #expect(left == [".yuyan-lock"])
        let last = try Binary.run(arguments("full", more))
        try #require(last.status == 0, "\(last)")
        try expectSame("roomy", "full")
    }

    @Test("a dry run says memory and time and writes nothing")
    func dryRun() throws {
        let result = try Binary.run(arguments("dry", ["--dry-run", "--json"]))
        try #require(result.status == 0, "\(result)")
        let json = try result.json()
        #expect(
            json.entries?.map(\.key) == [
                "trainable_parameters", "total_parameters", "steps", "tokens_per_second", "seconds",
                "memory_predicted", "memory", "warnings", "not_asked",
            ])
        #expect(try json.int("steps") == 40)
        #expect(!folder.names.contains("dry"))
    }

    @Test("a dry run is refused where the run would be, and a refused run leaves no folder")
    func dryRunRefuses() throws {
        try #require(try Binary.run(arguments("other", ["--max_steps", "2"])).status == 0)
        let before = itemNames(in: folder.path + "/other")
        for (output, more, reason) in [
            ("other", ["--learning_rate", "0.5"], "made by another recipe"),
            ("new/deep", ["--resume_from_checkpoint", "nope"], "nope: no checkpoint"),
            ("data.jsonl/out", [], "data.jsonl"),
        ] {
            for dry in [["--dry-run"], []] {
                let result = try Binary.run(arguments(output, more + dry))
                #expect(result.status == 1 && result.errors.contains(reason), "\(result)")
            }
        }
        #expect(itemNames(in: folder.path + "/other") == before)
        #expect(!folder.names.contains("new"))
        let done = try Binary.run(arguments("other", ["--max_steps", "2", "--dry-run"]))
        #expect(done.status == 0 && done.errors.contains("already finished"), "\(done)")
    }

    @Test("the result is one object on request, and the files are there")
    func contract() throws {
        let result = try Binary.run(arguments("json", ["--json", "--max_steps", "3"]))
        try #require(result.status == 0, "\(result)")
        #expect(
            try result.json().entries?.map(\.key) == [
                "outcome", "step", "output_dir", "checkpoint", "loss", "eval_loss", "seconds",
                "memory_predicted", "memory_peak", "verdict",
            ])
        for name in [
            "adapter_model.safetensors", "adapter_config.json", "metrics.jsonl", "recipe.yaml",
            "report.html", "trainer_state.json", "checkpoint-3/optimizer.safetensors",
            "last/trainer_state.json",
        ] {
            #expect(try !bytes("json/" + name).isEmpty, "\(name)")
        }
        let found = try log("json")
        #expect(found.count == 4, "\(found)")
        // Twice the same command: nothing is left to do.
        let report = try bytes("json/report.html")
        let events = itemNames(in: folder.path + "/json/runs")
        let again = try Binary.run(arguments("json", ["--max_steps", "3"]))
        #expect(again.status == 0)
        #expect(again.output.contains("already finished at step 3"), "\(again)")
        #expect(again.output.contains("max_steps") && !again.output.contains("measured peak"))
        #expect(try log("json") == found && bytes("json/report.html") == report)
        #expect(itemNames(in: folder.path + "/json/runs") == events)
    }

    @Test("trains from a folder that has a configuration and no weights, and from no other")
    func fromScratch() throws {
        let model = Repository.path("runs/tiny")
        let text = folder.file("text.txt", Array(String(repeating: "abc def\n", count: 99).utf8))
        func run(_ output: String, model: String, fresh: Bool) throws -> Binary.Result {
            try Binary.run([
                "train", "--model_name_or_path", model, "--train_from_scratch", "\(fresh)",
                "--finetuning_type", "full", "--stage", "pt", "--dataset", text, "--output_dir",
                folder.path + "/" + output, "--cutoff_len", "64", "--max_steps", "2",
                "--report_samples", "0", "--threads", "2",
            ])
        }
        let made = try run("made", model: model, fresh: true)
        try #require(made.status == 0, "\(made)")
        // What was saved is a whole model: it can be gone on from.
        let onward = try run("onward", model: folder.path + "/made", fresh: false)
        #expect(onward.status == 0, "\(onward)")
        let bare = try run("bare", model: model, fresh: false)
        #expect(bare.status == 1 && bare.errors.contains("model.safetensors"), "\(bare)")

        let odd = folder.path + "/odd"
        try createFolder(odd)
        for name in ["tokenizer.json", "tokenizer_config.json", "config.json"] {
            let content = try Repository.text("runs/tiny/" + name)
            let changed = content.replacing(
                "\"initializer_range\": 0.02", with: "\"initializer_range\": 9")
            _ = folder.file("odd/" + name, Array(changed.utf8))
        }
        let wide = try run("wide", model: odd, fresh: true)
        #expect(wide.status == 1 && wide.errors.contains("initializer_range"), "\(wide)")
    }

    @Test("what a user gets wrong is one line and a usage error")
    func mistakes() throws {
        for (more, reason) in [
            (["--lerning_rate", "1"], "learning_rate"), (["--lora_rank", "x"], "whole number"),
            (["--stage", "grpo"], "reward_funcs"),
        ] {
            let result = try Binary.run(arguments("wrong", more))
            #expect(result.status == 64 && result.errors.contains(reason), "\(result)")
            #expect(result.errors.contains("Usage: yuyan train ["), "\(result)")
        }
        let missing = try Binary.run([
            "train", "--model_name_or_path", tiny, "--dataset", "/nowhere.jsonl", "--output_dir",
            folder.path + "/missing",
        ])
        #expect(missing.status == 1 && missing.errors.contains("/nowhere.jsonl"), "\(missing)")
        #expect(!folder.names.contains("missing"))
        #expect(try Binary.run(["train"]).status == 64)
        #expect(try Binary.run(["train", "--help-keys"]).output.contains("lora_rank = 8"))
    }
}
