import YuyanNN
import YuyanTensor

/// Runs windows of text through a model on one device, with a cache that every window reuses.
struct WindowRunner {
    /// Tokens to a forward pass; memory for activations grows with it.
    private static let chunkSize = 512
    /// Logits held at a time, in bytes: those of a whole window would outgrow the model.
    private static let logitBytes = 32 << 20

    let model: Decoder
    let device: Device
    private let adapter: LowRankAdapter?
    private let cache: KeyValueBlocks
    private let blocks: [Int32]

    init(_ evaluated: EvaluatedModel, context: Int) {
        model = evaluated.model
        device = evaluated.device
        adapter = evaluated.adapter
        cache = KeyValueBlocks(layout: model.cacheLayout(type: evaluated.keyValueType))
        let blockTokens = KeyValueLayout.blockTokens
        blocks = (0..<(context + blockTokens - 1) / blockTokens).map { Int32($0) }
    }

    /// Some consecutive positions whose predictions are scored.
    struct Stretch {
        /// The chunk that was read.
        let batch: TokenBatch
        /// Its residual stream, `[T, C]`.
        let hidden: Tensor
        /// Rows of it.
        let rows: Range<Int>
        /// Position in the window of the first of them.
        let firstPosition: Int
    }

    /// Reads a window; the stretches cover its positions from `firstScored` to the last but one.
    func stretches(_ window: [Int32], firstScored: Int) -> [Stretch] {
        var result: [Stretch] = []
        for start in stride(from: 0, to: window.count, by: Self.chunkSize) {
            let end = min(start + Self.chunkSize, window.count)
            let reach = (end + KeyValueLayout.blockTokens - 1) / KeyValueLayout.blockTokens
            let batch = TokenBatch(
                tokens: Array(window[start..<end]), firstPosition: start,
                blocks: Array(blocks[..<reach]), contextLength: window.count, adapter: adapter)
            let hidden = model.hiddenStates(batch, cache: cache, on: device)
            let scored =
                max(start, firstScored)..<max(start, firstScored, min(end, window.count - 1))
            for first in stride(from: scored.lowerBound, to: scored.upperBound, by: rowsEach) {
                let last = min(first + rowsEach, scored.upperBound)
                result.append(
                    Stretch(
                        batch: batch, hidden: hidden, rows: first - start..<last - start,
                        firstPosition: first))
            }
        }
        return result
    }

    /// Logits `[rows, V]` of a stretch.
    func logits(_ stretch: Stretch) -> Tensor {
        model.logits(
            hidden: stretch.hidden, rows: Array(stretch.rows), of: stretch.batch, on: device)
    }

    private var rowsEach: Int {
        min(128, max(16, Self.logitBytes / (4 * max(model.shape.vocabularySize, 1))))
    }
}

extension WindowRunner {
    /// Checks what a run would otherwise trap on.
    func check(_ windows: EvaluationWindows) throws(EvaluationError) {
        guard windows.context <= model.shape.maximumPositions else {
            throw .contextExceeded(
                context: windows.context, limit: model.shape.maximumPositions)
        }
        let size = model.shape.vocabularySize
        if let token = windows.firstToken(outside: size) {
            throw .unknownToken(token, vocabularySize: size)
        }
    }
}
