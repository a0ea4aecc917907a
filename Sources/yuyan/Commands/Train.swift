import ArgumentParser
import YuyanFormats
import YuyanTrain

struct Train: ParsableCommand {
    private static let usage = "yuyan train [RECIPE] [--key value ...] [--dry-run] [--json]"
    static let configuration = CommandConfiguration(
        abstract: "Train or fine-tune a model by a recipe, or write answers to learn from.",
        usage: usage,
        discussion: """
            Examples:
              yuyan train recipe.yaml
              yuyan train recipe.yaml --learning_rate 1e-4 --output_dir out/second
              yuyan train --model_name_or_path smollm2-135m --dataset chats.jsonl --output_dir out
              yuyan train recipe.yaml --dry-run
              yuyan train recipe.yaml do_train=false --eval_dataset held-out.jsonl --output_dir out/eval

            A recipe is YAML or JSON with the keys of LLaMA-Factory's recipes; flags of the same names \
            win. --help-keys lists all keys with their defaults. The smallest recipe:

              model_name_or_path: smollm2-135m
              dataset: chats.jsonl
              output_dir: out/first

            output_dir gets the adapter or model, metrics.jsonl, report.html, runs/ for TensorBoard, \
            recipe.yaml (resolved) and checkpoint-N/. Ctrl-C saves and exits; the same command goes on \
            where the run stopped, to the same bits, also after kill -9.

            --json prints {outcome, step, output_dir, checkpoint, loss, eval_loss, seconds, \
            memory_predicted, memory_peak, verdict}, where outcome is finished, stopped_early, evaluated \
            or interrupted; with --dry-run {trainable_parameters, total_parameters, steps, \
            tokens_per_second, seconds, memory_predicted, memory, warnings, not_asked}. \
            Warnings are settings that are known to fail together (docs/lint.md); they stop nothing. \
            A dry run looks for the programs of rewards and tools and for judges, and starts none; \
            not_asked names them.

            With `stage: sample` nothing is trained: the model answers each prompt of the data \
            num_generations times, reward_funcs score the answers, and output_dir gets the best as \
            samples.jsonl, which stage sft reads, and with sample_pairs as pairs.jsonl for dpo and rm:

              yuyan train --stage sample --model_name_or_path smollm2-135m --dataset questions.jsonl \
                --reward_funcs '[arithmetic]' --num_generations 8 --output_dir out/samples

            Its --json prints {outcome, output_dir, seconds, memory_peak}, then summary.json's \
            {prompts, answers, batches, samples, prompts_with_samples, kept_ratio, duplicates, \
            unrendered, pairs, mean_reward, best_of: [{n, reward}], judged_prompts, mean_length, \
            clipped_ratio, num_tokens}, or {batches} if it was interrupted; with --dry-run {prompts, \
            batches, num_generations, tokens_per_second, batch_seconds, seconds, memory_predicted, \
            memory, not_asked}.
            """)

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "The recipe's file, and its keys as flags.", valueName: "recipe and flags"))
    var words: [String] = []
    @Flag(help: "Check recipe, model and data; print memory and time; train and write nothing.")
    var dryRun = false
    @Flag(help: "List all keys of recipes.")
    var helpKeys = false
    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        if helpKeys {
            Terminal.write(Self.keyList)
            return
        }
        guard !words.isEmpty else {
            throw RecipeCommand.wrong("give a recipe, or keys as flags", of: Self.self)
        }
        let source: RecipeSource
        do {
            source = try RecipeSource(arguments: words, environment: RecipeCommand.environment)
        } catch let error as RecipeError {
            throw RecipeCommand.wrong("\(error)", of: Self.self)
        }
        StopSignals.watch()
        if source.recipe.method.stage.trains { try train(source) } else { try sample(source) }
    }

    private func train(_ source: RecipeSource) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let watcher = TrainWatcher(isQuiet: json)
        let run = try TrainingRun(
            source, modelPath: try CachedModels.path(of: source.recipe.model.path),
            fetchedFolder: RecipeCommand.fetchedFolder,
            otherModelPath: { try CachedModels.path(of: $0) }, isDry: dryRun,
            stopSignal: { StopSignals.signal }, observe: watcher.observe)
        watcher.introduce(run.summary)
        if dryRun {
            let time = try run.timed()
            Terminal.write(
                json
                    ? TrainReport.json(run.summary, time).description + "\n"
                    : TrainReport.text(run.summary, time))
            return
        }
        let result = try run.train()
        let report = TrainReport(
            result: result, seconds: (clock.now - start) / .seconds(1), watcher: watcher)
        if json { Terminal.write(report.json.description + "\n") }
        guard case .interrupted(let signal, _, _) = result.outcome else {
            if !json { Terminal.write(report.text) }
            return
        }
        Terminal.report(report.text)
        throw ExitCode(128 + signal)
    }

    /// Stage sample: answers are written, nothing is trained.
    private func sample(_ source: RecipeSource) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let watcher = SampleWatcher(isQuiet: json)
        let run = try SamplingRun(
            source, modelPath: try CachedModels.path(of: source.recipe.model.path),
            fetchedFolder: RecipeCommand.fetchedFolder,
            otherModelPath: { try CachedModels.path(of: $0) }, isDry: dryRun,
            stopSignal: { StopSignals.signal }, observe: watcher.observe)
        watcher.introduce(run.plan)
        if dryRun {
            let time = try run.timed()
            Terminal.write(
                json
                    ? SampleReport.json(run.plan, time).description + "\n"
                    : SampleReport.text(run.plan, time))
            return
        }
        let result = try run.sample()
        let report = SampleReport(result: result, seconds: (clock.now - start) / .seconds(1))
        if json { Terminal.write(report.json.description + "\n") }
        guard case .interrupted(let signal, _) = result.outcome else {
            if !json { Terminal.write(report.text) }
            return
        }
        Terminal.report(report.text)
        throw ExitCode(128 + signal)
    }

    /// Every key with its default, under its part's name.
    static var keyList: String {
        var table = ""
        for key in Recipe.keys {
            let value = key.defaultText.isEmpty ? "" : " = \(key.defaultText)"
            table += "\(key.name)\(value)\n    \(key.help) (\(key.expectation))\n"
        }
        return table
    }
}
