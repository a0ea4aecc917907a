import TestSupport
import Testing
import YuyanFormats
import YuyanNN
import YuyanTensor

@testable import YuyanTrain

@Suite("Whole runs over a tiny checkpoint")
struct TrainingRunTests {
    private let folder = TemporaryFolder()
    private let model = Goldens.path("models/gguf/llama-gqa.gguf")

    private func rows(_ count: Int) -> [String] {
        (0..<count).map { #"{"prompt": "abc \#($0)", "completion": " de \#($0 * 7 % 10)"}"# }
    }

    private func file(_ name: String, _ lines: [String]) -> String {
        folder.file(name, Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// A run of the recipe's flags; `data.jsonl` is written unless flags name another file.
    private func run(
        _ output: String, _ flags: [String] = [], model: String? = nil, isDry: Bool = false,
        notes: Notes = Notes()
    ) throws -> TrainingRun {
        let data = flags.contains("--dataset") ? [] : ["--dataset", file("data.jsonl", rows(12))]
        let source = try RecipeSource(
            arguments: [
                "--model_name_or_path", model ?? self.model, "--output_dir",
                folder.path + "/" + output,
                "--lora_rank", "2", "--learning_rate", "1e-2", "--per_device_train_batch_size", "2",
                "--max_steps", "2", "--save_steps", "1", "--report_samples", "0", "--threads", "2",
                "--report_to", "none",
            ] + data + flags)
        let path = model ?? self.model
        return try TrainingRun(source, modelPath: path, isDry: isDry) { event in
            if case .note(let line) = event { notes.lines.append(line) }
        }
    }

    private final class Notes {
        var lines: [String] = []
    }

    /// The message of the error that a run ends with before its first step; empty if there is none.
    private func refusal(_ output: String, _ flags: [String], trains: Bool = false) -> String {
        do {
            let run = try run(output, flags)
            if trains { _ = try run.train() }
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("an adapter is saved with the ranks and alphas that it was trained with")
    func savesPatterns() throws {
        _ = try run(
            "patterns",
            [
                "--lora_target", "q_proj,v_proj", "--alpha_pattern", #"{"q_pro.": 64}"#,
                "--rank_pattern", #"{"layers\\.[0]\\..*v_proj": 3}"#,
            ]
        ).train()
        let summary = try AdapterSummary(path: folder.path + "/patterns")
        #expect(
            summary.parts.map { "\($0.path) \($0.rank ?? 0) \(Float($0.scale ?? 0))" }.sorted() == [
                "model.layers.0.self_attn.q_proj 2 32.0",
                "model.layers.0.self_attn.v_proj 3 \(Float(4) / 3)",
                "model.layers.1.self_attn.q_proj 2 32.0", "model.layers.1.self_attn.v_proj 2 2.0",
            ])
        let configuration = try JSONDocument(path: folder.path + "/patterns/adapter_config.json")
        #expect(
            try configuration.root.object("rank_pattern").entries?.map(\.key) == [
                "model.layers.0.self_attn.v_proj"
            ])
    }

    @Test("an old run goes only once the new one is known to be right")
    func clearsLate() throws {
        _ = try run("old").train()
        func names() -> [String] { itemNames(in: folder.path + "/old") }
        let before = names()
        #expect(before.contains("checkpoint-2"))
        for flags in [
            ["--overwrite_output_dir"], ["--resume_from_checkpoint", "false"],
            ["--resume_from_checkpoint", folder.path + "/old/checkpoint-1"],
        ] {
            #expect(refusal("old", flags + ["--dataset", "/nowhere.jsonl"]).contains("nowhere"))
            #expect(refusal("old", flags + ["--optim", "adamv"]).contains("adamv"))
            // Looking is not beginning.
            _ = try run("old", flags)
            #expect(names() == before)
        }
        _ = try run("old", ["--overwrite_output_dir", "--save_steps", "2"]).train()
        #expect(try RunFolder(folder.path + "/old").checkpoints().map(\.step) == [2])
    }

    @Test("an adapter to go on from must have the recipe's form; what differs is named")
    func comparesAdapters() throws {
        _ = try run("first", ["--lora_target", "q_proj,v_proj"]).train()
        let start = ["--adapter_name_or_path", folder.path + "/first"]
        let same = ["--lora_target", "q_proj,v_proj"]
        #expect(refusal("second", start + same) == "")
        for (flags, key) in [
            (same + ["--lora_alpha", "8"], "'lora_alpha' is 4"),
            (same + ["--lora_rank", "4"], "'r' is 2"),
            (same + ["--rank_pattern", "{v_proj: 1}"], "'r' is 2"),
            (same + ["--use_dora"], "'use_dora' is false"),
            (same + ["--use_rslora"], "'use_rslora' is false"),
            (["--lora_target", "q_proj"], "'target_modules' is with"),
            (["--lora_target", "q_proj,v_proj,o_proj"], "'target_modules' is without"),
            (same + ["--additional_target", "embed_tokens"], "embed_tokens"),
            (["--finetuning_type", "full"], "adapter_name_or_path"),
        ] {
            let found = refusal("second", start + flags)
            #expect(found.contains(key), "\(flags): \(found)")
        }
    }

    @Test("a tied head that was trained as the embedding is saved with it, and goes on")
    func savesTiedHeads() throws {
        let model = Goldens.path("models/gguf/llama-tied.gguf")
        let tied = ["--additional_target", "embed_tokens"]
        _ = try run("tied", tied, model: model).train()
        let file = try SafetensorsFile(path: folder.path + "/tied/adapter_model.safetensors")
        let prefix = "base_model.model."
        #expect(
            try Tensor(file.tensor(prefix + "lm_head.weight")).values
                == Tensor(file.tensor(prefix + "model.embed_tokens.weight")).values)
        _ = try run(
            "further", tied + ["--adapter_name_or_path", folder.path + "/tied"], model: model)
    }

    @Test("data that were changed between two runs are refused, whatever their counts")
    func comparesData() throws {
        _ = try run("data").train()
        _ = file("other.jsonl", rows(12).reversed())
        let more = ["--max_steps", "4", "--dataset", folder.path + "/data.jsonl"]
        for name in ["data.jsonl", "held.jsonl"] { _ = file(name, rows(12)) }
        #expect(refusal("data", more, trains: true) == "")
        _ = file("data.jsonl", rows(12).reversed())
        let found = refusal("data", more + ["--max_steps", "5"], trains: true)
        #expect(found.contains("was made with other data"), "\(found)")
        let held = ["--eval_dataset", folder.path + "/held.jsonl"]
        _ = try run("held", held).train()
        _ = file("held.jsonl", rows(12).reversed())
        let other = refusal("held", held + ["--max_steps", "4"], trains: true)
        #expect(other.contains("was made with other data"), "\(other)")
    }

    @Test("rows that are left out are counted before the run, with an example")
    func showsNotes() throws {
        let bad = #"{"prompt": "abc", "completion": 5}"#
        let path = file("bad.jsonl", rows(3) + [bad])
        let run = try run("bad", ["--dataset", path, "--on_bad_row", "skip"])
        let notes = run.summary.dataNotes.joined(separator: "\n")
        #expect(notes.contains("1 of 4 rows left out") && notes.contains("bad.jsonl:4"), "\(notes)")
    }

    @Test("an epoch of bad rows alone is an error, not a trap")
    func refusesEmptyEpochs() throws {
        let bad = #"{"prompt": "abc", "completion": 5}"#
        let many = file("many.jsonl", rows(1) + [bad, bad, bad])
        let one = file("one.jsonl", [bad])
        let found = refusal(
            "empty",
            [
                "--dataset", "\(many),\(one)", "--on_bad_row", "skip", "--mix_strategy",
                "interleave_under", "--max_steps", "-1", "--num_train_epochs", "40",
            ])
        #expect(found.contains("gives anything to learn"), "\(found)")
    }

    @Test("a template that is no file is said to be the model's own")
    func notesTemplates() throws {
        let notes = Notes()
        _ = try run("template", ["--template", "llama3"], notes: notes)
        #expect(
            notes.lines.contains { $0.contains("'template' is 'llama3', which is not the path") })
    }

    @Test("a dry run of a paged optimiser takes no state")
    func looksWithoutState() throws {
        let flags = ["--optim", "paged_adamw_32bit"]
        let dry = try run("dry", flags, isDry: true)
        #expect(try dry.timed().loss > 0)
        let memory = try run("paged", flags).summary.memory
        #expect(dry.summary.memory.parts.first { $0.key == "optimiser" }?.bytes == 0)
        #expect(memory.parts.first { $0.key == "optimiser" }?.bytes == 0)
        let recipe = try RecipeSource(
            arguments: ["--model_name_or_path", "m", "--dataset", "d", "--output_dir", "o"] + flags
        ).recipe
        let tensor = Tensor(parameter: "a.weight", [Float](repeating: 1, count: 64))
        let parameter = try #require(tensor.parameter)
        #expect(try Optimizer(recipe, [parameter], folder: nil).arrays.isEmpty)
        #expect(try !Optimizer(recipe, [parameter], folder: folder.path).arrays.isEmpty)
    }
}
