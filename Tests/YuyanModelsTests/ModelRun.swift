import TestSupport
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The folders under `Tests/Goldens/models`, each a checkpoint of transformers.
let folderCases =
    [
        "llama-mha", "llama-gqa", "llama-mqa", "llama-tied", "llama-bias", "llama-head-dim",
        "llama-f16", "mistral-window", "mistral-full", "qwen2", "qwen2-window", "qwen2-window-off",
        "qwen3", "qwen3-tied",
    ] + ropeCases

/// Those that differ in their rotary scaling only.
let ropeCases = [
    "rope-default", "rope-linear", "rope-ntk", "rope-dynamic", "rope-yarn", "rope-yarn-betas",
    "rope-yarn-mscale", "rope-yarn-mscale-only", "rope-yarn-attention", "rope-yarn-untruncated",
    "rope-llama3",
]

/// The files under `Tests/Goldens/models/gguf`.
let ggufCases = [
    "llama-bias", "llama-gqa", "llama-head-dim", "llama-tied", "mistral-window", "qwen2", "qwen3",
    "rope-linear", "rope-llama3", "rope-yarn",
]

/// A tiny checkpoint with the logits that transformers computed from it.
struct ModelCase {
    let checkpoint: Checkpoint
    let golden: GoldenFile
    /// Keeps a copied folder alive.
    private var folder: TemporaryFolder?

    init(folder name: String) throws {
        checkpoint = try Checkpoint(path: Goldens.path("models/" + name))
        golden = try GoldenFile("models/\(name)/golden.safetensors")
    }

    /// A file of llama.cpp's converter; it drops mistral's window, so that has logits of its own.
    init(gguf name: String) throws {
        checkpoint = try Checkpoint(path: Goldens.path("models/gguf/\(name).gguf"))
        golden = try GoldenFile(
            name == "mistral-window"
                ? "models/gguf/\(name).golden.safetensors" : "models/\(name)/golden.safetensors")
    }

    /// The same folder with the configuration as transformers 4 wrote it.
    init(legacy name: String) throws {
        let source = Goldens.path("models/" + name)
        let copy = TemporaryFolder()
        for item in itemNames(in: source) {
            let target = item == "config.legacy.json" ? "config.json" : item
            guard item != "config.json" else { continue }
            guard symlink("\(source)/\(item)", "\(copy.path)/\(target)") == 0 else {
                throw FormatError.cannotWrite(file: copy.path, reason: "no link to \(item)")
            }
        }
        checkpoint = try Checkpoint(path: copy.path)
        golden = try GoldenFile("models/\(name)/golden.safetensors")
        folder = copy
    }

    func tokens(_ sequence: Int) throws -> [Int32] {
        try golden.ints("ids.\(sequence)").map { Int32($0) }
    }
}

/// How the tokens of a sequence meet the model.
struct Feeding: CustomStringConvertible {
    /// Tokens to a forward pass.
    var chunk = Int.max
    var keyValueType = KeyValueType.f32
    /// What every pass is told of the sequence's length; nil for what it has reached.
    var contextLength: Int?
    var adapter: LowRankAdapter?

    var description: String { "chunks of \(chunk), \(keyValueType) cache" }
}

/// The logits `[T * V]` of every position of a sequence.
func logits(
    _ model: Decoder, _ tokens: [Int32], _ feeding: Feeding = Feeding(), on device: Device
) -> [Float] {
    let cache = KeyValueBlocks(layout: model.cacheLayout(type: feeding.keyValueType))
    let blockTokens = KeyValueLayout.blockTokens
    // Not in order: a sequence's blocks may lie anywhere.
    let blocks = (0..<(tokens.count + blockTokens - 1) / blockTokens).map { Int32($0 ^ 1) }
    var result: [Float] = []
    var start = 0
    while start < tokens.count {
        let end = start + min(feeding.chunk, tokens.count - start)
        let batch = TokenBatch(
            tokens: Array(tokens[start..<end]), firstPosition: start, blocks: blocks,
            contextLength: feeding.contextLength, adapter: feeding.adapter)
        let hidden = model.hiddenStates(batch, cache: cache, on: device)
        result +=
            model.logits(hidden: hidden, rows: Array(0..<end - start), of: batch, on: device).values
        start = end
    }
    return result
}

extension [Float] {
    /// The largest magnitude.
    var scale: Double { Double(reduce(0) { Swift.max($0, abs($1)) }) }
    var bits: FloatBits { FloatBits(self) }
}
