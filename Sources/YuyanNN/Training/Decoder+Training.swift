import YuyanTensor

extension Decoder {
    /// Runs whole sequences without a cache and returns the residual stream `[T, C]`.
    ///
    /// The layers, kernels and bits of serving with a float32 cache; with a training pass on the
    /// device every operation that a gradient can reach records itself.
    ///
    /// - Parameter checkpointing: Keep only each layer's input, and compute the layer again when its
    ///   backward comes. The bits are the same.
    package func hiddenStates(
        whole batch: TokenBatch, checkpointing: Bool, on device: Device
    ) -> Tensor {
        let pass = forwardPass(batch, cache: nil, on: device)
        device.training?.place = "model.embed_tokens"
        var x = embedded(batch, pass)
        for (layer, block) in blocks.enumerated() {
            if let training = device.training { training.place = "model.layers.\(layer)" }
            if checkpointing {
                x = checkpointed(x, on: device) { x, device in
                    var pass = pass
                    pass.device = device
                    return block(x, layer: layer, pass: pass)
                }
            } else {
                x = block(x, layer: layer, pass: pass)
            }
        }
        return x
    }

    /// Rows of the residual stream that losses look at, normalised, and the head that reads them.
    package func lossRows(
        hidden: Tensor, rows: [Int], of batch: TokenBatch, on device: Device
    ) -> (x: Tensor, head: OutputHead) {
        device.training?.place = "model.norm"
        let wanted =
            rows.count == hidden.rowCount && rows.first == 0
            ? hidden : gathered(hidden, rows: rows, on: device)
        let x = norm(wanted, on: device)
        device.training?.place = "lm_head"
        let head = head
        return (
            x,
            OutputHead(vocabularySize: shape.vocabularySize) { x, range, device in
                head(x, adapters: AdapterRows(batch, rows: Array(rows[range])), on: device)
            }
        )
    }
}

extension TokenBatch {
    /// Whole sequences, laid end to end, all with the same adapter.
    package init(tokens: [Int32], lengths: [Int], adapter: LowRankAdapter?) {
        var (row, block) = (0, Int32(0))
        let segments = lengths.map { length in
            let blocks = Int32(
                (length + KeyValueLayout.blockTokens - 1) / KeyValueLayout.blockTokens)
            let segment = SequenceSegment(
                rows: row..<row + length, firstPosition: 0,
                blocks: Array(block..<block + blocks))
            row += length
            block += blocks
            return Segment(segment, adapter: adapter)
        }
        self.init(tokens: tokens, segments: segments)
    }
}
