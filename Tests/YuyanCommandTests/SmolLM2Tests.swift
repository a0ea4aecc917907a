import ArgumentParser
import TestSupport
import Testing
import YuyanEngine
import YuyanFormats
import YuyanTensor
import YuyanText

@testable import yuyan

private let francePrompt: [Int32] = [
    1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407,
    19712, 8182, 2, 198, 1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531,
    198,
]
private let franceAnswer: [Int32] = [504, 3575, 282, 4649, 314, 7042, 30, 2]
private let question = "What is the capital of France?"

@Suite(
    "SmolLM2 through the commands",
    .enabled(if: Models.smolLM2 != nil, "the model is not downloaded"))
struct SmolLM2Tests {
    @Test(
        "generate answers with exactly the ids of the reference",
        .enabled(if: Binary.path != nil, "no release binary"))
    func generate() throws {
        let result = try Binary.run([
            "generate", "--model", try #require(Models.smolLM2), "--prompt", question, "--json",
        ])
        let json = try result.json()
        #expect(try json.array("prompt_tokens").compactMap(\.int) == francePrompt.map { Int($0) })
        #expect(try json.array("tokens").compactMap(\.int) == franceAnswer.map { Int($0) })
        #expect(try json.string("text") == "The capital of France is Paris.")
        #expect(try json.string("finish_reason") == "stop")
    }

    @Test(
        "chat --json answers each request with one line",
        .enabled(if: Binary.path != nil, "no release binary"))
    func chatJSON() throws {
        let request = #"{"messages": [{"role": "user", "content": "\#(question)"}]}"#
        let result = try Binary.run(
            [
                "chat", "--model", try #require(Models.smolLM2), "--temperature", "0", "--json",
            ], input: request + "\n" + request)
        let lines = result.output.split(separator: "\n")
        #expect(lines.count == 2 && result.status == 0, "\(result)")
        for (index, line) in lines.enumerated() {
            let json = try JSONDocument(bytes: Array(line.utf8), name: "line").root
            #expect(
                json.entries?.map(\.key) == [
                    "message", "prompt_tokens", "cached_tokens", "tokens", "finish_reason",
                    "timings",
                ])
            #expect(try json.array("tokens").compactMap(\.int) == franceAnswer.map { Int($0) })
            let message = try json.object("message")
            #expect(try message.string("content") == "The capital of France is Paris.")
            #expect(try message.string("role") == "assistant")
            // The last prompt token is always computed: its logits are wanted.
            #expect(try json.int("cached_tokens") == (index == 0 ? 0 : francePrompt.count - 1))
        }
    }

    @Test(
        "an adapter changes the answer, and one of no size does not",
        .enabled(if: Binary.path != nil, "no release binary"))
    func adapter() throws {
        let folder = TemporaryFolder()
        var image = AdapterImage(
            modules: (0..<30).map { ("model.layers.\($0).self_attn.q_proj", 576, 576) }, rank: 2,
            seed: 4)
        func ids() throws -> [Int] {
            image.write(to: folder)
            let result = try Binary.run([
                "generate", "--model", try #require(Models.smolLM2), "--prompt", question, "--json",
                "--max-tokens", "8", "--adapter", folder.path,
            ])
            #expect(result.status == 0, "\(result.errors)")
            return try result.json().array("tokens").compactMap(\.int)
        }
        image.set("lora_alpha", 400)
        #expect(try ids() != franceAnswer.map { Int($0) })
        image.set("lora_alpha", 0)
        #expect(try ids() == franceAnswer.map { Int($0) })
        image.tensors.removeLast()
        image.write(to: folder)
        let refused = try Binary.run([
            "generate", "--model", try #require(Models.smolLM2), "--prompt", question,
            "--adapter", folder.path,
        ])
        #expect(refused.status == 1 && refused.errors.contains("lora_B.weight"), "\(refused)")
    }

    @Test("a second turn computes only what is new, and answers as if nothing were cached")
    func prefixReuse() throws {
        let model = try loaded()
        let chat = try conversation(model)
        var shown = ""
        let first = try chat.say(question) { shown += $0 }
        #expect(first.generation.promptTokens == francePrompt)
        #expect(first.generation.tokens == franceAnswer)
        #expect(first.text == "The capital of France is Paris." && shown == first.text)
        let second = try chat.say("And of Italy?") { _ in }
        #expect(second.cachedTokens >= francePrompt.count + franceAnswer.count - 1)
        let messages = chat.messages.dropLast().map(\.templateValue)
        let fresh = try model.session(try .parse([])).generate(
            prompt: model.chatTokens(messages, tools: nil), parameters: greedy(),
            endOfSequence: model.endOfSequence)
        #expect(second.generation.promptTokens == fresh.promptTokens)
        #expect(second.generation.tokens == fresh.tokens)
    }

    @Test("a full context is said so, and /reset makes room again")
    func fullContext() throws {
        let model = try loaded()
        let chat = Conversation(
            model: model, session: try model.session(try .parse(["--context", "50"])), system: nil,
            parameters: greedy())
        var reports: [String] = []
        var shown = ""
        var loop = ChatLoop(
            conversation: chat, show: { shown += $0 }, report: { reports.append($0) })
        let long = String(repeating: "word ", count: 60)
        #expect(try loop.handle(long))
        #expect(reports.count == 1 && reports[0].contains("the context holds 50"), "\(reports)")
        #expect(reports[0].contains("/reset") && chat.turns.isEmpty && shown.isEmpty)
        #expect(try loop.handle("Count from one to fifty, please."))
        #expect(reports[1].contains("the context of 50 tokens is full"), "\(reports)")
        #expect(chat.turns.count == 2)
        #expect(try loop.handle("/reset"))
        #expect(chat.turns.isEmpty)
        shown = ""
        #expect(try loop.handle(question))
        #expect(shown == "The capital of France is Paris.\n")
        #expect(try loop.handle("/quit") == false)
    }

    @Test("/system sets the system message and /save writes what chat --json reads")
    func systemAndSave() throws {
        let chat = try conversation(loaded())
        var loop = ChatLoop(conversation: chat, show: { _ in }, report: { _ in })
        #expect(try loop.handle("/system Say \"yes\"."))
        #expect(try loop.handle("Hello?"))
        let folder = TemporaryFolder()
        #expect(try loop.handle("/save \(folder.path)/c.json"))
        let saved = try ChatRequest(InputFile.text(folder.path + "/c.json"), name: "saved")
        #expect(saved.hasSystem)
        #expect(saved.messages == chat.messages.map(\.templateValue))
        #expect(saved.messages.count == 3)
    }

    @Test(
        "memory to run is foretold within 15 %",
        .enabled(if: Binary.path != nil, "no release binary"))
    func memory() throws {
        let path = try #require(Models.smolLM2)
        let prompt = String(repeating: "the quick brown fox jumps over a lazy dog ", count: 100)
        let measured = try Binary.run([
            "generate", "--model", path, "--raw", "--prompt", prompt, "--max-tokens", "4",
            "--context", "1024", "--json",
        ]).json()
        #expect(try measured.array("prompt_tokens").count > 900)
        let peak = try measured.object("timings").int("peak_rss_bytes")
        let summary = try ModelSummary(path: path, context: 1024, chunk: 512)
        let foretold = try #require(summary.memory).total(.f16)
        #expect(abs(foretold - peak) * 100 < 15 * peak, "\(foretold), measured \(peak)")
    }

    private func loaded() throws -> LoadedModel {
        try LoadedModel(
            try #require(Models.smolLM2),
            device: Device(threads: 2, instructionSet: .best, precision: .int16))
    }

    private func greedy() -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.temperature = 0
        parameters.maxTokens = 40
        return parameters
    }

    private func conversation(_ model: LoadedModel) throws -> Conversation {
        Conversation(
            model: model, session: try model.session(try .parse([])), system: nil,
            parameters: greedy())
    }
}
