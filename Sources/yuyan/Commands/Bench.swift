import ArgumentParser
import YuyanEngine
import YuyanFormats
import YuyanNN
import YuyanTensor
import YuyanText

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a model's speed, and how far it is from what the machine can do.",
        discussion: """
            Example: yuyan bench --model smollm2-135m --threads 2 --json

            Prefill is one prompt of --prompt-tokens fixed random tokens into an empty cache; decode \
            is --generate-tokens tokens from an empty cache, one at a time, the likeliest each: \
            llama-bench's pp and tg tests. One run of each is not counted.

            --json prints {prefill_tok_s: {min, median, max}, decode_tok_s: {min, median, max}, \
            peak: {gflops, gbs}, fraction_of_peak: {prefill, decode}, peak_rss_bytes} and the \
            settings. The peak is what this machine reaches on the same threads with float32 fused \
            multiply-adds alone, and reading memory alone; the fractions are of the medians, and \
            prefill's may exceed 1 with int16 activations. peak_rss_bytes is taken before the peak \
            is measured. With --text there is also tokenizer_bytes_s: {min, median, max}; with --batch N \
            batch: {sequences, tok_s: {min, median, max}, step_ms: {min, median, max}}, the decoding \
            of N sequences at once, each with --prompt-tokens tokens behind it when a run begins.
            """)

    @Option(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var model: String
    @Option(help: "Tokens of the prompt.")
    var promptTokens = 512
    @Option(help: "Tokens to generate.")
    var generateTokens = 128
    @Option(name: .customLong("repeat"), help: "Counted runs.")
    var repeats = 3
    @Option(help: "Tokens to a prefill pass.")
    var chunk = 512
    @Option(help: "Also decode this many sequences at once.")
    var batch: Int?
    @Option(help: "Storage of keys and values: f32, f16 or q8.")
    var kv: KeyValueType = .f16
    @Option(help: "Also measure the tokenizer on this text, on one thread.")
    var text: String?
    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        for (name, value) in [
            ("--prompt-tokens", promptTokens), ("--generate-tokens", generateTokens),
            ("--repeat", repeats), ("--chunk", chunk),
        ] where value < 1 {
            throw ValidationError("\(name) is \(value); use at least 1.")
        }
        if let batch, batch < 1 || batch > 256 {
            throw ValidationError("--batch is \(batch); use 1 to 256.")
        }
        for (name, value) in [
            ("--prompt-tokens", promptTokens), ("--generate-tokens", generateTokens),
            ("--chunk", chunk),
        ] where value > 1 << 20 {
            throw ValidationError("\(name) is \(value); use at most \(1 << 20).")
        }
    }

    func run() throws {
        let device = compute.device()
        let clock = ContinuousClock()
        let start = clock.now
        let loaded = try LoadedModel(model, device: device)
        let loadTime = clock.now - start
        var progress = Progress(total: repeats, unit: "runs", rateName: "runs/s")
        let model = EvaluatedModel(model: loaded.decoder, device: device, keyValueType: kv)
        let speed = try measuredSpeed(
            of: model, promptTokens: promptTokens, generateTokens: generateTokens,
            repeats: repeats, chunkSize: chunk
        ) { progress.update($0) }
        let together = try batch.map {
            try measuredBatchSpeed(
                of: model, sequences: $0, contextTokens: promptTokens, steps: generateTokens,
                repeats: repeats)
        }
        let resident = Machine.peakResidentBytes
        let tokenizing = try text.map { try tokenizerRate(loaded.tokenizer, text: $0) }
        let report = BenchReport(
            prefill: Spread(speed.prefill), decode: Spread(speed.decode),
            cost: BenchReport.Cost(
                loaded.decoder, promptTokens: promptTokens, generateTokens: generateTokens,
                kv: kv),
            tokenizing: tokenizing, batch: together, peak: device.measuredPeak(),
            residentBytes: resident,
            settings: [
                "prompt_tokens": .integer(promptTokens),
                "generate_tokens": .integer(generateTokens),
                "threads": .integer(device.pool.threadCount),
                "precision": .string(device.precision.rawValue),
                "kernels": .string(device.kernelName),
                "kv": .string(kv.rawValue),
                "load_s": .double(loadTime / .seconds(1)),
                "weight_bytes": .integer(loaded.decoder.weightBytes),
            ])
        Terminal.write((json ? report.json.description : report.text) + "\n")
    }

    /// Bytes of text per second, encoding the whole file each time; the first time is not counted.
    private func tokenizerRate(_ tokenizer: Tokenizer, text path: String) throws -> Spread {
        let text = try evaluationText(path)
        let clock = ContinuousClock()
        let rates = (0...repeats).map { _ in
            let start = clock.now
            _ = tokenizer.encode(text)
            return Double(text.utf8.count) / ((clock.now - start) / .seconds(1))
        }
        return Spread(Array(rates.dropFirst()))
    }
}
