import TestSupport
import Testing
import YuyanFormats
import YuyanModels
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
        notes: Notes = Notes(), reachable: () -> Int? = { ProcessMemory.reachable }
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
        return try TrainingRun(
            source, modelPath: path, isDry: isDry, makeReader: ServedTurnReader.init,
            reachable: reachable,
            observe: { event in if case .note(let line) = event { notes.lines.append(line) } })
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

    @Test("a template that was changed between two runs is refused, and named beside the old one")
    func comparesTemplates() throws {
        let chats = (0..<12).map {
            #"{"messages": [{"role": "user", "content": "abc \#($0)"}, "#
                + #"{"role": "assistant", "content": "de"}]}"#
        }
        let path = folder.file("chat.jinja", Array(DataFixture.chatML.utf8))
        let flags = ["--dataset", file("chats.jsonl", chats), "--template", path]
        _ = try run("chats", flags).train()
        #expect(refusal("chats", flags + ["--max_steps", "3"], trains: true) == "")
        // The same tokens, so that nothing but the template tells.
        let changed = DataFixture.chatML + "{# changed #}"
        _ = folder.file("chat.jinja", Array(changed.utf8))
        let found = refusal("chats", flags + ["--max_steps", "4"], trains: true)
        #expect(
            found.contains("/checkpoint-3 was made with another chat template: now"), "\(found)")
        let digests = found.split(separator: "of digest ").dropFirst().map {
            String($0.prefix { $0.isHexDigit })
        }
        #expect(digests.count == 2 && digests[0] != digests[1] && !digests[0].isEmpty, "\(found)")
        #expect(found.contains("'\(path)'") && found.contains("resume_from_checkpoint: false"))
        // A checkpoint of before there were digests is gone on from.
        let state = "chats/checkpoint-3/trainer_state.json"
        let text = String(decoding: try folder.bytes(state), as: UTF8.self)
        #expect(text.contains("\"template\""))
        _ = folder.file(state, Array(text.replacing("\"template\"", with: "\"older\"").utf8))
        #expect(refusal("chats", flags + ["--max_steps", "4"], trains: true) == "")
        // Plain text has no template.
        let texts = ["--stage", "pt", "--dataset", file("t.txt", ["abc de", "fg hi", "jk lm"])]
        _ = try run("text", texts).train()
        let digest = try #require(
            TrainerState.read(folder.path + "/text/trainer_state.json").template)
        #expect(digest.digest.isEmpty && digest.origin == "no chat template")
    }

    /// A Hugging Face folder of a model with an adapter merged, in float32.
    private func merged(_ output: String, _ base: String, _ adapter: String) throws -> String {
        let device = Device(threads: 2)
        let checkpoint = try Checkpoint(path: base)
        let decoder = try Decoder(checkpoint, on: device)
        let loaded = try LowRankAdapter(
            name: "merged", path: adapter, for: decoder, on: device, merging: true)
        let path = folder.path + "/" + output
        try createFolder(path)
        try SavedModel(decoder: decoder, source: checkpoint, device: device).writeHuggingFace(
            to: path, as: .f32, adding: loaded)
        return path
    }

    @Test(
        "a fresh adapter over merged ones is the bytes of one over the model that they were merged into",
        arguments: [false, true])
    func mergesAdapters(usesDoRA: Bool) throws {
        let first = folder.path + "/first"
        _ = try run(
            "first", ["--lora_target", "q_proj,v_proj"] + (usesDoRA ? ["--use_dora"] : [])
        ).train()
        let fresh = ["--lora_rank", "3", "--create_new_adapter"]
        _ = try run("second", fresh + ["--adapter_name_or_path", first]).train()
        let base = try merged("base", model, first)
        _ = try run("other", ["--lora_rank", "3"], model: base).train()
        let name = "adapter_model.safetensors"
        #expect(try folder.bytes("second/\(name)") == folder.bytes("other/\(name)"))
        _ = try run("plain", ["--lora_rank", "3"]).train()
        #expect(try folder.bytes("second/\(name)") != folder.bytes("plain/\(name)"))

        // All but the last are merged, the last is gone on from.
        let second = folder.path + "/second"
        let rank = ["--lora_rank", "3"]
        let notes = Notes()
        _ = try run(
            "third", rank + ["--adapter_name_or_path", "\(first),\(second)"], notes: notes
        ).train()
        #expect(notes.lines.isEmpty, "\(notes.lines)")
        _ = try run("fourth", rank + ["--adapter_name_or_path", second], model: base).train()
        #expect(try folder.bytes("third/\(name)") == folder.bytes("fourth/\(name)"))

        for place in ["third", "third/checkpoint-2"] {
            let record = try #require(try MergedAdapters(beside: folder.path + "/" + place))
            #expect(record.adapters == [first] && record.model == model)
        }
        #expect(try MergedAdapters(beside: folder.path + "/fourth") == nil)
        let configuration = try JSONDocument(path: folder.path + "/third/adapter_config.json").root
        #expect(try configuration.string("base_model_name_or_path") == model)
        // Without the first, the second is over another model than it was trained over.
        _ = try run("alone", rank + ["--adapter_name_or_path", second], notes: notes)
        #expect(notes.lines.contains { $0.contains("trained over 1 merged adapter ") })
        #expect(
            try run("again", rank + ["--adapter_name_or_path", "\(first),\(second)"])
                .summary.facts.contains {
                    $0.value == "\(second), over \(first) merged into the weights"
                })
    }

    @Test("an embedding that an adapter changes is parted from a tied head as it is merged")
    func mergesTiedHeads() throws {
        let model = Goldens.path("models/gguf/llama-tied.gguf")
        _ = try run("tied", ["--lora_target", "embed_tokens,v_proj"], model: model).train()
        let first = folder.path + "/tied"
        _ = try run(
            "over", ["--adapter_name_or_path", first, "--create_new_adapter"], model: model
        ).train()
        _ = try run("same", model: merged("untied", model, first)).train()
        let name = "adapter_model.safetensors"
        #expect(try folder.bytes("over/\(name)") == folder.bytes("same/\(name)"))
    }

    @Test("adapters are not merged into quantised weights")
    func refusesQuantisedMerges() throws {
        _ = try run("first").train()
        let flags = ["--adapter_name_or_path", folder.path + "/first", "--create_new_adapter"]
        let found = refusal("bits", flags + ["--quantization_bit", "4"])
        #expect(found.contains("quantization_bit") && found.contains("adapter merge"), "\(found)")
    }

    @Test("LoRA of the embedding is saved as PEFT's, goes on, and is read back to the same loss")
    func trainsEmbeddings() throws {
        let held = file("held.jsonl", rows(5))
        let flags = [
            "--lora_target", "embed_tokens,v_proj", "--loraplus_lr_ratio", "4",
            "--loraplus_lr_embedding", "1e-3", "--lr_scheduler_type", "constant", "--eval_dataset",
            held, "--eval_steps", "2",
        ]
        _ = try run("whole", flags).train()
        _ = try run("cut", flags + ["--max_steps", "1"]).train()
        _ = try run("cut", flags).train()
        let name = "adapter_model.safetensors"
        #expect(try folder.bytes("whole/\(name)") == folder.bytes("cut/\(name)"))
        let file = try SafetensorsFile(path: folder.path + "/whole/" + name)
        let path = "base_model.model.model.embed_tokens.lora_embedding_"
        let down = try Tensor(file.tensor(path + "A"))
        #expect(down.shape == [2, 96] && down.values.contains { $0 != 0 })
        #expect(try Tensor(file.tensor(path + "B")).shape == [32, 2])
        let loss = try folder.loggedNumbers("whole").compactMap { $0["eval_loss"] }.last
        _ = try run(
            "read",
            flags + ["--adapter_name_or_path", folder.path + "/whole", "--do_train", "false"]
        ).train()
        #expect(try folder.loggedNumbers("read").map { $0["eval_loss"] } == [loss])
        #expect(loss != nil)
        // The rate of B of the embedding is its own.
        _ = try run("still", flags + ["--loraplus_lr_embedding", "0"]).train()
        let still = try SafetensorsFile(path: folder.path + "/still/" + name)
        _ = try run("start", flags + ["--learning_rate", "1e-30", "--loraplus_lr_embedding", "0"])
            .train()
        let start = try SafetensorsFile(path: folder.path + "/start/" + name)
        #expect(
            try Tensor(still.tensor(path + "B")).values == Tensor(start.tensor(path + "B")).values)
        #expect(
            try Tensor(file.tensor(path + "B")).values != Tensor(start.tensor(path + "B")).values)
    }

    @Test("do_train: false evaluates as a run would before its first step, and saves nothing")
    func evaluatesOnly() throws {
        let held = file("held.jsonl", rows(5))
        let only = ["--do_train", "false", "--eval_dataset", held]
        _ = try run("trained", ["--eval_dataset", held, "--eval_on_start"]).train()
        let first = try #require(try folder.loggedNumbers("trained").first)
        #expect(first["step"] == 0 && first["eval_loss"] != nil)
        let result = try run("only", only).train()
        #expect(result.outcome == .evaluated && result.verdict == .untrained)
        #expect(try folder.loggedNumbers("only") == [first])
        let names = itemNames(in: folder.path + "/only").filter { !$0.hasPrefix(".") }
        #expect(names.sorted() == ["metrics.jsonl", "recipe.yaml", "report.html"])
        // Nothing of the training data is needed.
        #expect(refusal("only", only + ["--dataset", "/nowhere.jsonl"], trains: true) == "")
        #expect(try folder.loggedNumbers("only") == [first])
        let dry = try run("dry", only, isDry: true)
        #expect(dry.summary.steps == 0)
        #expect(try dry.timed().loss > 0)
        for key in ["gradients", "optimiser"] {
            #expect(dry.summary.memory.parts.first { $0.key == key }?.bytes == 0)
        }
        // A run that trained is left alone, whatever is asked for.
        for flags in [[], ["--overwrite_output_dir"], ["--resume_from_checkpoint", "false"]] {
            let found = refusal("trained", only + flags, trains: true)
            #expect(found.contains("holds checkpoint-2"), "\(found)")
        }
        // What it learnt is evaluated through its adapter.
        let last = try folder.loggedNumbers("trained").last { $0["eval_loss"] != nil }
        _ = try run(
            "learnt", only + ["--adapter_name_or_path", folder.path + "/trained"]
        ).train()
        #expect(
            try folder.loggedNumbers("learnt").first?["eval_loss"] == last?["eval_loss"])
        #expect(refusal("none", ["--do_train", "false"]).contains("'eval_dataset' is missing"))
    }

    @Test("samples that are packed together are part of the memory predicted")
    func predictsSamples() throws {
        func bytes(_ count: Int, _ flags: [String]) throws -> Int {
            let data = file("n\(count).jsonl", rows(count))
            let memory = try run("memory", ["--dataset", data] + flags, isDry: true).summary.memory
            #expect(!memory.isUpperBound)
            return try #require(memory.parts.first { $0.key == "samples" }).bytes
        }
        let packed = ["--packing", "--cutoff_len", "64"]
        let (few, many) = (try bytes(100, packed), try bytes(1000, packed))
        #expect(few > 100 * 8 * 4 && many > 9 * few && many < 11 * few)
        // A window is 1024 rows, however many there are; without packing a few batches are read ahead.
        #expect(try bytes(4000, packed) < 2 * many)
        #expect(try bytes(1000, []) < few)
    }

    @Test("checkpoints that no run can go on from are spoken of at its start")
    func notesWeightsOnly() throws {
        let notes = Notes()
        _ = try run("weights", ["--save_only_model"], notes: notes)
        #expect(notes.lines.contains { $0.hasPrefix("save_only_model: ") })
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

    @Test("a metric that no evaluation logs is refused before the first step, in a dry run too")
    func refusesMetrics() throws {
        let held = ["--val_size", "3"]
        func refusal(_ flags: [String], isDry: Bool) -> String {
            do {
                _ = try run("metric", flags, isDry: isDry)
                return ""
            } catch {
                return "\(error)"
            }
        }
        for isDry in [true, false] {
            let found = refusal(held + ["--metric_for_best_model", "foo"], isDry: isDry)
            for part in [
                "metric_for_best_model", "'eval_foo'",
                "eval_loss, eval_mean_token_accuracy, eval_entropy",
            ] { #expect(found.contains(part), "\(found)") }
            for name in ["loss", "eval_entropy", "mean_token_accuracy"] {
                #expect(refusal(held + ["--metric_for_best_model", name], isDry: isDry) == "")
            }
        }
        // Nobody asks for it.
        for flags in [[], held + ["--eval_strategy", "no"]] {
            #expect(refusal(flags + ["--metric_for_best_model", "foo"], isDry: true) == "")
        }
    }

    @Test("a run that will not fit is spoken of before it starts, with what helps")
    func notesShortage() throws {
        func note(_ flags: [String] = [], _ reachable: Int?) throws -> String? {
            let notes = Notes()
            let run = try run(
                "memory", flags, isDry: true, notes: notes, reachable: { reachable })
            let found = notes.lines.filter { $0.hasPrefix("memory: ") }
            #expect(found.count < 2)
            if let line = found.first {
                #expect(line.contains("\(run.summary.memory.total.binarySize) are predicted"))
            }
            return found.first
        }
        let plain = try #require(
            try note(["--disable_gradient_checkpointing", "true"], 1 << 10))
        for part in [
            "1.0 KiB are available", "quantization_bit: 4", "optim: paged_adamw_32bit",
            "cutoff_len", "gradient_checkpointing: true",
        ] { #expect(plain.contains(part), "\(plain)") }
        let frugal = try #require(
            try note(
                ["--gradient_checkpointing", "true", "--optim", "paged_adamw_32bit"], 1 << 10))
        #expect(!frugal.contains("optim:") && !frugal.contains("gradient_checkpointing"))
        #expect(try note([], nil) == nil)
        #expect(try note([], 1 << 60) == nil)
    }

    @Test("a full run without masters saves bfloat16, which loses nothing; others save float32")
    func savesBFloat16() throws {
        func types(_ output: String, _ flags: [String]) throws -> Set<ElementType> {
            _ = try run(output, flags).train()
            let file = try SafetensorsFile(path: "\(folder.path)/\(output)/model.safetensors")
            return Set(file.tensors.map(\.elementType))
        }
        let flags = ["--finetuning_type", "full", "--pure_bf16", "true"]
        #expect(try types("brief", flags) == [.bf16])
        let configuration = try JSONDocument(path: folder.path + "/brief/config.json").root
        let type = try configuration["dtype"]?.string ?? configuration.string("torch_dtype")
        #expect(type == "bfloat16")
        let saved = try SafetensorsFile(path: folder.path + "/brief/model.safetensors")
        let last = try SafetensorsFile(
            path: folder.path + "/brief/checkpoint-2/model.safetensors")
        #expect(last.tensors.count == saved.tensors.count)
        for entry in last.tensors {
            #expect(entry.elementType == .f32)
            let values = try Tensor(saved.tensor(entry.name)).values
            #expect(try Tensor(entry).values == values, "\(entry.name)")
        }
        #expect(try types("long", flags + ["--infer_dtype", "float32"]) == [.f32])
        #expect(try types("masters", ["--finetuning_type", "full", "--bf16", "true"]) == [.f32])
        // Its frozen layers are as they came.
        let freeze = [
            "--finetuning_type", "freeze", "--freeze_trainable_layers", "1", "--pure_bf16", "true",
        ]
        #expect(try types("freeze", freeze) == [.f32])
    }

    @Test(
        "a checkpoint's number that is not finite is named with its place",
        arguments: [
            ("model.layers.1.mlp.up_proj.weight", "lora"),
            ("model.layers.1.mlp.up_proj.weight", "full"),
            ("model.layers.0.input_layernorm.weight", "lora"),
            ("lm_head.weight", "lora"), ("lm_head.weight", "full"),
        ])
    func namesDamage(_ name: String, _ method: String) throws {
        let flags = ["--finetuning_type", method]
        _ = try run("made", ["--finetuning_type", "full"]).train()
        let path = folder.path + "/made/model.safetensors"
        let whole = try SafetensorsFile(path: path)
        let isMatrix = try whole.tensor(name).shape.count == 2
        let tensors = try whole.tensors.map { entry in
            var values = try Tensor(entry).values
            if entry.name == name {
                values[isMatrix ? 3 * (entry.shape.last ?? 1) + 5 : 5] = .nan
            }
            return TensorSource(name: entry.name, shape: entry.shape, values: values)
        }
        try SafetensorsWriter().write(tensors, to: folder.path + "/damaged.safetensors")
        _ = folder.file("made/model.safetensors", try folder.bytes("damaged.safetensors"))
        let model = folder.path + "/made"
        if name.hasPrefix("model.layers.") {
            do {
                _ = try run("dry", flags, model: model, isDry: true).timed()
                Issue.record("the damage was not found")
            } catch {
                #expect("\(error)".contains("the checkpoint's '\(name)' holds nan"), "\(error)")
            }
        }
        do {
            _ = try run("fails", flags, model: model).train()
            Issue.record("the damage was not found")
        } catch {
            let place = isMatrix ? "[3, 5]" : "[5]"
            let found = "\(error)"
            #expect(
                found.contains("the checkpoint's '\(name)' holds nan at \(place)"), "\(found)")
            #expect(found.contains("step 1: ") && !found.contains("learning rate"), "\(found)")
        }
    }
}
