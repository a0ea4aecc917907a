import ArgumentParser
import YuyanEngine
import YuyanFormats
import YuyanTensor
import YuyanText

struct PerplexityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measure how well a model predicts a text.",
        discussion: """
            Example: yuyan perplexity --model smollm2-135m --file text.txt --kl-base f32

            As llama-perplexity: windows of --context tokens without overlap, each read by itself, \
            the predictions of its second half scored. --kl-base adds the KL divergence from a base: \
            this model at another precision (f32, int16) or another checkpoint with the same \
            vocabulary.

            --json prints {perplexity, perplexity_error, tokens (scored), seconds, windows, \
            evaluated_tokens, text_tokens, context, precision, kv, kl}. kl is null without --kl-base, \
            else {base, base_kv, base_perplexity, base_perplexity_error, ln_ppl_ratio, \
            ln_ppl_ratio_error, mean, mean_error, median, p90, p95, p99, p999, max, same_top, \
            same_top_error, mean_delta_p, mean_abs_delta_p, rms_delta_p, max_abs_delta_p}: \
            divergences in nats, shares and probabilities from 0 to 1.
            """)

    @Option(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var model: String
    @Option(help: "Plain text; special tokens in it are not parsed.")
    var file: String
    @Option(help: "Tokens to a window.")
    var context = 512
    @Option(help: "Evaluate at most this many windows.")
    var windows: Int?
    @Option(help: "Storage of keys and values: f32, f16 or q8.")
    var kv: KeyValueType = .f16
    @Option(help: "Compare with this precision of the same model, or with this checkpoint.")
    var klBase: String?
    @Option(help: "Storage of keys and values of the base; --kv by default.")
    var klBaseKv: KeyValueType?
    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard context >= 3 else {
            throw ValidationError("--context is \(context); use at least 3.")
        }
        if let windows, windows < 1 {
            throw ValidationError("--windows is \(windows); use at least 1.")
        }
        if klBaseKv != nil, klBase == nil {
            throw ValidationError("--kl-base-kv without --kl-base; give the base as well.")
        }
    }

    func run() throws {
        let device = compute.device()
        let loaded = try LoadedModel(model, device: device)
        let text = try evaluationText(file)
        let ids = loaded.tokenizer.encode(text)
        let beginning =
            loaded.tokenizer.addsBeginningOfSequence ? loaded.tokenizer.beginningOfSequence : nil
        let cut = try EvaluationWindows(
            tokens: ids, context: context, beginning: beginning, limit: windows)
        var progress = Progress(
            total: cut.count, unit: "windows", rateName: "tok/s", ratePerStep: Double(context))
        let clock = ContinuousClock()
        let start = clock.now
        let own = EvaluatedModel(model: loaded.decoder, device: device, keyValueType: kv)
        var report = PerplexityReport(
            textTokens: ids.count, windows: cut, precision: compute.precision, kv: kv)
        if let klBase {
            let base = try base(klBase, loaded: loaded, ids: ids, text: text)
            let result = try divergence(of: own, from: base, on: cut) { done, soFar in
                progress.update(done, note: "mean KL \(soFar.mean)")
            }
            report.perplexity = result.perplexity
            report.divergence = (klBase, base.keyValueType, result)
        } else {
            report.perplexity = try perplexity(
                of: cut, model: own.model, device: device, keyValueType: kv
            ) { done, soFar in
                progress.update(done, note: "perplexity \(soFar.value.formatted(digits: 4))")
            }
        }
        report.time = clock.now - start
        Terminal.write((json ? report.json.description : report.text) + "\n")
    }

    /// The base: the same weights on a device of another precision, or another checkpoint.
    private func base(
        _ name: String, loaded: LoadedModel, ids: [Int32], text: String
    ) throws -> EvaluatedModel {
        let kv = klBaseKv ?? kv
        if let precision = Precision(rawValue: name) {
            return EvaluatedModel(
                model: loaded.decoder, device: compute.device(precision: precision),
                keyValueType: kv)
        }
        let other = try LoadedModel(name, device: compute.device())
        guard other.tokenizer.encode(text) == ids else {
            throw CommandError.badArgument(
                "\(other.path) cuts the text into other tokens than \(loaded.path); "
                    + "a divergence needs the same tokenizer")
        }
        return EvaluatedModel(model: other.decoder, device: other.device, keyValueType: kv)
    }
}
