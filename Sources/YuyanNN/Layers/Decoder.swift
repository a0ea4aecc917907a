import YuyanTensor

/// A decoder-only transformer: embedding, blocks, norm, output head.
public final class Decoder: Sendable {
    public let shape: ModelShape
    let embeddingTable: PackedMatrix  // [V, C]
    let blocks: [TransformerBlock]
    let norm: RMSNorm
    let head: any Projection  // [V, C]
    let rotary: RotaryEmbedding

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
    }

    /// Runs a batch, extends the cache, and returns logits `[rows.count, V]` of the rows asked for.
    ///
    /// - Parameters:
    ///   - rows: Rows of the batch whose logits are wanted, ascending; prefill wants few or none.
    public func logits(
        _ batch: TokenBatch, rows: [Int], cache: KeyValueBlocks, on device: Device
    ) -> Tensor {
        let hidden = hiddenStates(batch, cache: cache, on: device)
        if rows.count == batch.tokens.count { return head(norm(hidden, on: device), on: device) }
        return head(norm(gathered(hidden, rows: rows), on: device), on: device)
    }

    /// The residual stream `[T, C]` after the last block, before the final norm.
    public func hiddenStates(
        _ batch: TokenBatch, cache: KeyValueBlocks, on device: Device
    ) -> Tensor {
        let pass = ForwardPass(
            segments: batch.attentionSegments, rotary: rotary.table(for: batch), cache: cache,
            device: device)
        var x = embedding(batch.tokens, table: embeddingTable, on: device)
        for (layer, block) in blocks.enumerated() { x = block(x, layer: layer, pass: pass) }
        return x
    }

    /// The layout of a cache for this model.
    public func cacheLayout(type: KeyValueType) -> KeyValueLayout {
        KeyValueLayout(
            layers: shape.layerCount, heads: shape.keyValueHeads,
            headDimension: shape.headDimension, type: type)
    }
}
