import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Pipelines as they are read")
struct PipelineSourceTests {
    private static let two = """
        output_dir: out
        defaults:
          model_name_or_path: m
          dataset: d.jsonl
          lora_rank: 4
          seed: 1
        stages:
          - name: first
          - name: second-one
            stage: dpo
            seed: 2
            adapter_name_or_path: ${first}
        """

    private func source(
        _ text: String, flags: [String] = [], json: Bool = false,
        environment: [String: String] = [:], others: [(String, String)] = []
    ) throws -> PipelineSource {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        for (name, text) in others { _ = folder.file(name, Array(text.utf8)) }
        let path = folder.file(json ? "p.json" : "p.yaml", Array(text.utf8))
        let values = environment.merging(["HERE": folder.path]) { own, _ in own }
        return try PipelineSource(arguments: [path] + flags) { values[$0] }
    }

    private func refusal(
        _ text: String, flags: [String] = [], environment: [String: String] = [:],
        others: [(String, String)] = []
    ) -> String {
        do {
            _ = try source(text, flags: flags, environment: environment, others: others)
            return "nothing was refused"
        } catch {
            return "\(error)"
        }
    }

    @Test("a stage has the defaults, its own keys over them, and a numbered folder")
    func defaults() throws {
        let source = try source(Self.two)
        #expect(source.outputFolder == "out" && source.title == "out" && source.notes.isEmpty)
        #expect(source.stages.map(\.name) == ["first", "second-one"])
        #expect(source.stages.map(\.folder) == ["out/01-first", "out/02-second-one"])
        #expect(source.stages.map(\.recipe.method.stage) == [.sft, .dpo])
        #expect(source.stages.map(\.recipe.method.loraRank) == [4, 4])
        #expect(source.stages.map(\.recipe.run.seed) == [1, 2])
        #expect(source.stages.map(\.inputs) == [[], [0]])
        #expect(source.stages[1].recipe.model.adapters == ["out/01-first"])
        #expect(source.evaluation == nil)
    }

    @Test("JSON says the same as YAML")
    func json() throws {
        let source = try source(
            """
            {"output_dir": "out/", "run_name": "R", "defaults": {"model_name_or_path": "m"},
             "stages": [{"name": "a", "dataset": "d.jsonl"},
                        {"name": "b", "dataset": ["e.jsonl"], "adapter_name_or_path": ["${a}"],
                         "output_dir": "${a}/inner"}]}
            """, json: true)
        #expect(source.title == "R" && source.outputFolder == "out")
        #expect(source.stages[1].recipe.model.adapters == ["out/01-a"])
        #expect(source.stages[1].folder == "out/01-a/inner")
    }

    @Test("flags win over the stage, the stage over its recipe, the recipe over the defaults")
    func precedence() throws {
        let recipe =
            "seed: 5\nlora_rank: 5\nlearning_rate: 5\nmax_steps: 5\noutput_dir: alone\n"
            + "overwrite_output_dir: true\n"
        let text = """
            output_dir: out
            defaults:
              model_name_or_path: m
              dataset: d.jsonl
              seed: 1
              weight_decay: 1
              adam_beta1: 0.1
            stages:
              - name: a
                recipe: ${HERE}/r.yaml
                lora_rank: 6
                learning_rate: 6
            """
        let source = try source(
            text,
            flags: [
                "--a.learning-rate", "7", "--defaults.max_steps", "7", "--defaults.adam_beta1=0.7",
                "--output_dir", "other",
            ], others: [("r.yaml", recipe)])
        let recipeFound = source.stages[0].recipe
        #expect(recipeFound.optimisation.learningRate == 7)
        #expect(recipeFound.method.loraRank == 6)
        #expect(recipeFound.run.seed == 5 && recipeFound.optimisation.maximumSteps == 5)
        #expect(recipeFound.optimisation.weightDecay == 1)
        #expect(recipeFound.optimisation.beta1 == 0.7)
        #expect(source.stages[0].folder == "other/01-a")
        #expect(!recipeFound.run.overwrites)
        #expect(source.notes.count == 1 && source.notes[0].contains("overwrite_output_dir"))
    }

    @Test("references stand wherever text does; a variable is a variable, and $${ is itself")
    func references() throws {
        let source = try source(
            """
            output_dir: ${OUT}/p
            stages:
              - name: a
                model_name_or_path: ${OUT}/$${a}
                dataset: [d.jsonl, e.jsonl]
              - name: b
                stage: grpo
                model_name_or_path: ${OUT}/$${a}
                adapter_name_or_path: ${a}
                dataset: d.jsonl
                reward_funcs:
                  - {program: /bin/sh, arguments: ["${a}/x", "$${a}"]}
            """, environment: ["OUT": "o"])
        #expect(source.stages[0].recipe.model.path == "o/${a}")
        #expect(source.stages[0].recipe.data.sets == ["d.jsonl", "e.jsonl"])
        let second = source.stages[1].recipe
        #expect(second.model.adapters == ["o/p/01-a"] && second.model.path == "o/${a}")
        #expect(second.alignment.rewards.nodes[0].inline.contains("o/p/01-a/x"))
        #expect(second.alignment.rewards.nodes[0].inline.contains("${a}"))
        #expect(source.stages[1].inputs == [0])
    }

    @Test("a line about a key without effect comes for a stage's own keys, not for defaults")
    func notes() throws {
        let text = Self.two.replacing("  seed: 1\n", with: "  seed: 1\n  num_generations: 4\n")
        #expect(try source(text).notes.isEmpty)
        let own = try source(text, flags: ["--first.num_generations", "5"]).notes
        #expect(own.count == 1 && own[0].contains("(stage first)"), "\(own)")
    }

    @Test(
        "what is wrong with the file is said with its line",
        arguments: [
            ("- a\n", "p.yaml: holds a list of 1"),
            ("stages: []\noutput_dir: o\n", "p.yaml:1: 'stages' is a list of 0"),
            ("output_dir: o\n", "'stages' is missing"),
            ("stages:\n  - name: a\n", "'output_dir' is missing"),
            ("output_dir: [a]\nstages:\n  - name: a\n", "p.yaml:1: 'output_dir' is a list of 1"),
            (
                "output_dir: o\nstage: sft\n",
                "p.yaml:2: a pipeline has no key 'stage'; nearest: stages"
            ),
            (
                "output_dir: o\ndefaults: 3\n",
                "p.yaml:2: 'defaults' is '3', expected keys of recipes"
            ),
            ("output_dir: o\nstages:\n  - a\n", "p.yaml:3: 'stages' is 'a', expected a stage"),
            ("output_dir: o\nstages:\n  - seed: 1\n", "p.yaml:3: 'name' is missing"),
            (
                "output_dir: o\nstages:\n  - name: a b\n",
                "p.yaml:3: 'name' is 'a b', expected letters"
            ),
            (
                "output_dir: o\nstages:\n  - name: defaults\n",
                "'name' is 'defaults', expected another"
            ),
            (
                "output_dir: o\nstages:\n  - name: a\n  - name: a\n",
                "p.yaml:4: 'name' is 'a', expected a name of its own: the stage at"
            ),
            (
                "output_dir: o\nstages:\n  - name: a\n    overwrite_output_dir: true\n",
                "p.yaml:4: 'overwrite_output_dir' is for the pipeline to decide"
            ),
            (
                "output_dir: o\ndefaults:\n  resume_from_checkpoint: x\n",
                "p.yaml:3: 'resume_from_checkpoint' is for the pipeline"
            ),
            (
                "output_dir: o\ndefaults:\n  output_dir: x\n",
                "p.yaml:3: 'output_dir' is a stage's own"
            ),
            ("output_dir: o\ndefaults:\n  recipe: x\n", "p.yaml:3: 'recipe' is a stage's own"),
            (
                "output_dir: o\nstages:\n  - name: a\n    recipe: [x]\n",
                "p.yaml:4: 'recipe' is a list of 1"
            ),
            ("output_dir: o\nstages:\n  - name: a\n    recipe: /no.yaml\n", "/no.yaml"),
            ("output_dir: ${NO}\nstages:\n  - name: a\n", "${NO} is not"),
        ])
    func files(_ text: String, _ expected: String) {
        let found = refusal(text)
        #expect(found.contains(expected), "\(found)")
    }

    @Test(
        "what is wrong with a stage is said with its line, or its flag",
        arguments: [
            ("lerning_rate: 1", [], "p.yaml:13: no key 'lerning_rate'; nearest: learning_rate"),
            ("max_steps: x", [], "p.yaml:13: 'max_steps' is 'x', expected a whole number"),
            ("max_steps: 0", [], "p.yaml:13: 'max_steps' is 0"),
            ("model_name_or_path: \"\"", [], "(stage second-one): 'model_name_or_path' is missing"),
            ("reward_funcs: [arithmatic]", [], "arithmetic"),
            (
                "output_dir: out/01-first", [],
                "p.yaml:13: 'output_dir' is 'out/01-first', expected a folder"
            ),
            ("output_dir: out", [], "that is the pipeline itself's"),
            (
                "max_steps: 9", ["--second-one.max_steps", "0"],
                "--second-one.max_steps: 'max_steps' is 0"
            ),
            (
                "max_steps: 9", ["--second.max_steps", "0"],
                "no stage is called 'second'; nearest: second-one"
            ),
            (
                "max_steps: 9", ["--max_steps", "0"],
                "nearest: --defaults.max_steps, --first.max_steps"
            ),
            ("max_steps: 9", ["--defaults.output_dir", "x"], "is a stage's own"),
            ("max_steps: 9", ["--first.resume_from_checkpoint", "x"], "--from NAME"),
            ("max_steps: 9", ["other.yaml"], "the recipe is"),
            ("max_steps: 9", ["--defaults.max_steps"], "--defaults.max_steps needs a value"),
        ])
    func stages(_ line: String, _ flags: [String], _ expected: String) {
        let found = refusal(Self.two + "\n    \(line)\n", flags: flags)
        #expect(found.contains(expected), "\(found)")
    }

    @Test(
        "what is no earlier stage is no reference",
        arguments: [
            ("dataset: ${frist}/x.jsonl", "neither an earlier stage nor an environment variable"),
            ("dataset: ${frist}/x.jsonl", "nearest: first"),
            ("dataset: ${second-one}/x.jsonl", "does not come before this stage"),
            (
                "dataset: ${third}/x.jsonl",
                "p.yaml:13: 'dataset' takes from ${third}, which does not"
            ),
            ("run_name: ${nobody}", "is no earlier stage"),
            ("run_name: ${nobody}", "$${nobody} stands for the text itself"),
        ])
    func unknownReferences(_ line: String, _ expected: String) {
        let text = Self.two.replacing("adapter_name_or_path: ${first}", with: line)
        let found = refusal(
            text.replacing("seed: 2\n", with: "seed: 2\n\n") + "\n  - name: third\n")
        #expect(found.contains(expected), "\(found)")
    }

    @Test(
        "nothing is taken that a stage does not leave, and no adapter of another form",
        arguments: [
            ("finetuning_type: full", "", "leaves a whole model; name it with model_name_or_path"),
            ("stage: rm", "", "leaves a reward model's adapter; name it with reward_model"),
            ("lora_rank: 8", "", "'lora_rank' is 4, expected 8 as in stage 'first'"),
            ("lora_target: q_proj", "", "'lora_target' is [all], expected [q_proj]"),
            ("use_dora: true", "", "'use_dora' is false, expected true"),
            ("model_name_or_path: n", "", "'model_name_or_path' is m, expected n"),
            ("seed: 1", "dataset: ${first}/x.jsonl", "leaves an adapter; stage sample writes data"),
            ("seed: 1", "reward_model: ${first}", "a reward_model is trained by stage rm"),
            ("seed: 1", "model_name_or_path: ${first}", "name it with adapter_name_or_path"),
        ])
    func wrongResults(_ first: String, _ second: String, _ expected: String) {
        let text = Self.two.replacing("- name: first", with: "- name: first\n    \(first)")
        let found = refusal(text + "\n    \(second)\n")
        #expect(found.contains(expected), "\(found)")
    }

    @Test("an adapter over merged ones is taken with them, in their order")
    func mergedAdapters() throws {
        func text(_ adapters: String) -> String {
            Self.two + "\n    create_new_adapter: true\n    lora_rank: 8\n"
                + "  - name: third\n    lora_rank: 8\n    adapter_name_or_path: [\(adapters)]\n"
        }
        let (first, second) = (#""${first}""#, #""${second-one}""#)
        let model = try source(text("\(first), \(second)")).stages[2].recipe.model
        #expect(model.mergedAdapters == ["out/01-first"])
        #expect(model.startAdapter == "out/02-second-one")
        for (adapters, found) in [
            (second, "'out/02-second-one'"),
            ("\(second), \(first)", "'out/02-second-one, out/01-first'"),
        ] {
            let message = refusal(text(adapters))
            #expect(message.contains("'adapter_name_or_path' is \(found), expected"), "\(message)")
            #expect(message.contains("as in stage '"))
        }
    }

    @Test("a stage trains")
    func trains() {
        let found = refusal(Self.two + "\n    do_train: false\n    val_size: 2\n")
        #expect(found.contains("'do_train' is false") && found.contains("evaluate:"), "\(found)")
    }

    @Test("a whole reward model gives rewards, and is no model to train")
    func wholeRewardModels() throws {
        let whole = Self.two.replacing(
            "- name: first", with: "- name: first\n    stage: rm\n    finetuning_type: full"
        ).replacing("stage: dpo", with: "stage: grpo")
        func taking(_ line: String) -> String {
            whole.replacing("adapter_name_or_path: ${first}", with: line)
        }
        for line in [
            "reward_model: ${first}", #"reward_funcs: [{name: prm, model: "${first}"}]"#,
        ] {
            #expect(try source(taking(line)).stages[1].inputs == [0], "\(line)")
        }
        let trained = refusal(
            taking("model_name_or_path: ${first}\n    reward_funcs: [format]"))
        #expect(trained.contains("leaves a whole model; name it with reward_model"), "\(trained)")
    }

    @Test("an adapter's alpha may be given or follow from its rank")
    func alpha() throws {
        _ = try source(Self.two + "\n    lora_alpha: 8\n")
        #expect(refusal(Self.two + "\n    lora_alpha: 9\n").contains("'lora_alpha' is 9,"))
    }

    @Test("an evaluation has keys of its own, and the model of the stage that it asks")
    func evaluation() throws {
        let text =
            Self.two
            + "\nevaluate:\n  dataset: t.jsonl\n  reward_funcs: [arithmetic]\n  max_completion_length: 9\n"
        let source = try source(text, flags: ["--evaluate.max_samples", "3"])
        let evaluation = try #require(source.evaluation)
        let before = evaluation.recipe(of: source.stages[0].recipe)
        #expect(before.model.adapters.isEmpty && before.data.sets == ["t.jsonl"])
        #expect(before.data.maximumSamples == 3 && before.alignment.completionLength == 9)
        let after = evaluation.recipe(of: source.stages[1].recipe, result: "x")
        #expect(after.model.adapters == ["x"] && after.model.path == "m")
        #expect(after.method.loraRank == 4 && after.method.stage == .grpo)
        var full = source.stages[1].recipe
        full.method.type = .full
        let whole = evaluation.recipe(of: full, result: "x")
        #expect(whole.model.path == "x" && whole.model.adapters.isEmpty)
        #expect(whole.method.type == .lora)

        #expect(
            refusal(text + "  learning_rate: 1\n").contains(
                "p.yaml:17: a pipeline has no key 'evaluate.learning_rate'"))
        #expect(refusal(Self.two + "\nevaluate:\n  dataset: t.jsonl\n").contains("reward_funcs"))
        #expect(
            refusal(Self.two + "\nevaluate:\n  reward_funcs: [arithmetic]\n").contains(
                "(evaluate): 'dataset' is missing"))
        #expect(refusal(text + "  reward_weights: [1, 2]\n").contains("reward_weights"))
    }

    @Test("runs/r1.yaml is a pipeline")
    func example() throws {
        let path = Goldens.path("../../runs/r1.yaml")
        let source = try PipelineSource(arguments: [path]) { $0 == "OUTPUT" ? "o" : nil }
        #expect(source.stages.map(\.name) == ["cold-start", "sample", "refine", "grpo"])
        #expect(source.stages.map(\.inputs) == [[], [0], [0, 1], [2]])
        #expect(source.stages[2].recipe.data.sets == ["o/r1/02-sample/samples.jsonl"])
        #expect(source.notes.isEmpty, "\(source.notes)")
    }
}
