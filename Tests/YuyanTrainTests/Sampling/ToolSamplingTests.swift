import TestSupport
import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

/// Sees a call in every other turn that the model has ended, which a random model would hardly write.
private struct PatientReader: TurnReader {
    private var text = ""

    mutating func push(_ text: String) -> Bool {
        self.text += text
        return false
    }

    mutating func finish() -> ParsedAnswer {
        var answer = ParsedAnswer()
        answer.content = text
        guard text.utf8.count.isMultiple(of: 2) else { return answer }
        answer.calls = [
            ToolCall(
                id: "", name: "calculator",
                arguments: #"{"expression": "\#(text.utf8.count) + 1/2"}"#)
        ]
        return answer
    }
}

@Suite("Runs of stage sample with tools", .serialized)
struct ToolSamplingTests {
    private let folder = TemporaryFolder()
    private let model: String

    init() throws { model = try folder.roomyModel() }

    private static let chats = (0..<8).map {
        #"{"prompt": [{"role": "user", "content": "abc \#($0)"}], "answer": "e"}"#
    }

    private func source(
        _ output: String, _ stage: String, _ data: String, _ flags: [String]
    ) throws -> RecipeSource {
        try RecipeSource(
            arguments: [
                "--model_name_or_path", model, "--output_dir", folder.path + "/" + output,
                "--stage", stage, "--dataset", data, "--template",
                folder.file("chat.jinja", Array(DataFixture.chatML.utf8)), "--threads", "2",
                "--per_device_train_batch_size", "2", "--report_samples", "2",
            ] + flags)
    }

    /// Nearly every token is as likely as any other, so that some turns end by themselves.
    private func sample(
        _ output: String, rows: [String] = chats, _ flags: [String] = [],
        stopAfter looks: Int? = nil
    ) throws -> SamplingResult {
        let data = folder.file("rows.jsonl", Array((rows.joined(separator: "\n") + "\n").utf8))
        let late = LateSignal(after: looks)
        return try SamplingRun(
            source(
                output, "sample", data,
                [
                    "--reward_funcs", "[{name: regex, pattern: \"[a-c]\", mode: search}]",
                    "--num_generations", "8", "--temperature", "5", "--max_completion_length", "48",
                    "--max_tool_calling_iterations", "2", "--max_tool_tokens", "160", "--tools",
                    "[calculator]", "--sample_keep", "8", "--sample_pairs", "true",
                ] + flags), modelPath: model, makeReader: { _, _, _ in PatientReader() },
            stopSignal: { late.signal }, observe: { _ in }
        ).sample()
    }

    private func lines(_ name: String) throws -> [JSONCursor] {
        try String(decoding: folder.bytes(name), as: UTF8.self).split(separator: "\n").map {
            try JSONDocument(bytes: Array($0.utf8), name: name).root
        }
    }

    @Test("write whole conversations, which sft, dpo and rm read")
    func writes() throws {
        guard case .finished(let summary) = try sample("out").outcome else {
            Issue.record("not finished")
            return
        }
        let rows = try lines("out/samples.jsonl")
        #expect(rows.count == summary.samples)
        let unrendered = try #require(summary.unrendered)
        #expect(unrendered + summary.samples + summary.duplicates <= summary.answers)
        var called = 0
        for row in rows {
            #expect(row.entries?.map(\.key) == ["messages", "tools", "answer", "reward"])
            #expect(try row.array("tools").count == 1)
            let roles = try row.array("messages").map { $0["role"]?.string ?? "" }
            #expect(roles.first == "user" && roles.last == "assistant")
            #expect(roles.count { $0 == "tool" } <= 2)
            if roles.contains("tool") { called += 1 }
        }
        #expect(called > 0)
        let log = try folder.loggedNumbers("out")
        #expect(log.count == 4)
        #expect(
            log.allSatisfy {
                $0["tools/call_frequency"] != nil && $0["samples/unrendered_ratio"] != nil
            })
        #expect(log.contains { ($0["tools/call_frequency"] ?? 0) > 0 })
        #expect(itemNames(in: folder.path + "/out/runs").count == 1)
        #expect(try !lines("out/pairs.jsonl").isEmpty)
        for (stage, name) in [("sft", "samples"), ("dpo", "pairs"), ("rm", "pairs")] {
            let outcome = try TrainingRun(
                source(
                    stage, stage, folder.path + "/out/\(name).jsonl",
                    [
                        "--max_steps", "2", "--lora_rank", "2", "--report_samples", "0",
                        "--report_to", "none",
                    ]), modelPath: model
            ) { _ in }.train().outcome
            #expect(outcome == .finished(step: 2), "\(stage)")
        }
    }

    @Test("stopped at any time they go on to the same bytes")
    func resumes() throws {
        _ = try sample("whole")
        var stops = 0
        for looks in stride(from: 1, to: 40, by: 3) {
            let output = "cut\(looks)"
            if case .interrupted = try sample(output, stopAfter: looks).outcome { stops += 1 }
            _ = try sample(output)
            for name in ["samples.jsonl", "pairs.jsonl", "summary.json"] {
                #expect(
                    try folder.bytes("whole/\(name)") == folder.bytes("\(output)/\(name)"),
                    "\(name) after \(looks) looks")
            }
        }
        #expect(stops > 3)
    }

    @Test("a dry run starts no tool")
    func looks() throws {
        let trace = folder.path + "/started"
        let tool = try folder.tool("touch \(trace); cat")
        let data = folder.file(
            "rows.jsonl", Array((Self.chats.joined(separator: "\n") + "\n").utf8))
        var notes: [String] = []
        let run = try SamplingRun(
            source(
                "dry", "sample", data,
                [
                    "--num_generations", "4", "--temperature", "5", "--max_completion_length", "48",
                    "--max_tool_tokens", "160", "--tools",
                    "[{name: calculator, program: \(tool)}]",
                ]), modelPath: model, isDry: true, makeReader: { _, _, _ in PatientReader() },
            observe: { if case .note(let line) = $0 { notes.append(line) } })
        #expect(run.plan.notAsked == ["calculator"])
        #expect(try run.timed().seconds > 0)
        #expect(notes.contains { $0.contains("starts no program") && $0.contains("calculator") })
        #expect(!folder.names.contains("started") && !folder.names.contains("dry"))
    }

    @Test("prompts that are texts are refused by name")
    func refuses() throws {
        #expect {
            _ = try sample("refused", rows: [#"{"prompt": "abc"}"#])
        } throws: {
            "\($0)".contains("rows.jsonl:1") && "\($0)".contains("expected a conversation")
        }
        #expect(!folder.names.contains("refused"))
    }
}
