import ArgumentParser
import YuyanFormats
import YuyanTrain

struct Pipeline: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run several stages of training, each on the results of those before.",
        usage: """
            yuyan pipeline PIPELINE [--STAGE.key value ...] [--from STAGE | --only STAGE] [--dry-run] \
            [--json]
            """,
        discussion: """
            Examples:
              yuyan pipeline r1.yaml
              yuyan pipeline r1.yaml --dry-run
              yuyan pipeline r1.yaml --grpo.learning_rate 1e-4 --defaults.seed 7 --output_dir out/x
              yuyan pipeline r1.yaml --from refine

            A pipeline is a YAML or JSON file; the keys of a stage are those of recipes (yuyan train \
            --help-keys):

              output_dir: out/r1
              defaults:                    # of every stage that does not say otherwise
                model_name_or_path: smollm2-135m
                lora_rank: 16
              stages:
                - name: cold-start
                  stage: sft
                  dataset: cold.jsonl
                - name: grpo
                  stage: grpo
                  dataset: train.jsonl
                  reward_funcs: [arithmetic]
                  adapter_name_or_path: ${cold-start}
              evaluate:                    # asked of every stage's model
                dataset: test.jsonl
                reward_funcs: [arithmetic]

            ${NAME} is the folder of an earlier stage, by default output_dir/NN-NAME; $${ stands for ${. \
            recipe: FILE in a stage takes that recipe's keys below the stage's own. Finished stages are \
            skipped, one that was cut short goes on, and one whose inputs have changed begins anew. \
            Ctrl-C saves and exits; the same command goes on, also after kill -9. output_dir gets \
            report.html and pipeline.json.

            --json prints {outcome, output_dir, start, stages: [{name, stage, output_dir, status, steps, \
            seconds, figures: {NAME: {first, last}}, evaluation}]}; with --dry-run {stages: [{name, \
            stage, output_dir, prospect}], first: {name, trainable_parameters, total_parameters, steps, \
            tokens_per_second, seconds, memory_predicted, memory}}.
            """)

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "The pipeline's file, and its stages' keys as flags.", valueName: "pipeline and flags"))
    var words: [String] = []
    @Option(help: "Run this stage and all behind it anew.")
    var from: String?
    @Option(help: "Run this stage anew, and no other.")
    var only: String?
    @Flag(help: "Check all stages, and model and data of the first that would run; train nothing.")
    var dryRun = false
    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard from == nil || only == nil else {
            throw ValidationError("--from and --only exclude each other.")
        }
    }

    private var selection: PipelineSelection {
        from.map { .from($0) } ?? only.map { .only($0) } ?? .unfinished
    }

    func run() throws {
        let source: PipelineSource
        do {
            source = try PipelineSource(arguments: words, environment: RecipeCommand.environment)
        } catch let error as PipelineError {
            throw RecipeCommand.wrong("\(error)", of: Self.self)
        } catch let error as RecipeError {
            throw RecipeCommand.wrong("\(error)", of: Self.self)
        } catch let error as RewardError {
            throw RecipeCommand.wrong("\(error)", of: Self.self)
        }
        StopSignals.watch()
        let watcher = PipelineWatcher(isQuiet: json)
        let run = try PipelineRun(
            source, selection: selection, modelPath: CachedModels.path,
            fetchedFolder: RecipeCommand.fetchedFolder, isDry: dryRun,
            stopSignal: { StopSignals.signal }, observe: watcher.observe)
        if dryRun {
            let outlook = try run.look()
            Terminal.write(
                json
                    ? PipelineReport.json(outlook).description + "\n" : PipelineReport.text(outlook)
            )
            return
        }
        let result = try run.run()
        if json { Terminal.write(result.json.description + "\n") }
        let report = PipelineReport.text(result)
        guard let signal = result.signal else {
            if !json { Terminal.write(report) }
            return
        }
        Terminal.report(report + "interrupted; the same command goes on from here")
        throw ExitCode(128 + signal)
    }
}
