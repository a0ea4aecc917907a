import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Recipes")
struct RecipeTests {
    static let least = "model_name_or_path: m\ndataset: d.jsonl\noutput_dir: out\n"

    private func recipe(
        _ text: String, flags: [String] = [], json: Bool = false,
        environment: [String: String] = [:]
    ) throws -> RecipeSource {
        let folder = TemporaryFolder()
        let path = folder.file(json ? "r.json" : "r.yaml", Array(text.utf8))
        return try RecipeSource(arguments: [path] + flags) { environment[$0] }
    }

    @Test("the smallest recipe has the documented defaults")
    func defaults() throws {
        let source = try recipe(Self.least)
        #expect(source.notes.isEmpty)
        var expected = Recipe()
        expected.model.path = "m"
        expected.data.sets = ["d.jsonl"]
        expected.run.outputFolder = "out"
        #expect(source.recipe == expected)
        #expect(source.recipe.method.alpha == 16)
        #expect(source.recipe.evaluationInterval == .no)
    }

    @Test("LLaMA-Factory's words mean the same here")
    func reads() throws {
        let source = try recipe(
            """
            ### model
            model_name_or_path: org/name
            stage: sft
            do_train: true
            finetuning_type: lora
            lora_rank: 16
            lora_alpha: 32
            lora_target: q_proj,v_proj
            additional_target: [embed_tokens, norm]
            ### data
            dataset: identity, alpaca.jsonl#200
            template: llama3
            cutoff_len: 1_024
            max_samples: 1e3
            val_size: 0.1
            interleave_probs: 0.25, 0.75
            ### run
            output_dir: out/lora
            overwrite_output_dir: yes
            per_device_train_batch_size: 1
            gradient_accumulation_steps: 8
            learning_rate: 1.0e-4
            adam_epsilon: 1e-6
            num_train_epochs: 3.0
            max_steps: -1
            lr_scheduler_type: cosine
            lr_scheduler_kwargs: {num_cycles: 0.5, decay_type: linear}
            warmup_ratio: .1
            bf16: on
            eval_strategy: steps
            eval_steps: 500
            early_stopping_steps:
            resume_from_checkpoint: null
            rank_pattern: {q_proj: 4}
            report_to: none
            """)
        let r = source.recipe
        #expect(r.method.loraRank == 16 && r.method.alpha == 32)
        #expect(r.method.loraTarget == ["q_proj", "v_proj"])
        #expect(r.method.additionalTarget == ["embed_tokens", "norm"])
        #expect(r.data.sets == ["identity", "alpaca.jsonl#200"])
        #expect(r.data.cutoffLength == 1024 && r.data.maximumSamples == 1000)
        #expect(r.data.mixWeights == [0.25, 0.75])
        #expect(r.run.overwrites && r.optimisation.usesBF16)
        #expect(r.optimisation.learningRate == 1e-4 && r.optimisation.epsilon == 1e-6)
        #expect(r.optimisation.warmupRatio == 0.1)
        #expect(r.optimisation.scheduleOptions.entries.map(\.text) == ["0.5", "linear"])
        #expect(r.method.rankPattern["q_proj"] == 4)
        #expect(r.run.earlyStoppingSteps == nil && r.run.resumeFrom == nil)
        #expect(r.evaluationInterval == .steps)
    }

    @Test("JSON says the same as YAML")
    func readsJSON() throws {
        let source = try recipe(
            """
            {"model_name_or_path": "m", "dataset": ["a", "b"], "output_dir": "out",
             "learning_rate": 2e-4, "packing": true, "lora_alpha": null, "seed": 7}
            """, json: true)
        #expect(source.recipe.data.sets == ["a", "b"])
        #expect(source.recipe.optimisation.learningRate == 2e-4)
        #expect(source.recipe.data.packing == true && source.recipe.run.seed == 7)
        #expect(source.recipe.method.loraAlpha == nil)
    }

    @Test("flags win over the file, in every spelling")
    func flagsWin() throws {
        let source = try recipe(
            Self.least + "learning_rate: 1\nseed: 1\n",
            flags: [
                "--learning_rate", "2e-4", "--seed=5", "lora_rank=3", "--packing", "--max-steps",
                "9", "--lora_target", "[q_proj, k_proj]", "--use_dora", "false",
            ])
        let r = source.recipe
        #expect(r.optimisation.learningRate == 2e-4 && r.run.seed == 5)
        #expect(r.method.loraRank == 3 && r.data.packing == true)
        #expect(r.optimisation.maximumSteps == 9)
        #expect(r.method.loraTarget == ["q_proj", "k_proj"] && !r.method.usesDoRA)
    }

    @Test("a bad value is blamed on the flag that gave it")
    func blamesFlags() {
        let bad = Self.least + "lora_rank: -1\n"
        for (flags, place) in [
            (["--lora_rank", "0"], "--lora_rank: 'lora_rank' is 0"),
            (["--max-steps=0"], "--max-steps: 'max_steps' is 0"),
            (["seed=1"], "r.yaml:4: 'lora_rank' is -1"),
        ] {
            #expect {
                try recipe(bad, flags: flags)
            } throws: {
                "\($0)".contains(place)
            }
        }
    }

    @Test("a recipe may be flags alone, and a switch does not swallow the file")
    func flagsAlone() throws {
        let source = try RecipeSource(arguments: [
            "--model_name_or_path", "m", "--dataset", "a,b", "--output_dir", "out/",
        ])
        #expect(source.recipe.data.sets == ["a", "b"] && source.recipe.run.outputFolder == "out")
        let folder = TemporaryFolder()
        let path = folder.file("r.yaml", Array(Self.least.utf8))
        #expect(try RecipeSource(arguments: ["--packing", path]).recipe.data.packing == true)
    }

    @Test(
        "each mistake names place, key, what was found and what was expected",
        arguments: [
            ("lerning_rate: 1\n", "r.yaml:4", "learning_rate"),
            ("learning_rate: fast\n", "r.yaml:4", "'learning_rate' is 'fast', expected a number"),
            ("seed: 1.5\n", "r.yaml:4", "'seed' is '1.5', expected a whole number"),
            ("packing: maybe\n", "r.yaml:4", "expected true or false or nothing"),
            ("stage: rlhf\n", "r.yaml:4", "one of pt, sft, rm, prm, dpo"),
            ("stage: grpo\n", "reward_funcs", "at least one, such as [arithmetic]"),
            (
                "stage: grpo\nreward_funcs: [arithmetic]\nmax_tool_tokens: 7\n", "r.yaml:6",
                "8 to 1048576"
            ),
            (
                "stage: grpo\nreward_funcs: [arithmetic]\ntool_faults: skip\n", "r.yaml:6",
                "one of tell, stop"
            ),
            ("finetuning_type: dora\n", "r.yaml:4", "lora with use_dora: true"),
            ("lr: 1\n", "r.yaml:4: no key 'lr'", "nearest: learning_rate;"),
            ("num_epochs: 1\n", "no key 'num_epochs'", "nearest: num_train_epochs;"),
            ("batch_size: 1\n", "no key", "nearest: per_device_train_batch_size;"),
            ("dry_run: true\n", "no key", "nearest: the flag --dry-run;"),
            ("finetuning_type: oft\n", "finetuning_type", "full, freeze or lora"),
            ("lora_rank: [1]\n", "r.yaml:4", "a list of 1"),
            ("rank_pattern: 3\n", "r.yaml:4", "a mapping of names to numbers"),
            ("learning_rate: 0\n", "learning_rate", "above 0"),
            ("max_steps: 0\n", "max_steps", "at least 1, or -1"),
            ("val_size: 1.5\n", "val_size", "share below 1"),
            ("cutoff_len: 1\n", "cutoff_len", "at least 2"),
            ("lora_dropout: 1\n", "lora_dropout", "below 1"),
            ("bf16: true\nfp16: true\n", "bf16 and fp16", "choose one"),
            ("quantization_bit: 8\n", "quantization_bit", "4, or nothing"),
            ("quantization_bit: 4\nfinetuning_type: full\n", "quantization_bit", "lora"),
            ("eval_strategy: steps\n", "val_size", "is missing"),
            ("load_best_model_at_end: true\n", "load_best_model_at_end", "val_size"),
            ("interleave_probs: [1, 2]\n", "interleave_probs", "2 numbers for 1 data sets"),
            ("report_to: wandb\n", "report_to", "'wandb'"),
            ("use_galore: true\n", "r.yaml:4", "the GaLore optimiser is not built in"),
            ("label_smoothing_factor: 0.1\n", "r.yaml:4", "label smoothing"),
            ("streaming: true\n", "streaming", "max_steps"),
            ("train_from_scratch: true\n", "train_from_scratch", "full"),
            ("stage: pt\nmask_history: true\n", "stage pt", "sft"),
            ("threads: 0\n", "threads", "1 to 1024"),
            ("data_seed: -1\n", "data_seed", "at least 0"),
            ("val_size: 1e300\n", "val_size", "at most 1000000000"),
            ("cutoff_len: 9223372036854775807\n", "cutoff_len", "at most 16777216"),
            (
                "per_device_train_batch_size: 9223372036854775807\n", "train_batch_size",
                "at most 1048576"
            ),
            (
                "per_device_eval_batch_size: 9223372036854775807\n", "eval_batch_size",
                "at most 1048576"
            ),
            (
                "gradient_accumulation_steps: 9223372036854775807\n",
                "gradient_accumulation_steps", "at most 1048576"
            ),
            ("warmup_steps: 1e300\n", "warmup_steps", "at most 1000000000"),
            ("max_steps: 9223372036854775807\n", "max_steps", "at most 1000000000"),
            ("num_train_epochs: 1e12\n", "num_train_epochs", "at most 1000000"),
            ("rank_pattern: {q_proj: 1e300}\n", "rank_pattern", "1 to 1048576"),
            ("lora_rank: 9223372036854775807\n", "lora_rank", "at most 1048576"),
            (
                "freeze_trainable_layers: -9223372036854775808\n", "freeze_trainable_layers",
                "at least -1048576"
            ),
            ("dataset_weights: [0]\n", "dataset_weights", "above 0"),
            ("dataset_weights: [1e300]\n", "dataset_weights", "float32"),
            ("mask_history: true\ntrain_on_prompt: true\n", "mask_history", "choose one"),
            ("eval_on_start: true\n", "val_size", "is missing"),
            (
                "adapter_name_or_path: a\nfinetuning_type: full\n", "adapter_name_or_path", "lora"
            ),
            (
                "adapter_name_or_path: a,b\nquantization_bit: 4\n", "quantization_bit",
                "yuyan adapter merge"
            ),
            (
                "adapter_name_or_path: a\ncreate_new_adapter: true\nquantization_bit: 4\n",
                "quantization_bit", "without create_new_adapter"
            ),
            (
                "lora_target: v_proj,embed_tokens\nadditional_target: embed_tokens\n",
                "'embed_tokens'", "it or all of it"
            ),
            ("do_train: false\n", "eval_dataset", "is missing"),
            ("do_train: false\nval_size: 2\nstage: sample\n", "do_train", "nothing to evaluate"),
            ("loraplus_lr_embedding: -1\n", "loraplus_lr_embedding", "at least 0"),
            ("output_dir: ${NOWHERE}/x\n", "output_dir", "occurs twice"),
        ])
    func refuses(line: String, place: String, reason: String) {
        #expect {
            try recipe(Self.least + line)
        } throws: { error in
            let text = "\(error)"
            let isRight = text.contains(place) && text.contains(reason)
            if !isRight { print("found: \(text)") }
            return isRight
        }
    }

    @Test(
        "what must be given is asked for",
        arguments: [
            ("model_name_or_path", "dataset: d\noutput_dir: o\n"),
            ("dataset", "model_name_or_path: m\noutput_dir: o\n"),
            ("output_dir", "model_name_or_path: m\ndataset: d\n"),
        ])
    func asks(key: String, text: String) {
        #expect {
            try recipe(text)
        } throws: {
            guard case RecipeError.missing(_, let found, _) = $0 else { return false }
            return found == key
        }
    }

    @Test("paths know ~ and ${NAME}")
    func expandsPaths() throws {
        let source = try recipe(
            "model_name_or_path: ~/m\ndataset: [\"${DATA}/a\", b~]\noutput_dir: ${DATA}/${RUN}/\n",
            environment: ["HOME": "/home/me", "DATA": "/data", "RUN": "one"])
        #expect(source.recipe.model.path == "/home/me/m")
        #expect(source.recipe.data.sets == ["/data/a", "b~"])
        #expect(source.recipe.run.outputFolder == "/data/one")
        #expect {
            try recipe("model_name_or_path: ${X}\ndataset: d\noutput_dir: o\n")
        } throws: { "\($0)".contains("${X} is not") }
    }

    @Test("a resolved recipe reads back the same")
    func roundTrips() throws {
        var recipe = try recipe(
            Self.least + "lr_scheduler_kwargs: {num_cycles: 2}\nrank_pattern: {\"a: b\": 3}\n"
                + "run_name: \"yes: it's\"\nval_size: 3\nadditional_target: [\"x y\", '1']\n"
        ).recipe
        recipe.method.loraAlpha = 0.1 + 0.2
        let folder = TemporaryFolder()
        let path = folder.file("resolved.yaml", Array(recipe.yaml.utf8))
        let again = try RecipeSource(saved: path)
        #expect(again.recipe == recipe)
        #expect(again.recipe.differences(from: recipe).isEmpty)
        #expect(again.recipe.yaml == recipe.yaml)
        #expect(recipe.yaml.split(separator: "\n").count >= Recipe.keys.count)
    }

    @Test("every key of LLaMA-Factory and transformers is known, none twice")
    func knowsAllKeys() throws {
        let file = try MappedFile(path: Goldens.path("formats/recipe_keys.txt"))
        let names = file.withBytes { all in
            all.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }.split(separator: "\n").map(String.init)
        #expect(names.count > 300)
        for name in names {
            let kinds = [
                Recipe.keysByName[name] != nil, ForeignKeys.alias(name) != nil,
                ForeignKeys.reasonToIgnore(name) != nil, ForeignKeys.missingFeature(name) != nil,
                ForeignKeys.stageNames.contains(name),
            ]
            #expect(kinds.filter { $0 }.count == 1, "\(name): \(kinds)")
        }
        for key in Recipe.keys {
            #expect(ForeignKeys.reasonToIgnore(key.name) == nil, "\(key.name)")
            #expect(ForeignKeys.missingFeature(key.name) == nil, "\(key.name)")
        }
    }

    @Test("keys without meaning are accepted with a reason, methods that are off too")
    func ignores() throws {
        let source = try recipe(
            Self.least + "flash_attn: fa2\nuse_galore: false\ndeepspeed: ds.json\n"
                + "neftune_noise_alpha: 0\nlogging_strategy: steps\n")
        #expect(source.notes.count == 2)
        #expect(source.notes[0].contains("r.yaml:4: 'flash_attn' is ignored: "))
        #expect(source.notes[1].contains("deepspeed"))
    }

    @Test(
        "keys that nothing reads are named with the reason",
        arguments: [
            ("finetuning_type: full\nuse_dora: true\nlora_rank: 4\n", ["use_dora", "lora_rank"]),
            ("freeze_trainable_layers: 3\n", ["freeze_trainable_layers"]),
            ("interleave_probs: [1]\n", ["interleave_probs"]),
            ("optim_args: momentum=0.9\n", ["optim_args"]),
            ("optim: sgd\noptim_args: momentum=0.9\nadam_beta1: 0.5\n", ["adam_beta1"]),
            (
                "double_quantization: false\nquantization_type: fp4\n",
                ["quantization_type", "double_quantization"]
            ),
            ("quantization_bit: 4\nquantization_type: fp4\n", []),
            ("max_steps: 3\nnum_train_epochs: 2\n", ["num_train_epochs"]),
            ("val_size: 2\neval_strategy: epoch\neval_steps: 2\n", ["eval_steps"]),
            ("lora_rank: 4\nwarmup_steps: 2\n", []),
            ("tools: [calculator]\ntool_faults: stop\n", ["tools", "tool_faults"]),
            ("stage: dpo\npref_loss: hinge\ndpo_label_smoothing: 0.1\n", ["dpo_label_smoothing"]),
            ("stage: dpo\npref_loss: ipo\ndpo_label_smoothing: 0.1\n", ["dpo_label_smoothing"]),
            (
                "stage: orpo\ndpo_label_smoothing: 0.1\nreference_cache: r\n",
                ["dpo_label_smoothing", "reference_cache"]
            ),
            ("stage: simpo\ndpo_label_smoothing: 0.1\nsimpo_gamma: 1\n", []),
            (
                "stage: dpo\nsimpo_gamma: 1\ncpo_alpha: 0.5\nreference_cache: r\n",
                ["simpo_gamma", "cpo_alpha"]
            ),
            ("stage: simpo\ncpo_alpha: 2\npref_loss: hinge\n", ["cpo_alpha", "pref_loss"]),
            ("stage: dpo\npref_loss: cpo\nreference_cache: r\n", ["reference_cache"]),
            (
                "stage: cpo\npref_loss: hinge\ndpo_label_smoothing: 0.1\nsimpo_gamma: 1\n",
                ["dpo_label_smoothing", "simpo_gamma"]
            ),
            ("stage: cpo\npref_loss: simpo\ncpo_alpha: 0.5\nsimpo_gamma: 1\n", []),
            ("stage: kto\nreference_cache: r\n", []),
            ("reference_cache: r\n", ["reference_cache"]),
            (
                "stage: rloo\nreward_funcs: [arithmetic]\n"
                    + "importance_sampling_level: sequence\nloss_type: cispo\nepsilon: 0.1\n",
                ["importance_sampling_level", "loss_type"]
            ),
            (
                "stage: grpo\nreward_funcs: [arithmetic]\nkl_estimator: k1\n"
                    + "kl_in_reward: true\n",
                ["kl_estimator", "kl_in_reward"]
            ),
            (
                "stage: grpo\nreward_funcs: [arithmetic]\nkl_estimator: k1\n"
                    + "kl_in_reward: true\nbeta: 0.1\n", []
            ),
            (
                "stage: grpo\nreward_funcs: [arithmetic]\nloss_type: cispo\nepsilon: 0.1\n"
                    + "delta: 2\nepsilon_high: 4\n",
                ["epsilon", "delta"]
            ),
        ])
    func notesUnread(lines: String, keys: [String]) throws {
        let notes = try recipe(Self.least + lines).notes
        #expect(notes.count == keys.count, "\(notes)")
        for key in keys {
            #expect(notes.contains { $0.contains("'\(key)' has no effect: ") }, "\(notes)")
        }
    }

    private static let drawn = "stage: ppo\nreward_funcs: [arithmetic]\n"

    @Test("other tools' names set what they mean here")
    func readsSynonyms() throws {
        let ppo = try recipe(
            Self.least + """
                stage: ppo
                reward_model_path: rm
                max_new_tokens: 64
                whiten_rewards: true
                num_ppo_epochs: 2
                cliprange: 0.1
                init_kl_coef: 0.2
                """)
        #expect(ppo.notes.isEmpty, "\(ppo.notes)")
        let a = ppo.recipe.alignment
        #expect(a.rewardModel == "rm" && a.completionLength == 64 && a.whitensRewards)
        #expect(a.ppoEpochs == 2 && a.epsilon == 0.1 && a.klCoefficient == 0.2)
        let other = try recipe(
            Self.least + Self.drawn + "response_length: 53\nepsilon_low: 0.3\n")
        #expect(other.recipe.alignment.completionLength == 53 && other.notes.isEmpty)
        #expect(other.recipe.alignment.epsilon == 0.3)

        let dpo = try recipe(
            Self.least + "stage: dpo\nmax_length: 512\nlabel_smoothing: 0.1\nloss_type: robust\n")
        #expect(dpo.notes.isEmpty, "\(dpo.notes)")
        #expect(dpo.recipe.data.cutoffLength == 512)
        #expect(dpo.recipe.alignment.labelSmoothing == 0.1)
        #expect(dpo.recipe.preferenceMethod == .robust)
        let kto = try recipe(
            Self.least + "stage: kto\ndesirable_weight: 1.5\nundesirable_weight: 0.5\n")
        #expect(kto.recipe.alignment.desirableWeight == 1.5 && kto.notes.isEmpty)
        #expect(kto.recipe.alignment.undesirableWeight == 0.5)
        // Flags are read by the same names, and the stage may come last.
        let flags = try recipe(
            Self.least, flags: ["--max-new-tokens", "7", "reward_funcs=[arithmetic]", "stage=grpo"])
        #expect(flags.recipe.alignment.completionLength == 7)
    }

    @Test(
        "TRL's loss_type is the loss of the stage",
        arguments: [
            ("dpo", "hinge", PreferenceMethod.hinge), ("dpo", "[ipo]", .ipo),
            ("cpo", "simpo", .simpo), ("cpo", "sigmoid", .sigmoid),
        ])
    func readsLossType(stage: String, text: String, expected: PreferenceMethod) throws {
        let source = try recipe(Self.least + "stage: \(stage)\nloss_type: \(text)\n")
        #expect(source.recipe.alignment.preferenceLoss == expected && source.notes.isEmpty)
        #expect(source.recipe.alignment.lossType == Recipe().alignment.lossType)
    }

    @Test("a loss_type of policies stays one, and other losses of pairs are refused")
    func otherLossTypes() throws {
        let shared = try recipe(Self.least + "stage: dpo\nloss_type: dr_grpo\n")
        #expect(shared.recipe.alignment.lossType == .drGRPO)
        #expect(shared.notes.count == 1 && shared.notes[0].contains("'loss_type' has no effect"))
        let kto = try recipe(Self.least + "stage: kto\nloss_type: kto\n")
        #expect(kto.notes.count == 1 && kto.notes[0].contains("loss of stage kto"))
        for (lines, reason) in [
            ("stage: dpo\nloss_type: exo_pair\n", "'loss_type' is 'exo_pair', expected one of sig"),
            ("stage: dpo\nloss_type: [sigmoid, sft]\n", "expected one of sigmoid"),
            ("stage: cpo\npref_loss: robust\n", "sigmoid, hinge, ipo or simpo"),
        ] {
            #expect {
                try recipe(Self.least + lines)
            } throws: {
                "\($0)".contains(reason)
            }
        }
    }

    @Test("scale_rewards takes TRL's truth values")
    func readsScales() throws {
        for (text, expected) in [
            ("true", Recipe.RewardScale.group), ("false", .none), ("none", .none),
            ("batch", .batch), ("group", .group),
        ] {
            let source = try recipe(
                Self.least + "stage: grpo\nreward_funcs: [arithmetic]\nscale_rewards: \(text)\n")
            #expect(source.recipe.alignment.rewardScale == expected, "\(text)")
        }
    }

    @Test(
        "names without meaning in a stage say why",
        arguments: [
            (drawn + "max_length: 9\n", "'max_length' is ignored: max_completion_length bounds"),
            ("max_new_tokens: 9\n", "'max_new_tokens' is ignored: stage sft writes no answers"),
            ("repetition_penalty: 1.2\n", "stage sft writes no answers"),
            (drawn + "repetition_penalty: 1.0\n", "1 is no penalty"),
            (drawn + "log_completions: true\n", "report_samples"),
            (drawn + "do_sample: true\n", "draws them token by token"),
            ("cutoff_len: 64\nmax_length: 9\n", "'max_length' is ignored: cutoff_len is set"),
            (
                "desirable_weight: 2\n",
                "'desirable_weight' (kto_chosen_weight) has no effect: stage is sft"
            ),
        ])
    func explains(lines: String, reason: String) throws {
        let notes = try recipe(Self.least + lines).notes
        #expect(notes.count == 1 && notes[0].contains(reason), "\(notes)")
        #expect(!notes.contains { $0.contains("another command") })
    }

    @Test("a penalty of repeated tokens is refused where answers are drawn")
    func refusesPenalty() {
        #expect {
            try recipe(Self.least + Self.drawn + "repetition_penalty: 1.1\n")
        } throws: {
            "\($0)".contains("'repetition_penalty' is '1.1'") && "\($0)".contains("not built in")
        }
    }

    @Test("a changed recipe knows which changes matter")
    func compares() throws {
        let old = try recipe(Self.least).recipe
        var new = old
        new.optimisation.maximumSteps = 50
        new.run.saveSteps = 3
        #expect(new.fixedHash == old.fixedHash)
        #expect(new.differences(from: old).allSatisfy { $0.key.resumption == .free })
        new.optimisation.learningRate = 1
        #expect(new.fixedHash != old.fixedHash)
        let fixed = new.differences(from: old).filter { $0.key.resumption == .fixed }
        #expect(fixed.map(\.description) == ["learning_rate (5e-05 → 1.0)"])
    }
}
