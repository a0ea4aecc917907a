import ArgumentParser
import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText
import YuyanTrain

struct AdapterMerge: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Add an adapter to its model's weights and save the sum.",
        discussion: """
            Example: yuyan adapter merge my-adapter merged --model smollm2-135m

            An OUTPUT that ends in .gguf is written as GGUF of floats, any other as a Hugging Face \
            directory. The weights of a quantised model are widened as they are, the update is added, \
            and the sum is stored as --type: nothing is quantised again.

            The result is loaded and compared with the model under the adapter on a text: the drift. \
            Above --max-kl nothing is left behind. --json prints {output, type, probe_tokens, \
            mean_kl, mean_kl_error, max_kl, max_logit_change, same_top}; divergences in nats.
            """)

    @Argument(help: "A directory that PEFT saved, or a GGUF adapter.")
    var adapter: String
    @Argument(help: "The file or directory to create.")
    var output: String
    @Option(help: "The model that it is for: a GGUF file, a directory, or a cached name.")
    var model: String
    @Option(help: "Store weights as f32, bf16 or f16.")
    var type: SavedType = .bf16
    @Option(help: "Text to measure the drift on; a built-in one by default.")
    var text: String?
    @Option(help: "Refuse a result whose mean divergence is larger, in nats; inf takes any.")
    var maxKl = 0.01
    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard maxKl >= 0 else { throw ValidationError("--max-kl is \(maxKl); use at least 0.") }
    }

    func run() throws {
        try OutputPath.check(output)
        let device = compute.device()
        let loaded = try LoadedModel(model, device: device)
        let adapter = try LowRankAdapter(
            name: adapter, path: adapter, for: loaded.decoder, on: device, merging: true)
        guard !adapter.replacesNorms || maxKl == .infinity else {
            throw CommandError.badArgument(
                "\(self.adapter) replaces norms, which only the merged model can have, so there is "
                    + "nothing to compare it with; merge it unmeasured with --max-kl inf")
        }
        let probe = try DriftProbe(
            text: text.map(evaluationText), tokenizer: loaded.tokenizer, model: loaded.decoder)
        let saved = SavedModel(
            decoder: loaded.decoder, source: try Checkpoint(path: loaded.path), device: device)
        var drift: Divergence?
        func write(_ temporary: String) throws {
            if output.hasSuffix(".gguf") {
                try saved.writeGGUF(to: temporary, as: type.elementType, adding: adapter)
            } else {
                try saved.writeHuggingFace(to: temporary, as: type.elementType, adding: adapter)
            }
            let merged = try Decoder(Checkpoint(path: temporary), on: device)
            let found = try divergence(
                of: EvaluatedModel(model: merged, device: device),
                from: EvaluatedModel(model: loaded.decoder, device: device, adapter: adapter),
                on: probe.windows)
            guard found.mean <= maxKl else {
                throw CommandError.badArgument(
                    "the merged model drifts from the adapter by a mean KL of \(found.mean) nats, "
                        + "above --max-kl \(maxKl); nothing was written. Try --type f32, or accept "
                        + "it with a larger --max-kl")
            }
            drift = found
        }
        if output.hasSuffix(".gguf") {
            try createFileAtomically(output, write)
        } else {
            try createFolderAtomically(output, write)
        }
        guard let drift else { return }
        let report = MergeReport(output: output, type: type, drift: drift)
        Terminal.write((json ? report.json.description : report.text) + "\n")
    }
}

/// The text that a merged model is compared on.
struct DriftProbe {
    let windows: EvaluationWindows

    /// - Parameter text: Nil for the built-in one.
    init(text: String?, tokenizer: Tokenizer, model: Decoder) throws {
        let tokens = tokenizer.encode(text ?? Self.builtIn)
        let beginning = tokenizer.addsBeginningOfSequence ? tokenizer.beginningOfSequence : nil
        // Half of a window is scored, so a short text is one window and not many.
        let context = min(256, max(3, tokens.count), model.shape.maximumPositions)
        windows = try EvaluationWindows(
            tokens: tokens, context: context, beginning: beginning, limit: 16)
    }

    /// Prose, dialogue, code, numbers and another script: what a model is asked about.
    static let builtIn = """
        The swift spends most of its life in the air. It eats, drinks, gathers feathers for its nest \
        and even sleeps on the wing; a young bird that leaves the nest may not land again for two \
        years. What keeps it up there? Long, narrow wings lose little energy to drag, and the small \
        feet, useless on the ground, weigh almost nothing.

        Question: How far does a bird fly that covers 500 km a day for 200 days?
        Answer: 500 times 200 is 100,000, so it flies one hundred thousand kilometres.

        雨燕一生的大部分时间都在空中度过。它在飞行中进食、饮水，甚至睡觉。

        def distance(days, per_day=500):
            \"\"\"Kilometres flown in some days.\"\"\"
            if days < 0:
                raise ValueError("days must not be negative")
            return days * per_day

        print(distance(200))  # 100000

        User: Can you say that again in one sentence?
        Assistant: Of course. Swifts live on the wing, because their bodies are built for flying and \
        for hardly anything else.
        """
}

/// What `adapter merge` prints.
struct MergeReport {
    let output: String
    let type: SavedType
    let drift: Divergence

    var json: JSONOutput {
        [
            "output": .string(output),
            "type": .string(type.rawValue),
            "probe_tokens": .integer(drift.sortedDivergences.count),
            "mean_kl": .double(drift.mean),
            "mean_kl_error": .double(drift.meanError),
            "max_kl": .double(drift.quantile(1)),
            "max_logit_change": .float(drift.largestLogitChange),
            "same_top": .double(drift.sameTop),
        ]
    }

    var text: String {
        """
        \(output): saved as \(type.rawValue)
        drift from the adapter over \(drift.sortedDivergences.count) predictions: \
        KL mean \(drift.mean.formatted(digits: 8)), max \(drift.quantile(1).formatted(digits: 8)) \
        nats; largest change of a logit \(Double(drift.largestLogitChange).formatted(digits: 5)); \
        same top token \((drift.sameTop * 100).formatted(digits: 2)) %
        """
    }
}
