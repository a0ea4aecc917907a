import ArgumentParser
import YuyanEngine
import YuyanFormats
import YuyanText

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Continue a prompt.",
        discussion: """
            Example: yuyan generate --model smollm2-135m --prompt "What is the capital of France?"

            The prompt goes through the model's chat template as one user message; --raw gives it to \
            the tokenizer as it is.
            """)

    @Option(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var model: String
    @Option(help: "A LoRA adapter for the model: a directory that PEFT saved.")
    var adapter: String?
    @Option(help: "The text to continue.")
    var prompt: String
    @Option(help: "System message of the chat template.")
    var system: String?
    @Option(help: "Most tokens to generate.")
    var maxTokens = 256
    @Flag(help: "No chat template; special tokens in the text are parsed.")
    var raw = false
    @Flag(
        inversion: .prefixedNo, help: "Whether special tokens written in a raw prompt are parsed.")
    var parseSpecial = true
    @Option(help: "Report the K likeliest tokens at every position, with log-probabilities.")
    var logprobs: Int?
    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var sampling: SamplingOptions
    @OptionGroup var cache: CacheOptions
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard maxTokens >= 0 else {
            throw ValidationError("--max-tokens is \(maxTokens); use at least 0.")
        }
        if raw, system != nil {
            throw ValidationError("--system is for the chat template; with --raw there is none.")
        }
        try sampling.check(maxTokens: maxTokens, logprobs: logprobs)
    }

    func run() throws {
        let clock = ContinuousClock()
        let start = clock.now
        let loaded = try LoadedModel(model, device: compute.device())
        let loadTime = clock.now - start
        let parameters = sampling.breaking(
            try sampling.parameters(maxTokens: maxTokens, logprobs: logprobs),
            tokenizer: loaded.tokenizer)
        let ids = try promptTokens(loaded)
        let session = try loaded.session(cache, adapter: adapter)
        var text = AnswerText(tokenizer: loaded.tokenizer, stops: parameters.stop)
        var firstToken: Duration?
        let result = try session.generate(
            prompt: ids, parameters: parameters, endOfSequence: loaded.endOfSequence,
            promptLogProbabilities: logprobs != nil
        ) { token in
            if firstToken == nil { firstToken = clock.now - start }
            let (piece, finish) = text.append(token)
            if !json { Terminal.write(piece) }
            return finish
        }
        let rest = text.finish()
        if json {
            let report = GenerateReport(
                result, text: text.text, loadTime: loadTime, firstToken: firstToken)
            Terminal.write(report.json.description + "\n")
        } else {
            Terminal.write(rest + "\n")
            Terminal.report(result.summary(loadTime: loadTime))
        }
    }

    private func promptTokens(_ loaded: LoadedModel) throws -> [Int32] {
        if raw { return loaded.tokenizer.encode(prompt, parseSpecial: parseSpecial) }
        var messages: [ChatMessage] = []
        if let system { messages.append(ChatMessage(role: "system", content: system)) }
        messages.append(ChatMessage(role: "user", content: prompt))
        return try loaded.chatTokens(messages)
    }
}

/// The text of an answer as it comes: whole characters only, held back where a stop might begin.
struct AnswerText {
    private(set) var text = ""
    private var decoder: StreamDecoder
    private var matcher: StopMatcher

    init(tokenizer: Tokenizer, stops: [String]) {
        decoder = tokenizer.streamDecoder(skipSpecial: true)
        matcher = StopMatcher(stops)
    }

    /// What can be shown after this token, and whether a stop text has come.
    mutating func append(_ token: Int32) -> (piece: String, finish: Finish?) {
        let release = matcher.push(decoder.append(token))
        text += release.text
        return (release.text, release.stop.map { .stop(.string($0)) })
    }

    /// What was held back.
    mutating func finish() -> String {
        let release = matcher.push(decoder.finish())
        let rest = release.text + (release.stop == nil ? matcher.finish() : "")
        text += rest
        return rest
    }
}

extension Generation {
    /// One line for a person: rates and counts.
    func summary(loadTime: Duration) -> String {
        let load = (loadTime / .seconds(1)).formatted(digits: 2)
        return "load \(load) s · prefill \(promptTokens.count) tokens at "
            + "\(prefillRate.formatted(digits: 1)) tok/s · decode \(tokens.count) tokens at "
            + "\(decodeRate.formatted(digits: 1)) tok/s · peak \(Machine.peakResidentBytes >> 20) MiB"
    }
}

extension Double {
    /// Fixed decimals, without Foundation.
    func formatted(digits: Int) -> String {
        guard isFinite else { return "\(self)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let whole = (magnitude * scale).rounded()
        guard whole < 9e15 else { return "\(self)" }
        let value = Int(whole)
        let sign = self < 0 && value > 0 ? "-" : ""
        guard digits > 0 else { return sign + "\(value)" }
        let text = String(repeating: "0", count: max(0, digits + 1 - "\(value)".count)) + "\(value)"
        return sign + text.dropLast(digits) + "." + text.suffix(digits)
    }
}
