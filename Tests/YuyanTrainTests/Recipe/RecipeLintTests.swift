import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Warnings about recipes")
struct RecipeLintTests {
    private func names(_ flags: [String], _ facts: LintFacts = LintFacts()) throws -> [String] {
        RecipeLint.warnings(try recipe(flags), facts).map(\.name)
    }

    private func recipe(_ flags: [String]) throws -> Recipe {
        try RecipeSource(
            arguments: ["model_name_or_path=m", "dataset=d.jsonl", "output_dir=out"] + flags
        ).recipe
    }

    private static func facts(_ change: (inout LintFacts) -> Void) -> LintFacts {
        var facts = LintFacts()
        change(&facts)
        return facts
    }

    /// A recipe for every rule, and one that is just inside of what is usual.
    private struct Example: Sendable, CustomTestStringConvertible {
        let name: String
        let bad: [String]
        let good: [String]
        var facts = LintFacts()
        var goodFacts: LintFacts?

        init(
            _ name: String, _ bad: String, _ good: String, facts: LintFacts = LintFacts(),
            goodFacts: LintFacts? = nil
        ) {
            func words(_ text: String) -> [String] {
                // A switch is on; a point stands for a space inside of a value.
                text.split(separator: " ").map(String.init).map { word in
                    word.contains("=") ? word.replacing("·", with: " ") : "\(word)=true"
                }
            }
            self.name = name
            self.bad = words(bad)
            self.good = words(good)
            self.facts = facts
            self.goodFacts = goodFacts
        }

        var testDescription: String { name }
    }

    private static let rl = "stage=grpo reward_funcs=[arithmetic] "
    private static let learnt = "stage=grpo reward_model=out/rm stop_on_alarm=[length] "

    private static let examples: [Example] = [
        Example(
            "full-rate", "finetuning_type=full learning_rate=1.1e-4",
            "finetuning_type=full learning_rate=1e-4"),
        Example("lora-rate", "learning_rate=9e-6", "learning_rate=1e-5"),
        Example("lora-scale", "lora_alpha=33", "lora_alpha=32"),
        Example(
            "lora-scale", "lora_rank=64 lora_alpha=16", "lora_rank=64 lora_alpha=16 use_rslora"),
        Example("lora-decay", "weight_decay=0.1", "weight_decay=0.01"),
        Example(
            "single-sample", "per_device_train_batch_size=1 learning_rate=3e-4",
            "per_device_train_batch_size=1 learning_rate=3e-4 gradient_accumulation_steps=4"),
        Example(
            "bf16-rate", "pure_bf16 finetuning_type=full learning_rate=9e-6",
            "bf16 finetuning_type=full learning_rate=9e-6"),
        Example("fp16-rate", "fp16 learning_rate=2e-3", "fp16 learning_rate=1e-3"),
        Example(
            "warmup-beyond-end", "warmup_steps=100", "warmup_steps=99",
            facts: facts { $0.steps = 100 }),
        Example("preference-rate", "stage=dpo learning_rate=2e-4", "stage=dpo learning_rate=1e-4"),
        Example("preference-rate", "stage=kto learning_rate=2e-4", "stage=sft learning_rate=2e-4"),
        Example(
            "preference-full-rate", "stage=dpo finetuning_type=full",
            "stage=dpo finetuning_type=full learning_rate=5e-6"),
        Example(
            "orpo-rate", "stage=orpo finetuning_type=full learning_rate=3e-5",
            "stage=orpo finetuning_type=full learning_rate=8e-6"),
        Example("simpo-beta", "stage=simpo pref_beta=0.5", "stage=simpo pref_beta=2"),
        Example("simpo-beta", "stage=dpo pref_loss=simpo", "stage=dpo pref_loss=sigmoid"),
        Example("simpo-beta", "stage=cpo pref_loss=simpo", "stage=cpo pref_loss=simpo pref_beta=2"),
        Example(
            "ipo-beta", "stage=dpo pref_loss=ipo pref_beta=0.04",
            "stage=dpo pref_loss=ipo pref_beta=0.1"),
        Example(
            "label-smoothing", "stage=dpo dpo_label_smoothing=0.4",
            "stage=dpo dpo_label_smoothing=0.3"),
        Example(
            "kto-one-sided", "stage=kto", "stage=kto",
            facts: facts { ($0.desirable, $0.undesirable) = (10, 0) },
            goodFacts: facts { ($0.desirable, $0.undesirable) = (10, 10) }),
        Example(
            "kto-imbalance", "stage=kto", "stage=kto kto_rejected_weight=3",
            facts: facts { ($0.desirable, $0.undesirable) = (30, 10) }),
        Example(
            "rl-full-rate", rl + "finetuning_type=full",
            rl + "finetuning_type=full learning_rate=1e-6"),
        Example("rl-rate", rl + "learning_rate=1e-3", rl + "learning_rate=1e-4"),
        Example(
            "small-groups", rl + "num_generations=3 scale_rewards=none",
            rl + "num_generations=4 scale_rewards=none"),
        Example("group-scale", rl + "num_generations=4", rl + "num_generations=8"),
        Example(
            "group-scale", "stage=grpo reward_funcs=[format] num_generations=4",
            "stage=grpo reward_funcs=[{name:·format,·partial:·true}] num_generations=4"),
        Example(
            "length-bias", rl + "loss_type=grpo", rl + "loss_type=dr_grpo scale_rewards=none"),
        Example(
            "half-dr-grpo", rl + "loss_type=dr_grpo", rl + "loss_type=dr_grpo scale_rewards=none"),
        Example(
            "k1-in-loss", rl + "beta=0.04 kl_estimator=k1",
            rl + "beta=0.04 kl_estimator=k1 kl_in_reward"),
        Example(
            "k1-in-loss", rl + "beta=0.04 kl_estimator=k1", rl + "beta=0.04 kl_estimator=k2"),
        Example("cold-sampling", rl + "temperature=0.6", rl + "temperature=0.7"),
        Example(
            "cut-sampling", rl + "top_p=0.9 num_iterations=2", rl + "top_p=0.9"),
        Example(
            "sequence-clip", rl + "importance_sampling_level=sequence loss_type=grpo",
            rl + "importance_sampling_level=sequence loss_type=grpo epsilon=3e-4 epsilon_high=4e-4"),
        Example("clip-order", rl + "epsilon_high=0.1", rl + "epsilon_high=0.28"),
        Example(
            "cispo-bound", rl + "loss_type=cispo epsilon_high=0.28",
            rl + "loss_type=cispo epsilon_high=4"),
        Example("stale-answers", rl + "num_iterations=5", rl + "num_iterations=4"),
        Example(
            "stale-answers", "stage=ppo reward_funcs=[arithmetic] ppo_epochs=5",
            "stage=ppo reward_funcs=[arithmetic]"),
        Example(
            "cut-answers", rl + "dynamic_sampling=2",
            rl + "dynamic_sampling=2 mask_truncated_completions"),
        Example(
            "short-answers", rl, rl, facts: facts { $0.longReferenceShare = 0.2 },
            goodFacts: facts { $0.longReferenceShare = 0.1 }),
        Example("unbound-reward", learnt, learnt + "beta=0.04"),
        Example(
            "unbound-ppo", "stage=ppo reward_model=out/rm stop_on_alarm=[length] kl_coef=0",
            "stage=ppo reward_model=out/rm stop_on_alarm=[length]"),
        Example(
            "unguarded-reward", "stage=grpo reward_model=out/rm beta=0.04",
            "stage=grpo reward_model=out/rm beta=0.04 reward_funcs=[repetition]"),
        Example(
            "unguarded-reward", "stage=grpo reward_funcs=[judge] beta=0.04",
            "stage=grpo reward_funcs=[arithmetic] beta=0.04"),
        Example("packing-cut", "packing cutoff_len=256", "packing cutoff_len=512"),
        Example(
            "beyond-context", "cutoff_len=2048", "cutoff_len=1024",
            facts: facts { $0.contextLength = 1024 }),
        Example(
            "beyond-context", "cutoff_len=2048", "cutoff_len=2048",
            facts: facts { ($0.contextLength, $0.longest) = (1024, 1025) },
            goodFacts: facts { ($0.contextLength, $0.longest) = (1024, 1000) }),
        Example(
            "many-epochs", "num_train_epochs=6",
            "num_train_epochs=6 val_size=0.1 load_best_model_at_end",
            facts: facts { ($0.samples, $0.epochs) = (500, 6) }),
        Example(
            "early-stop-result", "val_size=0.1 early_stopping_steps=3",
            "val_size=0.1 early_stopping_steps=3 load_best_model_at_end"),
        Example(
            "unsaved", "save_steps=1000", "save_steps=100", facts: facts { $0.steps = 300 }),
    ]

    @Test("each rule finds what it is about and nothing else, and leaves the usual alone")
    func rules() throws {
        for example in Self.examples {
            let bad = try names(example.bad, example.facts)
            #expect(bad == [example.name], "\(example.bad)")
            let good = try names(example.good, example.goodFacts ?? example.facts)
            #expect(good.isEmpty, "\(example.good): \(good)")
        }
        let named = Set(Self.examples.map(\.name))
        #expect(named == Set(RecipeLint.rules.map(\.name)))
        #expect(RecipeLint.rules.count == named.count)
    }

    @Test("rules name keys that there are")
    func keys() {
        for rule in RecipeLint.rules {
            #expect(!rule.keys.isEmpty)
            for key in rule.keys { #expect(Recipe.keysByName[key] != nil, "\(rule.name): \(key)") }
        }
    }

    @Test("the defaults of every stage are clean, but for SimPO's beta, which must be chosen")
    func defaults() throws {
        let facts = Self.facts {
            ($0.steps, $0.epochs, $0.samples, $0.longest) = (150, 3, 400, 700)
            ($0.contextLength, $0.desirable, $0.undesirable) = (8192, 200, 200)
            $0.longReferenceShare = 0
        }
        for stage in Recipe.Stage.allCases {
            var flags = ["stage=\(stage.rawValue)"]
            if stage.writesAnswers { flags.append("reward_funcs=[arithmetic]") }
            // pref_beta has LLaMA-Factory's default, which is DPO's.
            let expected = stage == .simpo ? ["simpo-beta"] : []
            #expect(try names(flags) == expected, "\(stage)")
            #expect(try names(flags, facts) == expected, "\(stage)")
        }
        #expect(try names(["stage=pt", "finetuning_type=full"], facts).isEmpty)
        #expect(try names(["finetuning_type=full"], facts).isEmpty)
        #expect(try names(["finetuning_type=freeze"], facts).isEmpty)
    }

    @Test("the recipes of runs/ are clean")
    func runs() throws {
        let folder = Goldens.path("../../runs")
        let recipes = itemNames(in: folder).filter { $0.hasSuffix(".yaml") }
        #expect(recipes.count >= 5)
        for name in recipes {
            let arguments = [folder + "/" + name]
            let found =
                try folder.isPipeline(name)
                ? PipelineSource(arguments: arguments) { _ in "/somewhere" }.stages.map(\.recipe)
                : [RecipeSource(arguments: arguments) { _ in "/somewhere" }.recipe]
            for recipe in found {
                let warnings = RecipeLint.warnings(recipe)
                #expect(warnings.isEmpty, "\(name), \(recipe.method.stage): \(warnings)")
            }
        }
    }

    @Test("a warning says settings, reason and advice in one line, and can be silenced")
    func describes() throws {
        let flags = ["stage=simpo", "learning_rate=2e-4"]
        let warnings = RecipeLint.warnings(try recipe(flags))
        #expect(warnings.map(\.name) == ["preference-rate", "simpo-beta"])
        let text = "\(warnings[1])"
        #expect(text.hasPrefix("lint 'simpo-beta' (pref_beta: 0.1, stage: simpo): SimPO's beta is"))
        #expect(text.contains("arXiv:2405.14734") && text.contains("lint_ignore: [simpo-beta]"))
        #expect(!text.contains("\n"))
        #expect(try names(flags + ["lint_ignore=simpo-beta"]) == ["preference-rate"])
        #expect(try names(flags + ["lint_ignore=[simpo-beta, preference-rate]"]).isEmpty)
        #expect {
            try recipe(["lint_ignore=simpo-bta"])
        } throws: {
            "\($0)".contains("'simpo-bta'") && "\($0)".contains("nearest: simpo-beta")
        }
    }

    @Test("docs/lint.md has the rules of the code")
    func documented() throws {
        let text = try MappedFile(path: Goldens.path("../../docs/lint.md")).text
        let start = try #require(text.firstRange(of: "out of date -->\n"))
        let end = try #require(text.firstRange(of: "<!-- end of rules -->"))
        let found = String(text[start.upperBound..<end.lowerBound])
        if found != Self.table { print("docs/lint.md should hold:\n\(Self.table)") }
        #expect(found == Self.table)
    }

    private static var table: String {
        var table = "| rule | keys | when | why | what to do |\n|---|---|---|---|---|\n"
        for rule in RecipeLint.rules {
            let keys = rule.keys.map { "`\($0)`" }.joined(separator: ", ")
            table +=
                "| `\(rule.name)` | \(keys) | \(rule.condition) | \(rule.reason) | \(rule.advice) |\n"
        }
        return table
    }
}

extension String {
    /// Whether a file of this folder has stages of its own.
    fileprivate func isPipeline(_ name: String) throws -> Bool {
        let file = try MappedFile(path: self + "/" + name)
        return file.withUnsafeBytes(in: 0..<file.count) {
            String(decoding: $0, as: UTF8.self).contains("\nstages:")
        }
    }
}
