import ArgumentParser
import YuyanFormats
import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

struct Train: ParsableCommand {
    private static let usage = "yuyan train [RECIPE] [--key value ...] [--dry-run] [--json]"
    static let configuration = CommandConfiguration(
        abstract: "Train or fine-tune a model by a recipe.",
        usage: usage,
        discussion: """
            Examples:
              yuyan train recipe.yaml
              yuyan train recipe.yaml --learning_rate 1e-4 --output_dir out/second
              yuyan train --model_name_or_path smollm2-135m --dataset chats.jsonl --output_dir out
              yuyan train recipe.yaml --dry-run

            A recipe is YAML or JSON with the keys of LLaMA-Factory's recipes; flags of the same names \
            win. --help-keys lists all keys with their defaults. The smallest recipe:

              model_name_or_path: smollm2-135m
              dataset: chats.jsonl
              output_dir: out/first

            output_dir gets the adapter or model, metrics.jsonl, report.html, runs/ for TensorBoard, \
            recipe.yaml (resolved) and checkpoint-N/. Ctrl-C saves and exits; the same command goes on \
            where the run stopped, to the same bits, also after kill -9.

            --json prints {outcome, step, output_dir, checkpoint, loss, eval_loss, seconds, \
            memory_predicted, memory_peak, verdict}; with --dry-run {trainable_parameters, \
            total_parameters, steps, tokens_per_second, seconds, memory_predicted, memory, warnings}. \
            Warnings are settings that are known to fail together (docs/lint.md); they stop nothing.
            """)

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "The recipe's file, and its keys as flags.", valueName: "recipe and flags"))
    var words: [String] = []
    @Flag(help: "Check recipe, model and data; print memory and time; train nothing.")
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
            throw Self.wrong("give a recipe, or keys as flags")
        }
        let source: RecipeSource
        do {
            source = try RecipeSource(arguments: words) { name in
                getenv(name).map { String(cString: $0) }
            }
        } catch let error as RecipeError {
            throw Self.wrong("\(error)")
        }
        StopSignals.watch()
        let clock = ContinuousClock()
        let start = clock.now
        let watcher = TrainWatcher(isQuiet: json)
        let run = try TrainingRun(
            source, modelPath: try CachedModels.path(of: source.recipe.model.path),
            fetchedFolder: CachedModels.folder + "/data",
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

    /// Reports a mistake as the parser does, which does not know the keys; the code to exit with.
    private static func wrong(_ reason: String) -> ExitCode {
        Terminal.report(
            "Error: \(reason)\nUsage: \(usage)\n  See 'yuyan train --help' for more information.")
        return .validationFailure
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
