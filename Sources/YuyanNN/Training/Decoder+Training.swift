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
    ///
    /// - Parameter rows: In any order, and maybe twice: the end of a prompt predicts the first token of
    ///   each of its answers.
    package func lossRows(
        hidden: Tensor, rows: [Int], of batch: TokenBatch, on device: Device
    ) -> (x: Tensor, head: OutputHead) {
        device.training?.place = "model.norm"
        let wanted =
            rows.elementsEqual(0..<hidden.rowCount)
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

/// How many tokens a prompt and each of its answers put into a pass.
package struct BranchLengths: Sendable, Hashable {
    package let prompt: Int
    package let answers: [Int]

    package init(prompt: Int, answers: [Int]) {
        self.prompt = prompt
        self.answers = answers
    }
}

extension TokenBatch {
    /// Prompts, each followed by its answers, which all continue it and do not see each other.
    ///
    /// The forward pass has the bits of prompt and answer as one sequence: whole key tiles of the prompt
    /// are shared, the last one is copied for each answer.
    package init(tokens: [Int32], branches: [BranchLengths], adapter: LowRankAdapter?) {
        let blockTokens = KeyValueLayout.blockTokens
        var (row, block) = (0, Int32(0))
        func blocks(_ count: Int) -> [Int32] {
            defer { block += Int32(count) }
            return Array(block..<block + Int32(count))
        }
        func blockCount(_ tokens: Int) -> Int { (tokens + blockTokens - 1) / blockTokens }
        var segments: [Segment] = []
        for branch in branches {
            let prefix = row..<row + branch.prompt
            let shared = blocks(blockCount(branch.prompt))
            if !prefix.isEmpty {
                segments.append(
                    Segment(
                        SequenceSegment(rows: prefix, firstPosition: 0, blocks: shared),
                        adapter: adapter))
            }
            row = prefix.upperBound
            let whole = branch.prompt / blockTokens
            for length in branch.answers where length > 0 {
                let own = blocks(blockCount(branch.prompt + length) - whole)
                segments.append(
                    Segment(
                        SequenceSegment(
                            rows: row..<row + length, firstPosition: branch.prompt,
                            blocks: shared.prefix(whole) + own, prefix: prefix),
                        adapter: adapter))
                row += length
            }
        }
        self.init(tokens: tokens, segments: segments)
    }
}
