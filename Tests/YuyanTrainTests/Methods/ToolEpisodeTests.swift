import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

/// Ends a turn after a few letters and sees a call in it, which a random model would hardly ever write.
private struct EagerReader: TurnReader {
    private var text = ""

    mutating func push(_ text: String) -> Bool {
        self.text += text
        return self.text.utf8.count >= 3
    }

    mutating func finish() -> ParsedAnswer {
        var answer = ParsedAnswer()
        answer.content = text
        answer.calls = [
            ToolCall(
                id: "", name: "calculator",
                arguments: #"{"expression": "\#(text.utf8.count) + 1/2"}"#)
        ]
        return answer
    }
}

@Suite("Runs whose model calls tools", .serialized)
struct ToolEpisodeTests {
    private let folder = TemporaryFolder()
    private let model: String

    init() throws { model = try folder.roomyModel() }

    private static let chats = (0..<8).map {
        #"{"prompt": [{"role": "user", "content": "abc \#($0)"}], "answer": "e"}"#
    }
    private static let texts = (0..<8).map { #"{"prompt": "abc \#($0)", "answer": "e"}"# }

    private func run(
        _ output: String, _ stage: String, rows: [String] = texts, _ flags: [String],
        stopAfter polls: Int? = nil, notes: ((String) -> Void)? = nil
    ) throws -> RunOutcome {
        try prepared(output, stage, rows: rows, flags, stopAfter: polls, notes: notes)
            .train().outcome
    }

    private func prepared(
        _ output: String, _ stage: String, rows: [String] = texts, _ flags: [String],
        stopAfter polls: Int? = nil, notes: ((String) -> Void)? = nil
    ) throws -> TrainingRun {
        let late = LateSignal(after: polls)
        let data = folder.file("rows.jsonl", Array((rows.joined(separator: "\n") + "\n").utf8))
        let template = folder.file("chat.jinja", Array(DataFixture.chatML.utf8))
        let source = try RecipeSource(
            arguments: [
                "--model_name_or_path", model, "--output_dir", folder.path + "/" + output,
                "--stage", stage, "--dataset", data, "--template", template, "--lora_rank", "2",
                "--learning_rate", "1e-2", "--per_device_train_batch_size", "2", "--max_steps", "3",
                "--save_steps", "1", "--logging_steps", "1", "--report_samples", "0", "--threads",
                "2", "--report_to", "none", "--reward_funcs",
                "[{name: regex, pattern: \"[a-m]\", mode: search}]", "--num_generations", "4",
                "--max_completion_length", "8", "--max_tool_calling_iterations", "2",
                "--max_tool_tokens", "160", "--tools", "[calculator]",
            ] + flags)
        return try TrainingRun(
            source, modelPath: model,
            makeReader: { _, _, _ in EagerReader() },
            stopSignal: { late.signal },
            observe: { event in
                if case .note(let line) = event { notes?(line) }
            }
        )
    }

    @Test("are predicted an upper bound of memory, which grows with what tools may say")
    func predicts() throws {
        func memory(_ flags: [String]) throws -> MemoryPrediction {
            try prepared("predicted", "grpo", flags).summary.memory
        }
        func rollouts(_ memory: MemoryPrediction) throws -> MemoryPrediction.Part {
            try #require(memory.parts.first { $0.key == "rollouts" })
        }
        let (with, more) = (try memory([]), try memory(["--max_tool_tokens", "320"]))
        let without = try memory(["--tools", "[]"])
        #expect(with.isUpperBound && more.isUpperBound && !without.isUpperBound)
        #expect(try rollouts(more).bytes > rollouts(with).bytes)
        #expect(try rollouts(with).bytes > rollouts(without).bytes)
        #expect(try rollouts(with).name.contains("at most"))
        #expect(try !rollouts(without).name.contains("at most"))
    }

    private func log(_ output: String) throws -> [[String: Double]] {
        try folder.loggedNumbers(output)
    }

    /// The run compares engine and trainer bit by bit behind tools' texts too, or it would throw.
    @Test(
        "learn on policy from episodes of several turns",
        arguments: [
            ("grpo", ["--top_p", "0.8", "--temperature", "0.9", "--use_dora", "true"], true),
            ("grpo", ["--top_p", "0.8", "--beta", "0.1", "--val_size", "2"], false),
            ("grpo", ["--importance_sampling_level", "sequence", "--loss_type", "grpo"], false),
            ("grpo", ["--beta", "0.1", "--kl_estimator", "exact"], true),
            ("rloo", ["--beta", "0.1", "--kl_in_reward", "true"], true),
            ("reinforce++", ["--dynamic_sampling", "1"], false),
            ("ppo", ["--top_p", "0.8", "--ppo_epochs", "1"], true),
            ("ppo", ["--ppo_epochs", "2", "--ppo_whiten_rewards", "true"], false),
        ])
    func learns(_ stage: String, _ flags: [String], _ isChat: Bool) throws {
        let rows = isChat ? Self.chats : Self.texts
        #expect(try run("run", stage, rows: rows, flags) == .finished(step: 3))
        let steps = try log("run").filter { $0["reward"] != nil }
        #expect(!steps.isEmpty)
        for step in steps {
            #expect(try #require(step["tools/call_frequency"]) > 1)
            #expect(step["tools/failure_frequency"] == 0)
            #expect(try #require(step["tools/mean_turns"]) > 2)
            // Tools' tokens come on top of the model's.
            #expect(try #require(step["completions/max_length"]) <= 8)
        }
        if flags.contains("--val_size") {
            let evaluations = try log("run").filter { $0["eval_loss"] != nil }
            #expect(!evaluations.isEmpty)
            #expect(evaluations.allSatisfy { $0["eval_tools/call_frequency"] != nil })
        }
    }

    @Test(
        "go on to the same bytes, wherever they were stopped",
        arguments: [
            ("grpo", ["--num_iterations", "2", "--max_steps", "4"]),
            ("ppo", ["--ppo_epochs", "2", "--max_steps", "4"]),
        ])
    func resumes(_ stage: String, _ flags: [String]) throws {
        #expect(try run("whole", stage, flags) == .finished(step: 4))
        let state = String(
            decoding: try folder.bytes("whole/checkpoint-3/policy_state.json"), as: UTF8.self)
        // Nearly every answer has tokens of tools.
        #expect(state.replacing("\"runs\": []", with: "").contains("\"runs\": ["))
        var stops = 0
        for polls in 1..<8 {
            let name = "cut\(polls)"
            if try run(name, stage, flags, stopAfter: polls) == .finished(step: 4) { continue }
            stops += 1
            #expect(try run(name, stage, flags) == .finished(step: 4))
            #expect(try log("whole") == log(name))
            #expect(
                try folder.bytes("whole/adapter_model.safetensors")
                    == folder.bytes("\(name)/adapter_model.safetensors"))
        }
        #expect(stops > 2)
    }

    @Test("do not depend on the number of threads")
    func threads() throws {
        for threads in ["1", "3"] {
            _ = try run(threads, "grpo", ["--threads", threads, "--top_p", "0.8"])
        }
        #expect(try log("1") == log("3"))
    }

    @Test("bear a broken tool and say so, or stop at it")
    func faults() throws {
        let path = try folder.tool("read -r line; exit 3")
        let tools = "[{name: calculator, program: \(path), restarts: 1}]"
        var notes: [String] = []
        let outcome = try run("broken", "grpo", ["--tools", tools]) { notes.append($0) }
        #expect(outcome == .finished(step: 3))
        #expect(notes.contains { $0.contains("tool 'calculator'") && $0.contains("code 3") })
        #expect(try log("broken").allSatisfy { $0["tools/failure_frequency"] == 1 })
        #expect {
            _ = try run("stopped", "grpo", ["--tools", tools, "--tool_faults", "stop"])
        } throws: { "\($0)".contains("tool_faults: tell") }
    }

    @Test("show rewards the whole episode, and judge its last turn")
    func rewards() throws {
        let trace = folder.path + "/seen"
        let reward = try folder.tool(
            "while read -r line; do printf '%s\\n' \"$line\" >> \(trace); "
                + "echo \"{\\\"id\\\": $(id \"$line\"), \\\"score\\\": 1}\"; done")
        _ = try run(
            "rewarded", "grpo",
            ["--reward_funcs", "[{program: \(reward)}]", "--max_steps", "1"])
        let text = String(decoding: try folder.bytes("seen"), as: UTF8.self)
        let lines = text.split(separator: "\n")
        #expect(lines.count == 8)
        for line in lines {
            let root = try JSONDocument(bytes: Array(line.utf8), name: "line").root
            let turns = try root.array("transcript").map { $0 }
            #expect(try root.int("tool_calls") == turns.count { $0["role"]?.string == "tool" })
            #expect(try root.int("tool_failures") == 0 && root.int("tokens") <= 8)
            #expect(turns.last?["role"]?.string == "assistant")
            let completion = try root.string("completion")
            if !completion.contains("<") {
                #expect(turns.last?["content"]?.string == completion)
            }
            for turn in turns where turn["role"]?.string == "tool" {
                #expect(turn["content"]?.string?.hasSuffix("/2") == true)
            }
        }
    }

    @Test("show whole episodes in the report")
    func samples() throws {
        _ = try run("report", "grpo", ["--report_samples", "2", "--max_steps", "1"])
        let text = String(decoding: try folder.bytes("report/samples.json"), as: UTF8.self)
        #expect(text.contains("/2"))
    }

    @Test("are refused where tools find no room or are not the recipe's")
    func refuses() throws {
        func refusal(rows: [String] = Self.texts, _ flags: [String]) -> String {
            do {
                _ = try run("refused", "grpo", rows: rows, flags)
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(refusal(["--tools", "[calculater]"]).contains("nearest: calculator"))
        #expect(refusal(["--max_tool_tokens", "7"]).contains("max_tool_tokens"))
        #expect(refusal(["--max_tool_tokens", "10"]).contains("more than"))
        #expect(refusal(["--max_tool_calling_iterations", "0"]).contains("1 to 1000"))
        #expect(refusal(["--max_tool_tokens", "1000"]).contains("times max_tool_tokens: 1000"))
        let foreign = #"{"prompt": "a", "tools": [{"name": "search"}]}"#
        let reason = refusal(rows: [foreign], [])
        #expect(reason.contains("'search'") && reason.contains("calculator"))
        #expect(itemNames(in: folder.path + "/refused").isEmpty)
    }
}
