import YuyanTensor

/// A decoder-only transformer: embedding, blocks, norm, output head.
public final class Decoder: Sendable {
    /// Sizes that the weights were checked against when they were loaded.
    public let shape: ModelShape
    let embeddingTable: PackedMatrix  // [V, C]
    let blocks: [TransformerBlock]
    let norm: RMSNorm
    let head: any Projection  // [V, C]
    let rotary: RotaryEmbedding
    /// All projections that adapters can address, each at its module's number.
    let projections: [any Projection]

    /// Puts loaded parts together, and derives the rotary frequencies from `shape`.
    ///
    /// - Parameters:
    ///   - embeddingTable: One row per token, `[V, C]`.
    ///   - blocks: One per layer, first layer first; each layer's place is its cache's too.
    ///   - norm: Applied to the last block's output, weight `[C]`.
    ///   - head: Maps `[..., C]` to logits `[..., V]`; shares the table's weight if tied.
    public init(
        shape: ModelShape, embeddingTable: PackedMatrix, blocks: [TransformerBlock],
        norm: RMSNorm, head: any Projection
    ) {
        self.shape = shape
        self.embeddingTable = embeddingTable
        self.blocks = blocks
        self.norm = norm
        self.head = head
        rotary = RotaryEmbedding(
            dimension: shape.rotaryDimension, theta: shape.ropeTheta,
            scaling: shape.rotaryScaling)
        projections =
            (blocks.flatMap { block in
                let (attention, feedForward) = (block.attention, block.feedForward)
                return [
                    attention.query, attention.key, attention.value, attention.output,
                    feedForward.gate, feedForward.up, feedForward.down,
                ]
            } + [head]).filter { $0.module != nil }
        for (number, projection) in projections.enumerated() {
            precondition(projection.module?.number == number, "modules out of order at \(number)")
        }
    }

    /// Logits `[rows.count, V]` of some rows of the residual stream `[T, C]`.
    ///
    /// Prefill wants one row or none: the head is a third of a small model's work.
    ///
    /// - Parameter batch: What `hidden` was computed from, so that adapters that update the head
    ///   reach their rows; may be left out if none of its segments has an adapter.
    public func logits(
        hidden: Tensor, rows: [Int], of batch: TokenBatch? = nil, on device: Device
    ) -> Tensor {
        let wanted =
            rows.elementsEqual(0..<hidden.rowCount)
            ? hidden : gathered(hidden, rows: rows, on: device)
        let adapters = batch.flatMap { AdapterRows($0, rows: rows) }
        return head(norm(wanted, on: device), adapters: adapters, on: device)
    }

    /// Rows `[T, C]` of the residual stream after the last norm: what the head, or a pooling, reads.
    public func normalized(hidden: Tensor, on device: Device) -> Tensor {
        norm(hidden, on: device)
    }

    /// Runs a batch, extends the cache, and returns the residual stream `[T, C]` before the last norm.
    ///
    /// - Parameter batch: Segments whose blocks belong to `cache`.
    public func hiddenStates(
        _ batch: TokenBatch, cache: KeyValueBlocks, on device: Device
    ) -> Tensor {
        let pass = forwardPass(batch, cache: cache, on: device)
        var x = embedded(batch, pass)
        for (layer, block) in blocks.enumerated() { x = block(x, layer: layer, pass: pass) }
        return x
    }

    /// The tokens' rows of the embedding table, as their adapters have it.
    func embedded(_ batch: TokenBatch, _ pass: ForwardPass) -> Tensor {
        var x = embedding(batch.tokens, table: embeddingTable, on: pass.device)
        pass.adapters?.updateEmbedding(&x, tokens: batch.tokens, on: pass.device)
        return x
    }

    func forwardPass(
        _ batch: TokenBatch, cache: KeyValueBlocks?, on device: Device
    ) -> ForwardPass {
        ForwardPass(
            segments: batch.attentionSegments, adapters: AdapterRows(batch),
            rotary: rotary.table(for: batch), cache: cache, device: device)
    }

    /// The layout of a cache for this model.
    public func cacheLayout(type: KeyValueType) -> KeyValueLayout {
        KeyValueLayout(
            layers: shape.layerCount, heads: shape.keyValueHeads,
            headDimension: shape.headDimension, type: type)
    }
}
