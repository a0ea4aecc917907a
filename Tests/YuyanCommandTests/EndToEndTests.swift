import TestSupport
import Testing
import YuyanFormats

@Suite("The command, end to end", .enabled(if: Binary.path != nil, "no release binary"))
struct EndToEndTests {
    private let tiny = Goldens.path("models/gguf/llama-gqa.gguf")

    @Test("failures are one line on stderr, nothing on stdout, and exit code 1")
    func failures() throws {
        let broken = TemporaryFolder()
        let path = broken.file("broken.gguf", Array("GGUF\u{3}".utf8))
        let notText = broken.file("text", [0x61, 0xFF])
        let cases: [[String]] = [
            ["inspect", path], ["inspect", "/nowhere.gguf"], ["inspect", "no-such-name"],
            ["tokenize", "--model", tiny, "--file", notText],
            ["tokenize", "--model", tiny, "--text", "96", "--decode"],
            ["chat", "--model", tiny, "--json"],
            ["generate", "--model", path, "--prompt", "a", "--raw"],
            ["generate", "--model", tiny, "--prompt", "a"],
        ]
        for arguments in cases {
            let result = try Binary.run(arguments)
            #expect(result.status == 1, "\(arguments): \(result)")
            #expect(result.output.isEmpty, "\(arguments): \(result)")
            #expect(result.errors.hasPrefix("error: "), "\(arguments): \(result)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(arguments): \(result)")
        }
        #expect(try Binary.run(["inspect"]).status == 64)
    }

    @Test("tokenize and its way back agree, as text, list and object")
    func tokenizing() throws {
        let text = "abc, de"
        let json = try Binary.run(["tokenize", "--model", tiny, "--text", text, "--json"])
        let ids = try json.json().array("ids").compactMap(\.int)
        #expect(!ids.isEmpty && json.status == 0)
        #expect(try json.json().entries?.map(\.key) == ["ids"])
        let plain = try Binary.run(
            ["tokenize", "--model", tiny, "--file", "-"], input: text)
        #expect(plain.output == ids.map { "\($0)" }.joined(separator: " ") + "\n")
        for input in [json.output, plain.output, "\(ids)"] {
            let back = try Binary.run(
                ["tokenize", "--model", tiny, "--file", "-", "--decode", "--skip-special"],
                input: input)
            #expect(back.output == text, "\(back)")
            let object = try Binary.run(
                [
                    "tokenize", "--model", tiny, "--file", "-", "--decode", "--skip-special",
                    "--json",
                ], input: input)
            #expect(try object.json().string("text") == text)
        }
    }

    @Test("generate and inspect print one object with the promised keys")
    func contracts() throws {
        let generated = try Binary.run([
            "generate", "--model", tiny, "--prompt", "abc", "--raw", "--max-tokens", "4",
            "--ignore-eos", "--logprobs", "2", "--json",
        ]).json()
        #expect(
            generated.entries?.map(\.key) == [
                "prompt_tokens", "tokens", "text", "finish_reason", "prompt_logprobs", "logprobs",
                "timings",
            ])
        #expect(try generated.array("tokens").count == 4)
        #expect(try generated.array("logprobs").count == 4)
        for entry in try generated.array("logprobs") {
            #expect(try entry.array("top").count == 2)
            #expect(try entry.double("logprob") <= 0)
        }
        #expect(
            try generated.object("timings").entries?.map(\.key) == [
                "load_s", "prefill_tok_s", "decode_tok_s", "first_token_s", "peak_rss_bytes",
            ])
        let inspected = try Binary.run(["inspect", tiny, "--json"]).json()
        #expect(try inspected.object("parameters").int("total") > 0)
        #expect(try inspected.object("memory").object("total").int("f16") > 0)
    }
}
