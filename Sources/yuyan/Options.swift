import ArgumentParser
import YuyanEngine
import YuyanTensor
import YuyanText

extension Precision: ExpressibleByArgument {}
extension KeyValueType: ExpressibleByArgument {}
extension InstructionSet: ExpressibleByArgument {}

/// What every command that runs a model takes.
struct ComputeOptions: ParsableArguments {
    @Option(help: "Worker threads; all processors by default.")
    var threads: Int?
    @Option(help: "f32: reference; int16: activations of block formats in 16 bits (default).")
    var precision: Precision = .int16
    @Option(help: "Vector instructions; the best of this CPU by default. Results are the same.")
    var kernels: InstructionSet?

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads); use 1 to 1024.")
        }
        if let kernels, !InstructionSet.available.contains(kernels) {
            let names = InstructionSet.available.map(\.rawValue).joined(separator: ", ")
            throw ValidationError(
                "--kernels \(kernels.rawValue) is not on this CPU; it has \(names).")
        }
    }

    func device(precision other: Precision? = nil) -> Device {
        Device(
            threads: threads ?? ThreadPool.processorCount, instructionSet: kernels ?? .best,
            precision: other ?? precision)
    }
}

/// How a sequence's cache is laid out and filled.
struct CacheOptions: ParsableArguments {
    @Option(help: "Tokens to a prefill pass.")
    var chunk = 512
    @Option(help: "Storage of keys and values: f32, f16 or q8.")
    var kv: KeyValueType = .f16
    @Option(help: "Most tokens of prompt and answer; the model's own maximum by default.")
    var context: Int?

    func validate() throws {
        guard (1...1 << 16).contains(chunk) else {
            throw ValidationError("--chunk is \(chunk); use 1 to \(1 << 16).")
        }
        if let context, context < 1 {
            throw ValidationError("--context is \(context); use at least 1.")
        }
    }
}

/// How tokens are chosen.
struct SamplingOptions: ParsableArguments {
    @Option(help: "0 is greedy. Default: 0; in chat 0.6.")
    var temperature: Float?
    @Option(help: "Keep the K most likely tokens; 0 keeps all.")
    var topK = 0
    @Option(
        help:
            "Keep the likeliest tokens that hold this share of the probability. Default: 1; in chat 0.9."
    )
    var topP: Float?
    @Option(help: "Drop tokens less likely than this share of the best one's probability.")
    var minP: Float = 0
    @Option(help: "Locally typical sampling; 1 is off.")
    var typicalP: Float = 1
    @Option(help: "Divides (or multiplies) the logits of tokens seen; 1 is off.")
    var repetitionPenalty: Float = 1
    @Option(help: "Subtracted from the logit of each token generated before.")
    var presencePenalty: Float = 0
    @Option(help: "Subtracted once for each time a token was generated.")
    var frequencyPenalty: Float = 0
    @Option(help: "Tokens that the penalties look back; all by default.")
    var penaltyWindow: Int?
    @Option(help: "No sequence of this many tokens occurs twice; 0 is off.")
    var noRepeatNgram = 0
    @Option(help: "DRY penalty multiplier; 0 is off.")
    var dryMultiplier: Float = 0
    @Option(help: "DRY penalty base.")
    var dryBase: Float = 1.75
    @Option(help: "Repeats up to this length go unpunished by DRY.")
    var dryAllowedLength = 2
    @Option(help: "Text that DRY does not match across; may be repeated.")
    var dryBreaker = ["\n", ":", "\"", "*"]
    @Option(help: "ID=BIAS added to a token's logit; may be repeated.")
    var logitBias: [String] = []
    @Option(help: "Same seed, same tokens, whatever the threads or chunks.")
    var seed: UInt64 = 0
    @Option(help: "Text that ends the answer; may be repeated.")
    var stop: [String] = []
    @Option(help: "Token id that ends the answer; may be repeated.")
    var stopToken: [Int32] = []
    @Flag(help: "Go on past the model's end token.")
    var ignoreEos = false

    /// - Parameter defaults: What the options that were not given mean to this command.
    /// Refuses values out of range as usage errors, before a model is loaded.
    func check(maxTokens: Int, logprobs: Int? = nil) throws {
        let parameters = try parameters(maxTokens: maxTokens, logprobs: logprobs)
        do { try parameters.validate() } catch { throw ValidationError("\(error)") }
    }

    /// The same parameters with DRY's breakers as the model's tokens.
    func breaking(_ parameters: SamplingParameters, tokenizer: Tokenizer) -> SamplingParameters {
        var result = parameters
        result.dry.sequenceBreakers = dryBreaker.map { tokenizer.encode($0, addSpecial: false) }
            .filter { !$0.isEmpty }
        return result
    }

    func parameters(
        maxTokens: Int, logprobs: Int? = nil,
        defaults: (temperature: Float, topP: Float) = (0, 1)
    ) throws -> SamplingParameters {
        var result = SamplingParameters()
        result.temperature = temperature ?? defaults.temperature
        result.topK = topK
        result.topP = topP ?? defaults.topP
        result.minP = minP
        result.typicalP = typicalP
        result.repetitionPenalty = repetitionPenalty
        result.presencePenalty = presencePenalty
        result.frequencyPenalty = frequencyPenalty
        result.penaltyWindow = penaltyWindow
        result.noRepeatNgramSize = noRepeatNgram
        result.dry.multiplier = dryMultiplier
        result.dry.base = dryBase
        result.dry.allowedLength = dryAllowedLength
        result.seed = seed
        result.stop = stop
        result.stopTokens = stopToken
        result.ignoreEndOfSequence = ignoreEos
        result.maxTokens = maxTokens
        result.logprobs = logprobs
        for pair in logitBias {
            let parts = pair.split(separator: "=")
            guard parts.count == 2, let id = Int32(parts[0]), let bias = Float(parts[1]) else {
                throw ValidationError("--logit-bias \(pair); expected ID=BIAS, as in 42=-5.")
            }
            result.logitBias[id] = bias
        }
        return result
    }
}
