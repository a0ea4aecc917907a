import TestSupport
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// The folders under `Tests/Goldens/adapters`.
let adapterCases = [
    "llama-all", "llama-qv", "llama-dora", "llama-head", "llama-regex", "llama-layers",
    "llama-tied", "qwen2-all", "qwen2-dora", "llama-embed", "llama-embed-dora", "llama-saved",
    "tied-saved", "tied-both",
]

/// Those whose base has weights of its own for embedding and head: peft can merge them.
let mergedCases = adapterCases.filter { !$0.contains("tied") }

/// A tiny adapter with the logits that peft computed with it.
struct AdapterCase {
    let name: String
    let base: ModelCase
    let baseName: String
    let golden: GoldenFile

    init(_ name: String) throws {
        self.name = name
        let cases = try JSONDocument(path: Goldens.path("adapters/cases.json")).root
        baseName = try cases.value(name).string("base")
        base = try ModelCase(folder: baseName)
        golden = try GoldenFile("adapters/\(name)/golden.safetensors")
    }

    var directory: String { Goldens.path("adapters/" + name) }

    func adapter(
        for model: Decoder, on device: Device, merging: Bool = false
    ) throws -> LowRankAdapter {
        try LowRankAdapter(
            name: name, directory: directory, for: model, on: device, merging: merging)
    }
}

/// Sequences in one batch, each with its adapter, and the logits of every row.
func logits(
    _ model: Decoder, together sequences: [(tokens: [Int32], adapter: LowRankAdapter?)],
    on device: Device
) -> [[Float]] {
    let cache = KeyValueBlocks(layout: model.cacheLayout(type: .f16))
    var segments: [TokenBatch.Segment] = []
    var (row, block) = (0, Int32(0))
    for (tokens, adapter) in sequences {
        let count = Int32(
            (tokens.count + KeyValueLayout.blockTokens - 1) / KeyValueLayout.blockTokens)
        segments.append(
            TokenBatch.Segment(
                SequenceSegment(
                    rows: row..<row + tokens.count, firstPosition: 0,
                    blocks: Array(block..<block + count)),
                adapter: adapter))
        (row, block) = (row + tokens.count, block + count)
    }
    let batch = TokenBatch(tokens: sequences.flatMap(\.tokens), segments: segments)
    let hidden = model.hiddenStates(batch, cache: cache, on: device)
    // Backwards, so that rows of one segment are neither neighbours nor in order.
    let found = model.logits(
        hidden: hidden, rows: (0..<row).reversed(), of: batch, on: device)
    return segments.map { segment in
        segment.attention.rows.flatMap { found.row(row - 1 - $0) }
    }
}
