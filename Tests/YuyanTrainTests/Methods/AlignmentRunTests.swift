import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

@Suite("Runs that learn from judged answers")
struct AlignmentRunTests {
    private let runs = AlignmentRuns()
    var folder: TemporaryFolder { runs.folder }
    var model: String { runs.model }

    private func source(_ output: String, _ stage: String, _ flags: [String]) throws -> RecipeSource
    {
        try runs.source(output, stage, flags)
    }

    @discardableResult
    func train(
        _ output: String, _ stage: String, _ flags: [String] = [], stopAfter polls: Int? = nil
    ) throws -> RunOutcome {
        try runs.train(output, stage, flags, stopAfter: polls)
    }

    private func refusal(_ stage: String, _ flags: [String]) -> String {
        runs.refusal(stage, flags)
    }

    func log(_ output: String) throws -> [[String: Double]] {
        try folder.loggedNumbers(output)
    }

    @Test(
        "end with an adapter, and log what TRL logs",
        arguments: [
            ("dpo", "rewards/margins"), ("orpo", "nll_loss"), ("simpo", "rewards/accuracies"),
            ("cpo", "logps/chosen"), ("kto", "kl"), ("rm", "margin"), ("prm", "accuracy"),
            ("grpo", "frac_reward_zero_std"), ("rloo", "reward_std"),
            ("reinforce++", "completions/mean_length"), ("ppo", "loss/value_avg"),
        ])
    func stages(_ stage: String, _ metric: String) throws {
        #expect(try train(stage, stage, ["--val_size", "2"]) == .finished(step: 3))
        let log = try log(stage)
        #expect(log.filter { $0["grad_norm"] != nil }.count == 3)
        #expect(log.allSatisfy { $0[metric] != nil || $0["eval_loss"] != nil })
        #expect(log.contains { $0["eval_loss"] != nil })
        #expect(try folder.bytes("\(stage)/adapter_model.safetensors").count > 1000)
        let isScored = stage == "rm" || stage == "prm"
        let configuration = try JSONDocument(path: folder.path + "/\(stage)/adapter_config.json")
            .root
        #expect(try configuration.string("task_type") == (isScored ? "SEQ_CLS" : "CAUSAL_LM"))
    }

    /// The names that `metric_for_best_model` may have.
    private func evaluationNames(_ stage: String, _ flags: [String]) throws -> Set<String> {
        do {
            _ = try TrainingRun(
                source("names", stage, flags + ["--metric_for_best_model", "foo"]),
                modelPath: model, isDry: true, observe: { _ in })
            return []
        } catch RecipeError.badValue(_, "metric_for_best_model", "'eval_foo'", let expected) {
            return Set(
                expected.dropFirst("one of ".count).split(separator: ", ").map(String.init))
        }
    }

    @Test(
        "know before the first step all that evaluations will log",
        arguments: [
            "dpo", "orpo", "simpo", "cpo", "kto", "rm", "prm", "grpo", "rloo", "reinforce++", "ppo",
        ])
    func knowsMetrics(_ stage: String) throws {
        let flags = ["--val_size", "4", "--max_steps", "1"]
        try train(stage, stage, flags)
        let logged = Set(try log(stage).flatMap(\.keys).filter { $0.hasPrefix("eval_") })
        #expect(logged.contains("eval_loss"))
        let known = try evaluationNames(stage, flags)
        #expect(logged.isSubset(of: known), "\(logged.subtracting(known))")
    }

    @Test("do not depend on the number of threads", arguments: ["dpo", "kto", "rm", "grpo", "ppo"])
    func threads(_ stage: String) throws {
        for threads in ["1", "2", "3"] { try train(threads, stage, ["--threads", threads]) }
        for threads in ["2", "3"] {
            #expect(try log("1") == log(threads))
            #expect(
                try folder.bytes("1/adapter_model.safetensors")
                    == folder.bytes("\(threads)/adapter_model.safetensors"))
        }
    }

    @Test(
        "go on to the same bytes, wherever they were stopped",
        arguments: [
            ("dpo", ["--finetuning_type", "full"]), ("grpo", []),
            ("grpo", ["--beta", "0.1", "--val_size", "3", "--eval_steps", "1"]),
            ("grpo", ["--num_iterations", "2", "--max_steps", "5"]), ("kto", []),
            ("ppo", ["--ppo_epochs", "2", "--max_steps", "5", "--ppo_target", "6"]),
        ])
    func resumes(_ stage: String, _ flags: [String]) throws {
        let files = flags.contains("full") ? "model.safetensors" : "adapter_model.safetensors"
        let end = flags.contains("5") ? 5 : 3
        #expect(try train("whole", stage, flags) == .finished(step: end))
        var stops = 0
        for polls in 1..<12 {
            let outcome = try train("cut\(polls)", stage, flags, stopAfter: polls)
            if outcome == .finished(step: end) { continue }
            stops += 1
            #expect(try train("cut\(polls)", stage, flags) == .finished(step: end))
            #expect(try log("whole") == log("cut\(polls)"))
            #expect(
                try folder.bytes("whole/\(files)") == folder.bytes("cut\(polls)/\(files)"))
        }
        #expect(stops > 3)
    }

    /// A thousand tokens and more, drawn through an adapter that has already changed.
    @Test("draw and learn with the same log-probabilities, bit for bit", arguments: ["0.8", "1"])
    func onPolicy(_ topP: String) throws {
        let flags = [
            "--top_p", topP, "--temperature", "0.9", "--num_generations", "8",
            "--max_completion_length", "24", "--max_steps", "4", "--per_device_train_batch_size",
            "3",
            "--use_dora", "true",
        ]
        // The run compares every token of every step, and throws if one bit differs.
        #expect(try train("exact\(topP)", "grpo", flags) == .finished(step: 4))
        let tokens = try log("exact\(topP)").reduce(0.0) {
            $0 + 24 * ($1["completions/mean_length"] ?? 0)
        }
        #expect(tokens > 1000)
    }

    /// The best a model can do is to write a letter of the pattern, which it rarely does at first.
    @Test(
        "reach the reward's known optimum",
        arguments: [
            ("grpo", []), ("grpo", ["--loss_type", "dr_grpo", "--scale_rewards", "none"]),
            ("grpo", ["--loss_type", "cispo", "--epsilon_high", "4"]),
            ("grpo", ["--importance_sampling_level", "sequence", "--loss_type", "grpo"]),
            (
                "grpo",
                ["--epsilon_high", "0.28", "--dynamic_sampling", "2", "--num_iterations", "2"]
            ),
            ("rloo", []), ("reinforce++", []),
            ("ppo", ["--kl_coef", "0", "--ppo_epochs", "2", "--max_steps", "120"]),
        ])
    func learns(_ stage: String, _ flags: [String]) throws {
        try train(
            "learns", stage,
            [
                "--max_steps", "40", "--save_strategy", "no", "--num_generations", "8",
                "--max_completion_length", "1", "--learning_rate", "3e-2", "--lora_rank", "4",
                "--lr_scheduler_type", "constant",
            ] + flags)
        let rewards = try log("learns").compactMap { $0["reward"] }
        let (before, after) = (rewards.prefix(2), rewards.suffix(8))
        #expect(before.reduce(0, +) / 2 < 0.5)
        #expect(after.reduce(0, +) / Double(after.count) > 0.85, "\(rewards)")
    }

    @Test("a reward model's scores are those that it was evaluated with, and are rewards")
    func rewardModel() throws {
        // Of two lengths: where all are alike there is no bias to speak of.
        let longer = #"{"prompt": "a", "chosen": " de 1 2 3", "rejected": " fg"}"#
        let rows = AlignmentRuns.pairs + [longer]
        let pairs = folder.file("judged.jsonl", Array((rows.joined(separator: "\n") + "\n").utf8))
        try train(
            "judge", "rm", ["--eval_dataset", pairs, "--max_steps", "6", "--val_size", "0"])
        let evaluation = try #require(try log("judge").last { $0["eval_loss"] != nil })
        let length = try #require(evaluation["eval_length_correlation"])
        #expect(abs(length) <= 1)
        #expect(try #require(evaluation["eval_calibration_error"]) < 0.5)
        #expect(try #require(evaluation["eval_accuracy"]) > 0.9)

        let device = Device(threads: 2)
        let trained = try TrainableModel(
            Checkpoint(path: model), method: .lowRank(LowRankConfiguration()), on: device)
        let tokenizer = try Tokenizer(gguf: GGUFFile(path: model))
        let judge = try RewardModel(
            directory: folder.path + "/judge", for: trained, padding: tokenizer.fillsWith,
            device: device)
        var options = DataOptions()
        (options.datasets, options.stage) = ([pairs], .preference)
        let data = try TrainingData(options, tokenizer: tokenizer, template: nil)
        let loader = try data.loader(.training, epochs: 1)
        var scores: [[Double]] = []
        while let loaded = try loader.next() {
            scores += try judge.scores(
                of: loaded.batch.samples.compactMap(PreferencePair.init).map(\.group))
        }
        let margins = scores.map { $0[0] - $0[1] }
        #expect(
            abs(margins.reduce(0, +) / Double(margins.count) - (evaluation["eval_margin"] ?? 0))
                < 1e-5)

        try train(
            "judged", "ppo",
            [
                "--reward_funcs", "[]", "--reward_model", folder.path + "/judge",
                "--ppo_epochs", "1",
            ])
        #expect(try log("judged").allSatisfy { $0["rewards/reward_model/mean"] != nil })
        let plain = refusal("grpo", ["--reward_model", folder.path + "/judged"])
        #expect(plain.contains("score.weight"))
    }

    @Test("a reward model's report is that of its evaluation, also in a run that went on")
    func rewardReport() throws {
        let flags = ["--val_size", "4", "--eval_steps", "1"]
        try train("whole", "rm", flags)
        let place = folder.path + "/whole"
        let report = try #require(try RewardReport.read(from: place))
        let evaluation = try #require(try log("whole").last { $0["eval_loss"] != nil })
        #expect(report.count == 4 && report.accuracy == evaluation["eval_accuracy"])
        #expect(report.calibrationError == evaluation["eval_calibration_error"])
        #expect(report.lengthCorrelation == evaluation["eval_length_correlation"])
        let page = String(decoding: try folder.bytes("whole/report.html"), as: UTF8.self)
        #expect(page.contains("Reliability") && page.contains("class=\"guide\""))
        var stops = 0
        for polls in 1..<14 {
            let outcome = try train("cut\(polls)", "rm", flags, stopAfter: polls)
            if outcome == .finished(step: 3) { continue }
            stops += 1
            #expect(try train("cut\(polls)", "rm", flags) == .finished(step: 3))
            #expect(
                try folder.bytes("whole/reward_report.json")
                    == folder.bytes("cut\(polls)/reward_report.json"))
        }
        #expect(stops > 3)
        try train("best", "rm", flags + ["--load_best_model_at_end", "true"])
        #expect(
            try folder.bytes("best/reward_report.json")
                == folder.bytes("best/best/reward_report.json"))
        try train("plain", "dpo", flags)
        #expect(!itemNames(in: folder.path + "/plain").contains("reward_report.json"))
    }

    @Test("a judge's grades are rewards, whatever the number of threads")
    func judge() throws {
        let judge = try JudgeFixture()
        let reward =
            "[{name: judge, model: \(judge.path), reason: 0, prompt: '{answer} {completion}'}]"
        for threads in ["1", "3"] {
            try train(
                threads, "grpo",
                ["--reward_funcs", reward, "--threads", threads, "--val_size", "2"])
        }
        let log = try log("1")
        #expect(try self.log("3") == log)
        #expect(log.compactMap { $0["rewards/judge/mean"] }.count == 3)
        #expect(
            log.compactMap { $0["eval_rewards/judge/mean"] }.allSatisfy { (0...1).contains($0) })
        let misspelt = reward.replacing("answer", with: "anwser")
        #expect(refusal("grpo", ["--reward_funcs", misspelt]).contains("nearest: answer"))
        #expect(itemNames(in: folder.path + "/refused").isEmpty)
    }

    @Test("the frozen base of the model in training may judge, through an adapter or not")
    func ownJudge() throws {
        let template = folder.file("chat.jinja", Array(DataFixture.chatML.utf8))
        let judge = "name: judge, model: self, reason: 0, scale: [0, 1], prompt: '{completion}'"
        let flags = ["--template", template, "--max_completion_length", "4"]
        try train("own", "grpo", flags + ["--reward_funcs", "[{\(judge)}]"])
        // The same weights in a second model.
        let other = judge.replacing("self", with: model) + ", template: \(template)"
        try train("other", "grpo", flags + ["--reward_funcs", "[{\(other)}]"])
        let log = try log("own")
        #expect(try self.log("other") == log)
        #expect(log.compactMap { $0["rewards/judge/mean"] }.count == 3)

        try train("first", "dpo", ["--max_steps", "8", "--learning_rate", "5e-2"])
        let adapted = "[{\(judge), adapter: \(folder.path)/first}]"
        try train("adapted", "grpo", flags + ["--reward_funcs", adapted])
        let first = try #require(try self.log("adapted").first?["rewards/judge/mean"])
        #expect(first != log.first?["rewards/judge/mean"])

        let own = "[{\(judge)}]"
        let full = refusal("grpo", ["--reward_funcs", own, "--finetuning_type", "full"])
        #expect(full.contains("reward_funcs.judge.model") && full.contains("'self'"), "\(full)")
        let missing = refusal("grpo", ["--reward_funcs", "[{\(judge), adapter: /no/such}]"])
        #expect(missing.contains("reward_funcs.judge.adapter"), "\(missing)")
    }

    @Test("a judge's memory is predicted, and a dry run neither loads it nor starts programs")
    func foreignRewards() throws {
        let judge = try JudgeFixture()
        let script = folder.file(
            "touch.sh", Array("#!/bin/sh\ntouch \(folder.path)/touched\ncat\n".utf8))
        func memory(_ reward: String) throws -> Int {
            var notes: [String] = []
            let run = try TrainingRun(
                source("dry", "grpo", ["--reward_funcs", reward, "--dynamic_sampling", "3"]),
                modelPath: model, isDry: true
            ) { if case .note(let line) = $0 { notes.append(line) } }
            #expect(run.summary.notAsked == ["judge", "program"])
            #expect(notes.contains { $0.contains("judge, program are there") }, "\(notes)")
            #expect(try run.timed().tokensPerSecond > 0)
            return run.summary.memory.parts.first { $0.key == "judges" }?.bytes ?? 0
        }
        let program = "{program: /bin/sh, arguments: [\(script)]}"
        let other = try memory("[{name: judge, model: \(judge.path), reason: 0}, \(program)]")
        let own = try memory("[{name: judge, model: self, reason: 0}, \(program)]")
        #expect(own == JudgeModel.keyValueBytes)
        let size = try Checkpoint(path: judge.path).tensors.packedByteCount
        #expect(other == own + size && size > 1 << 10)
        #expect(!folder.names.contains("touched") && !folder.names.contains("dry"))
        let broken = folder.file("broken.gguf", Array("no model".utf8))
        let unreadable = refusal(
            "grpo", ["--reward_funcs", "[{name: judge, model: \(broken)}]"])
        #expect(unreadable.contains("reward_funcs.judge.model"), "\(unreadable)")
        let missing = refusal("grpo", ["--reward_funcs", "[{program: /no/such/program}]"])
        #expect(missing.contains("/no/such/program"))
    }

    @Test("the reference is the model that training began from")
    func reference() throws {
        try train("first", "dpo", ["--max_steps", "4"])
        for estimator in ["k3", "exact"] {
            try train(
                "onward-\(estimator)", "grpo",
                [
                    "--adapter_name_or_path", folder.path + "/first", "--beta", "0.1",
                    "--kl_estimator", estimator, "--max_steps", "3",
                ])
            let divergences = try log("onward-\(estimator)").compactMap { $0["kl"] }
            #expect(divergences.count == 3)
            // The reference packs the same numbers, so nothing but rounding can part them.
            #expect(abs(divergences[0]) < 1e-9, "\(divergences)")
            #expect(divergences[2] > 1e-6, "\(divergences)")
        }
    }

    @Test(
        "find what the reference said in an earlier run",
        arguments: [("dpo", "full"), ("dpo", "lora"), ("kto", "full")])
    func referenceCache(_ stage: String, _ type: String) throws {
        let shared = folder.path + "/shared"
        let flags = [
            "--finetuning_type", type, "--reference_cache", shared, "--learning_rate", "1e-3",
        ]
        try train("first", stage, flags)
        let name = try #require(itemNames(in: shared).first)
        #expect(itemNames(in: shared) == [name])
        try train("second", stage, flags)
        #expect(try log("second") == log("first"))

        // Another reference has another file, and what is in a file is what is taken.
        try train("other", stage, flags + ["--precision", "f32"])
        #expect(itemNames(in: shared).count == 2)
        let bytes = try folder.bytes("shared/\(name)")
        let header = 8 + bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let entry = try SafetensorsFile(path: shared + "/" + name).tensors.first {
            $0.name == "logps"
        }
        let first = bytes.count - 4 * (try #require(entry).elementCount)
        #expect(first >= header)
        let zeros = [UInt8](repeating: 0, count: bytes.count - first)
        _ = folder.file("shared/\(name)", bytes[..<first] + zeros)
        try train("third", stage, flags)
        #expect(try log("third") != log("first"))

        let damaged = folder.file("shared/\(name)", Array(bytes.dropLast(3)))
        #expect(refusal(stage, flags).contains(damaged))
    }

    @Test("a fresh start that is stopped while it asks the reference goes on from what it was told")
    func stoppedBefore() throws {
        let flags = ["--finetuning_type", "full", "--learning_rate", "1e-3"]
        try train("whole", "dpo", flags)
        #expect(
            try train("stopped", "dpo", flags, stopAfter: 1)
                == .interrupted(signal: 2, step: 0, checkpoint: nil))
        #expect(itemNames(in: folder.path + "/stopped/reference").count == 1)
        #expect(try train("stopped", "dpo", flags) == .finished(step: 3))
        #expect(try log("stopped") == log("whole"))
    }

    @Test("an alarm that may end a run leaves it saved, and a skipped reward is said")
    func alarms() throws {
        #expect(throws: RunError.self) {
            try train(
                "alarmed", "grpo",
                [
                    "--max_steps", "60", "--save_steps", "1000", "--stop_on_alarm", "missing_eos",
                    "--max_completion_length", "2",
                ])
        }
        #expect(itemNames(in: folder.path + "/alarmed").contains { $0.hasPrefix("checkpoint-") })
        let script = folder.file(
            "half.sh",
            Array(
                #"""
                #!/bin/sh
                while read -r line; do
                  id=$(printf '%s' "$line" | sed 's/.*"id": *\([0-9]*\).*/\1/')
                  case $id in
                  *[13579]) echo "{\"id\": $id, \"error\": \"odd\"}" ;;
                  *) echo "{\"id\": $id, \"score\": 1}" ;;
                  esac
                done
                """#.utf8))
        for stage in ["grpo", "ppo"] {
            var notes: [String] = []
            _ = try TrainingRun(
                source(
                    "skipped-\(stage)", stage,
                    [
                        "--reward_funcs",
                        "[{program: /bin/sh, arguments: [\(script)], label: half}]",
                        "--reward_faults", "skip", "--ppo_epochs", "1",
                    ]), modelPath: model
            ) { event in
                if case .note(let line) = event { notes.append(line) }
            }.train()
            #expect(notes.contains { $0.contains("half") && $0.contains("odd") }, "\(notes)")
            let rewards = try log("skipped-\(stage)").map { $0["reward"] }
            #expect(rewards == [1, 1, 1], "\(stage)")
        }
    }

    @Test("warn of what the data show, before the first step")
    func warns() throws {
        func warnings(_ stage: String, _ flags: [String]) throws -> [String] {
            var notes: [String] = []
            let run = try TrainingRun(
                source("warned", stage, flags), modelPath: model, isDry: true
            ) { event in
                if case .note(let line) = event { notes.append(line) }
            }
            let lines = run.summary.warnings.map(\.description)
            #expect(notes.filter { $0.hasPrefix("lint ") } == lines)
            return run.summary.warnings.map(\.name)
        }
        let liked = AlignmentRuns.verdicts.filter { $0.contains("true") }
        let good = folder.file(
            "good.jsonl", Array((liked.joined(separator: "\n") + "\n").utf8))
        let rate = ["--learning_rate", "1e-5"]
        #expect(try warnings("kto", rate) == [])
        #expect(try warnings("kto", rate + ["--dataset", good]) == ["kto-one-sided"])
        #expect(
            try warnings("kto", rate + ["--dataset", good, "--lint_ignore", "kto-one-sided"]) == [])
        let answers = folder.file(
            "long.jsonl", Array(#"{"prompt": "abc", "answer": "abcdefghijklm"}"#.utf8) + [10])
        let groups = rate + ["--num_generations", "8"]
        #expect(try warnings("grpo", groups) == [])
        #expect(try warnings("grpo", groups + ["--dataset", answers]) == ["short-answers"])
        #expect(try warnings("dpo", rate + ["--warmup_steps", "3"]) == ["warmup-beyond-end"])
        #expect(!folder.names.contains("warned"))
    }

    @Test("refuse what cannot be learnt from, by name")
    func refuses() throws {
        #expect(refusal("grpo", ["--num_generations", "1"]).contains("num_generations"))
        #expect(refusal("grpo", ["--lora_dropout", "0.1"]).contains("lora_dropout"))
        #expect(refusal("grpo", ["--reward_funcs", "[]"]).contains("reward_funcs"))
        #expect(refusal("grpo", ["--reward_funcs", "[regx]"]).contains("regex"))
        #expect(refusal("kto", ["--per_device_train_batch_size", "1"]).contains("2 or more"))
        #expect(refusal("dpo", ["--pref_beta", "0"]).contains("pref_beta"))
        #expect(refusal("dpo", ["--packing", "true"]).contains("packing"))
        let same = folder.file(
            "same.jsonl", Array(#"{"prompt": "a", "chosen": " b", "rejected": " b"}"#.utf8) + [10])
        #expect(refusal("dpo", ["--dataset", same]).contains("the same answer"))
        let plain = folder.file("plain.jsonl", Array(#"{"text": "abc"}"#.utf8) + [10])
        #expect(refusal("dpo", ["--dataset", plain]).contains("not for the stage preference"))
        #expect(itemNames(in: folder.path + "/refused").isEmpty)
    }
}
