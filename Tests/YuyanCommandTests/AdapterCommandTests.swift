import ArgumentParser
import TestSupport
import Testing
import YuyanFormats

@testable import yuyan

@Suite("adapter and eval")
struct AdapterCommandTests {
    private let model = Goldens.path("models/gguf/llama-gqa.gguf")
    private let adapter = Goldens.path("adapters/llama-all")
    private let folder = TemporaryFolder()

    @Test(
        "wrong arguments are usage errors",
        arguments: [
            ["adapter", "merge", "a"], ["adapter", "merge", "a", "b"],
            ["adapter", "merge", "a", "b", "--model", "m", "--type", "q4"],
            ["adapter", "merge", "a", "b", "--model", "m", "--max-kl", "-1"],
            ["adapter", "convert", "a", "b"], ["adapter", "inspect"],
            ["eval", "--model", "m"], ["eval", "--data", "d"],
            ["eval", "--model", "m", "--data", "d", "--limit", "0"],
            ["eval", "--model", "m", "--data", "d", "--kind", "x"],
            ["eval", "--model", "m", "--data", "d", "--max-gen-toks", "0"],
            ["eval", "--model", "m", "--data", "d", "--system-instruction", "s"],
        ])
    func usage(_ arguments: [String]) throws {
        let error = #expect(throws: (any Error).self) { try Yuyan.parseAsRoot(arguments) }
        #expect(Yuyan.exitCode(for: try #require(error)) == .validationFailure)
    }

    @Test("merge, convert and inspect write what they say", .enabled(if: Binary.path != nil))
    func endToEnd() throws {
        let merged = folder.path + "/merged"
        let report = try Binary.run([
            "adapter", "merge", adapter, merged, "--model", model, "--type", "f32", "--json",
        ])
        let root = try report.json()
        #expect(
            root.entries?.map(\.key) == [
                "output", "type", "probe_tokens", "mean_kl", "mean_kl_error", "max_kl",
                "max_logit_change", "same_top",
            ])
        #expect(try root.double("mean_kl") < 1e-4)
        #expect(
            itemNames(in: merged) == [
                "config.json", "generation_config.json", "model.safetensors",
                "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
            ])
        let gguf = folder.path + "/adapter.gguf"
        let converted = try Binary.run(["adapter", "convert", adapter, gguf, "--model", model])
        #expect(converted.status == 0 && converted.output.isEmpty)
        let back = try Binary.run([
            "adapter", "convert", gguf, folder.path + "/back", "--model", model, "--json",
        ]).json()
        #expect(
            back.entries?.map(\.key) == ["output", "type", "updates", "whole_weights"])
        #expect(try back.int("updates") == 14 && back.int("whole_weights") == 0)
        let text = try Binary.run([
            "generate", "--model", model, "--adapter", gguf, "--raw", "--prompt", "abc",
            "--max-tokens", "4", "--json",
        ]).json()
        let same = try Binary.run([
            "generate", "--model", merged, "--raw", "--prompt", "abc", "--max-tokens", "4",
            "--json",
        ]).json()
        #expect(try text.string("text") == same.string("text"))
        let inspected = try Binary.run(["adapter", "inspect", gguf, "--json"]).json()
        #expect(try inspected.string("format") == "GGUF" && inspected.array("modules").count == 14)
        // What is there already is not replaced.
        let again = try Binary.run(["adapter", "merge", adapter, merged, "--model", model])
        #expect(again.status == 1 && again.errors.hasPrefix("error: "))
        #expect(folder.names == ["adapter.gguf", "back", "merged"])
    }

    @Test("eval prints figures, and keeps samples if asked", .enabled(if: Binary.path != nil))
    func evaluation() throws {
        let data = folder.file(
            "q.jsonl",
            Array(#"{"question": "abc", "choices": ["d", "e"], "answer": "A"}"#.utf8))
        let samples = folder.path + "/samples.jsonl"
        let result = try Binary.run([
            "eval", "--model", model, "--data", data, "--samples", samples, "--json",
        ])
        let task = try #require(try result.json()["tasks"]?[0])
        #expect(try task.string("kind") == "choice" && task.int("rows") == 1)
        let metrics = try task.object("metrics")
        #expect(metrics.entries?.map(\.key) == ["acc", "acc_norm", "acc_bytes"])
        let sample = try JSONDocument(path: samples).root
        #expect(try sample.array("log_likelihoods").count == 2 && sample.string("data") == data)
        let wrong = folder.file("wrong.jsonl", Array("{}".utf8))
        #expect(Eval.unescaped(#"\n\t\\n\x\"#) == "\n\t\\n\\x\\")
        let refused = try Binary.run(["eval", "--model", "/nowhere", "--data", wrong])
        #expect(refused.status == 1 && refused.errors.contains("wrong.jsonl:1"))
    }
}
