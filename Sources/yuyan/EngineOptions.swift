import ArgumentParser
import YuyanEngine
import YuyanServe
import YuyanTensor
import YuyanText

extension Speculation: ExpressibleByArgument {}

/// How much the engine may hold, and how it shares its steps out.
struct EngineOptions: ParsableArguments {
    @Option(help: "Memory for keys and values, shared by all requests.")
    var kvCache = ByteSize(bytes: 1 << 30)
    @Option(help: "Storage of keys and values: f32, f16 or q8.")
    var kv: KeyValueType = .f16
    @Option(help: "Most tokens of prompt and answer; the model's own maximum by default.")
    var context: Int?
    @Option(help: "Most sequences that run at once.")
    var maxSequences = 64
    @Option(help: "Most requests that wait; one more is answered with 429.")
    var maxQueue = 256
    @Option(help: "Most tokens of one step.")
    var batchTokens = 512

    @Option(
        help: ArgumentHelp(
            "LoRA adapter, PEFT's folder or GGUF, by the name that requests use; may be repeated.",
            valueName: "name=path"), transform: { try AdapterArgument($0) })
    var adapter: [AdapterArgument] = []
    @Option(help: "Memory for adapters; the one used longest ago gives way, and is read again.")
    var adapterMemory = ByteSize(bytes: 512 << 20)
    @Flag(help: "Refuse requests that load or drop adapters.")
    var fixedAdapters = false
    @Option(help: "Guess tokens ahead: off, ngram (from the text itself) or draft (--draft-model).")
    var speculative: Speculation?
    @Option(help: "Smaller model of the same vocabulary that guesses ahead.")
    var draftModel: String?
    @Option(help: "Most tokens to guess at once.")
    var draftLength = 8

    func validate() throws {
        guard draftModel != nil || speculative != .draft else {
            throw ValidationError("--speculative draft wants --draft-model.")
        }
        guard draftModel == nil || speculative == nil || speculative == .draft else {
            throw ValidationError("--draft-model goes with --speculative draft, or none.")
        }
        for (name, value) in [
            ("--context", context ?? 1), ("--max-sequences", maxSequences),
            ("--max-queue", maxQueue), ("--batch-tokens", batchTokens),
            ("--draft-length", draftLength),
        ] where !(1...1 << 24).contains(value) {
            throw ValidationError("\(name) is \(value); use 1 to \(1 << 24).")
        }
    }

    /// What to say if the context is shorter than what was asked for, or than the model's; else nil.
    ///
    /// - Parameters:
    ///   - trained: Tokens that the model was made for.
    ///   - held: Tokens that a request may have.
    func contextWarning(trained: Int, held: Int) -> String? {
        let wanted = context ?? trained
        guard held < wanted else { return nil }
        let asked = context.map { "--context is \($0)" } ?? "the model's context is \(trained)"
        let reason =
            held < trained
            ? "the cache, --kv-cache \(kvCache), holds no more" : "the model was made for no more"
        return "\(asked), but requests may have \(held) tokens: \(reason)"
    }

    var configuration: EngineConfiguration {
        var result = EngineConfiguration()
        result.keyValueBytes = kvCache.bytes
        result.keyValueType = kv
        result.contextLimit = context
        result.maxSequences = maxSequences
        result.maxQueue = maxQueue
        result.batchTokens = batchTokens
        result.speculation = speculative ?? (draftModel == nil ? .off : .draft)
        result.maxDraftLength = draftLength
        return result
    }
}

/// A low-rank adapter to load at the start: `NAME=PATH`.
struct AdapterArgument: Hashable {
    let name: String
    let directory: String

    init(_ argument: String) throws(ValidationError) {
        let parts = argument.split(separator: "=", maxSplits: 1)
        guard parts.count == 2 else {
            throw ValidationError(
                "expected NAME=PATH, such as --adapter hebei=adapters/hebei; requests then name the "
                    + "model 'hebei'")
        }
        name = String(parts[0])
        directory = String(parts[1])
    }
}
