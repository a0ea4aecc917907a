import YuyanTensor

extension Decoder {
    /// The weights that every token meets: all projections and the output head.
    private var multipliedWeights: [PackedMatrix] {
        let projections =
            blocks.flatMap { block in
                let (attention, feed) = (block.attention, block.feedForward)
                return [
                    attention.query, attention.key, attention.value, attention.output, feed.gate,
                    feed.up, feed.down,
                ]
            } + [head]
        return projections.compactMap(\.packedWeight)
    }

    /// Multiply-adds in the weight products of one token, with its row of logits.
    ///
    /// Attention's own products are not counted: they grow with the context.
    public var multiplyAddsPerToken: Int {
        multipliedWeights.reduce(0) { $0 + $1.rows * $1.columns }
    }

    /// Multiply-adds in the output head, which prefill computes for one token only.
    public var headMultiplyAdds: Int { head.inputWidth * head.outputWidth }

    /// Packed bytes that the products of one token read, with its row of logits.
    public var bytesReadPerToken: Int { multipliedWeights.reduce(0) { $0 + $1.byteCount } }

    /// Packed bytes of all matrices in memory; a tied embedding counts once.
    public var weightBytes: Int {
        let tied = multipliedWeights.contains { $0 === embeddingTable }
        return bytesReadPerToken + (tied ? 0 : embeddingTable.byteCount)
    }
}
