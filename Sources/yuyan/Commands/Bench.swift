import ArgumentParser
import Synchronization
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

            yuyan bench --model qwen2.5-coder-1.5b --speculative draft --draft-model qwen2.5-coder-0.5b
            compares decoding with guesses to decoding without, in turn, on work that repeats its \
            prompt and on work that does not, greedy and sampled, one and four at once: where it wins \
            and where it loses. Both must give the same tokens. Nothing else is measured then.
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
    @Option(help: "Compare decoding with guesses to decoding without: ngram or draft.")
    var speculative: Speculation?
    @Option(help: "Smaller model of the same vocabulary that guesses.")
    var draftModel: String?
    @Option(help: "Most tokens to guess at once.")
    var draftLength = 8
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
        guard draftModel != nil || speculative != .draft else {
            throw ValidationError("--speculative draft wants --draft-model.")
        }
        guard speculative != .off else {
            throw ValidationError("--speculative off compares nothing; use ngram or draft.")
        }
        guard (1...64).contains(draftLength) else {
            throw ValidationError("--draft-length is \(draftLength); use 1 to 64.")
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
        if let speculative { return try compare(speculative, loaded) }
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

    /// Decoding with guesses against decoding without, over kinds of work.
    private func compare(_ speculation: Speculation, _ loaded: LoadedModel) throws {
        let draft = try draftModel.map { try LoadedModel($0, device: loaded.device) }
        if let draft { try loaded.checkVocabulary(of: draft) }
        let (decoder, device) = (loaded.decoder, loaded.device)
        let command = self
        let report = Mutex(SpeculationReport(speculation: speculation))
        let work = try SpeculationReport.work.map { name, text in
            (name, try loaded.chatTokens([ChatMessage(role: "user", content: text)]))
        }
        let endOfSequence = loaded.endOfSequence
        try waiting {
            let model = EvaluatedModel(
                model: decoder, device: device, keyValueType: command.kv)
            var progress = Progress(total: work.count * 4, unit: "comparisons", rateName: "/s")
            var done = 0
            for (name, prompt) in work {
                for (temperature, sequences) in [(Float(0), 1), (0, 4), (0.8, 1), (0.8, 4)] {
                    var parameters = SamplingParameters()
                    parameters.temperature = temperature
                    parameters.maxTokens = command.generateTokens
                    let speed = try await measuredSpeculation(
                        of: model, speculation, draftModel: draft?.decoder,
                        prompts: Array(repeating: prompt, count: sequences),
                        parameters: parameters, endOfSequence: endOfSequence,
                        maxLength: command.draftLength, repeats: command.repeats)
                    report.withLock {
                        $0.rows.append(
                            SpeculationReport.Row(
                                work: name, temperature: temperature, sequences: sequences,
                                speed: speed))
                    }
                    done += 1
                    progress.update(done)
                }
            }
        }
        let result = report.withLock { $0 }
        Terminal.write((json ? result.json.description + "\n" : result.text + "\n"))
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
