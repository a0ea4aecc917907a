import YuyanFormats
import YuyanNN

/// Where a run stands after a step, apart from its numbers: `trainer_state.json`.
///
/// Field names at the top are those of transformers' `TrainerState`; what only Yuyan needs is under
/// `yuyan`. Nothing in it depends on time or machine, so equal runs have equal files.
package struct TrainerState: Sendable {
    /// Steps that are done.
    package var step = 0
    package var epoch = 0.0
    /// What was logged, without measurements.
    package var history: [JSONOutput] = []
    /// The best evaluation so far.
    package var best: Best?
    /// Evaluations since then.
    package var evaluationsSinceBest = 0
    /// Tokens that passed through the model.
    package var tokens = 0
    /// The first micro-batch that is not done.
    package var cursor = DataCursor()
    /// Micro-batches of its epoch that are done.
    package var microBatchesDone = 0
    /// Samples of that epoch that were drawn beside micro-batches.
    package var furtherDone = 0
    /// Steps that were taken on the micro-batches behind the cursor; 0 as a rule.
    package var repetition = 0
    /// Samples that were drawn beside these micro-batches.
    package var furtherHeld = 0
    /// Sums since the last logged step.
    package var window = LogWindow()
    /// Dynamic loss scaling.
    package var lossScale: Float = 65536
    package var lossScaleGrowth = 0
    package var skippedSteps = 0
    /// Steps skipped in a row.
    package var skippedInARow = 0
    /// Whether this step's evaluation is still to be done.
    package var owesEvaluation = false

    /// An evaluation, and the checkpoint of its step, if one was saved.
    package struct Best: Sendable, Hashable {
        package var value: Double
        package var step: Int
        package var isSaved: Bool
    }

    package init() {}

    /// What a state is saved together with, to be compared when a run goes on.
    package struct Context: Sendable {
        package var plan: StepPlan
        package var recipe: Recipe
        package var dataFingerprint: String
        /// What rendered the data; nil if that is not known.
        package var template: TemplateDigest?
        package var microBatchSize: Int

        package init(
            plan: StepPlan, recipe: Recipe, dataFingerprint: String,
            template: TemplateDigest? = nil, microBatchSize: Int
        ) {
            self.plan = plan
            self.recipe = recipe
            self.dataFingerprint = dataFingerprint
            self.template = template
            self.microBatchSize = microBatchSize
        }
    }

    /// The file's contents.
    package func json(_ context: Context) -> JSONOutput {
        let run = context.recipe.run
        var (bestStep, bestValue, bestCheckpoint): (JSONOutput, JSONOutput, JSONOutput) =
            (.null, .null, .null)
        if let best {
            bestStep = .integer(best.step)
            bestValue = .double(best.value)
            if best.isSaved { bestCheckpoint = .string("checkpoint-\(best.step)") }
        }
        return [
            "best_global_step": bestStep, "best_metric": bestValue,
            "best_model_checkpoint": bestCheckpoint,
            "epoch": .double(epoch),
            "eval_steps": .integer(run.evaluationSteps ?? run.loggingSteps),
            "global_step": .integer(step),
            "is_hyper_param_search": false,
            "is_local_process_zero": true,
            "is_world_process_zero": true,
            "log_history": .array(history),
            "logging_steps": .integer(run.loggingSteps),
            "max_steps": .integer(context.plan.steps),
            "num_input_tokens_seen": .integer(tokens),
            "num_train_epochs": .integer(context.plan.epochs),
            "save_steps": .integer(run.saveSteps),
            "stateful_callbacks": [:],
            "total_flos": 0,
            "train_batch_size": .integer(context.microBatchSize),
            "yuyan": own(context),
        ]
    }

    /// What only Yuyan needs.
    private func own(_ context: Context) -> JSONOutput {
        let entries: KeyValuePairs<String, JSONOutput> = [
            "version": 1,
            "seed": .integer(context.recipe.run.seed),
            "data_cursor": cursor.json,
            "micro_batches_done": .integer(microBatchesDone),
            "further_samples_done": .integer(furtherDone),
            "repetition": .integer(repetition),
            "further_samples_held": .integer(furtherHeld),
            "data_fingerprint": .string(context.dataFingerprint),
            "recipe_hash": .string(context.recipe.fixedHash),
            "evaluations_since_best": .integer(evaluationsSinceBest),
            "best_is_saved": .bool(best?.isSaved ?? false),
            "owes_evaluation": .bool(owesEvaluation),
            "loss_scale": .float(lossScale),
            "loss_scale_growth": .integer(lossScaleGrowth),
            "skipped_steps": .integer(skippedSteps),
            "skipped_in_a_row": .integer(skippedInARow),
            "window": window.json,
        ]
        let template = context.template.map { [(key: "template", value: $0.json)] } ?? []
        return .object(entries.map { (key: $0.key, value: $0.value) } + template)
    }

    /// Reads a state.
    ///
    /// - Returns: The state, the fingerprint of the data that it was made with, and what rendered
    ///   them; nil in files that are older than that entry.
    /// - Throws: `FormatError` naming file and key.
    package static func read(
        _ path: String
    ) throws -> (state: TrainerState, fingerprint: String, template: TemplateDigest?) {
        let root = try JSONDocument(path: path).root
        let own = try root.object("yuyan")
        guard try own.int("version") == 1 else {
            throw FormatError.unsupportedVersion(
                file: path, found: "a state of version \(try own.int("version"))", supported: "1")
        }
        var state = TrainerState()
        state.step = try root.int("global_step")
        state.epoch = try root.double("epoch")
        state.tokens = try root.int("num_input_tokens_seen")
        state.cursor = try DataCursor(json: try own.object("data_cursor"))
        state.microBatchesDone = try own.int("micro_batches_done")
        state.furtherDone = try own.optionalInt("further_samples_done") ?? 0
        state.repetition = try own.optionalInt("repetition") ?? 0
        state.furtherHeld = try own.optionalInt("further_samples_held") ?? 0
        state.history = try root.array("log_history").map { JSONOutput(copying: $0) }
        if let value = try root.optionalDouble("best_metric"),
            let step = try root.optionalInt("best_global_step")
        {
            state.best = Best(value: value, step: step, isSaved: try own.bool("best_is_saved"))
        }
        state.evaluationsSinceBest = try own.int("evaluations_since_best")
        state.owesEvaluation = try own.bool("owes_evaluation")
        state.lossScale = Float(try own.double("loss_scale"))
        state.lossScaleGrowth = try own.int("loss_scale_growth")
        state.skippedSteps = try own.int("skipped_steps")
        state.skippedInARow = try own.int("skipped_in_a_row")
        state.window = try LogWindow(try own.object("window"))
        return (state, try own.string("data_fingerprint"), try TemplateDigest(in: own))
    }
}

/// Sums over the steps since the last logged one.
package struct LogWindow: Sendable, Hashable {
    /// Sum of the steps' mean losses.
    package var losses = 0.0
    package var steps = 0
    /// Over all tokens of these steps.
    package var tokens = LossStatistics()

    package init() {}

    /// The mean of the steps' losses, as transformers logs it.
    package var meanLoss: Double { losses / Double(max(1, steps)) }

    var json: JSONOutput {
        [
            "losses": .double(losses), "steps": .integer(steps),
            "loss_sum": .double(tokens.lossSum), "weight_sum": .double(tokens.weightSum),
            "tokens": .integer(tokens.tokenCount), "correct": .integer(tokens.correctCount),
            "entropy_sum": .double(tokens.entropySum),
            "named": .array(
                tokens.named.map {
                    [
                        "name": .string($0.name), "sum": .double($0.sum),
                        "weight": .double($0.weight),
                    ]
                }),
        ]
    }

    init(_ json: JSONCursor) throws {
        losses = try json.double("losses")
        steps = try json.int("steps")
        tokens.lossSum = try json.double("loss_sum")
        tokens.weightSum = try json.double("weight_sum")
        tokens.tokenCount = try json.int("tokens")
        tokens.correctCount = try json.int("correct")
        tokens.entropySum = try json.double("entropy_sum")
        tokens.named = try (json["named"]?.array.map(Array.init) ?? []).map {
            LossStatistics.NamedSum(
                name: try $0.string("name"), sum: try $0.double("sum"),
                weight: try $0.double("weight"))
        }
    }
}

extension Recipe {
    /// FNV-1a over the keys that a resumed run may not change.
    package var fixedHash: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for key in Self.keys where key.resumption == .fixed {
            for byte in "\(key.name)=\(key.node(self).inline)\n".utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            }
        }
        return String(hash, radix: 16)
    }
}
