import YuyanFormats
import YuyanNN
import YuyanTensor

extension Decoder {
    /// Builds a decoder from a checkpoint; weights keep their stored formats.
    ///
    /// - Throws: `CheckpointError`, `FormatError` or `WeightError` naming the file and the tensor.
    public convenience init(_ checkpoint: Checkpoint, on device: Device) throws {
        let (family, shape) = try Families.shape(of: checkpoint)
        try self.init(
            shape: shape, weights: checkpoint,
            interleaved: family.interleavesGGUFRows && checkpoint.isGGUF, on: device)
    }

    /// Builds a decoder of this shape from weights wherever they are.
    ///
    /// - Parameter interleaved: Whether q and k rows come in pairs, as GGUF stores llama's.
    package convenience init(
        shape: ModelShape, weights: some WeightSource, interleaved: Bool, on device: Device
    ) throws {
        let loader = BlockLoader(
            weights: weights, shape: shape, device: device, interleaved: interleaved)
        let table = try weights.matrix(
            "model.embed_tokens.weight", rows: shape.vocabularySize, columns: shape.width,
            rowOrder: nil, on: device)
        let lastModule = shape.layerCount * BlockLoader.modulesPerLayer
        let head: Linear =
            if shape.tiedEmbeddings {
                Linear(weight: table, module: Module(number: lastModule, path: "lm_head"))
            } else {
                try weights.linear(
                    "lm_head", inputWidth: shape.width, outputWidth: shape.vocabularySize,
                    bias: false, module: lastModule, on: device)
            }
        self.init(
            shape: shape, embeddingTable: table,
            blocks: try (0..<shape.layerCount).map(loader.block),
            norm: try loader.norm("model.norm"), head: head)
    }
}

/// Reads the parts of one layer under their Hugging Face names.
private struct BlockLoader {
    let weights: any WeightSource
    let shape: ModelShape
    let device: Device
    let interleaved: Bool
    /// Projections of a layer, in the order q, k, v, o, gate, up, down.
    static let modulesPerLayer = 7

    func block(_ index: Int) throws -> TransformerBlock {
        let prefix = "model.layers.\(index)."
        let module = index * Self.modulesPerLayer
        return TransformerBlock(
            attentionNorm: try norm(prefix + "input_layernorm"),
            attention: try attention(
                prefix + "self_attn.", module: module, window: shape.windows[index]),
            feedForwardNorm: try norm(prefix + "post_attention_layernorm"),
            feedForward: try feedForward(prefix + "mlp.", module: module + 4))
    }

    func norm(_ name: String, count: Int? = nil) throws -> RMSNorm {
        RMSNorm(
            weight: try weights.vector(
                name + ".weight", count: count ?? shape.width, rowOrder: nil),
            epsilon: Float(shape.normEpsilon))
    }

    private func attention(
        _ prefix: String, module: Int, window: Int?
    ) throws -> SelfAttention {
        let D = shape.headDimension
        func project(_ name: String, _ place: Int, heads: Int, rotates: Bool) throws -> Linear {
            try weights.linear(
                prefix + name, inputWidth: shape.width, outputWidth: heads * D,
                bias: shape.queryKeyValueBias,
                rowOrder: rotates && interleaved ? shape.halvesFromPairs(heads: heads) : nil,
                module: module + place, on: device)
        }
        return SelfAttention(
            query: try project("q_proj", 0, heads: shape.heads, rotates: true),
            key: try project("k_proj", 1, heads: shape.keyValueHeads, rotates: true),
            value: try project("v_proj", 2, heads: shape.keyValueHeads, rotates: false),
            output: try weights.linear(
                prefix + "o_proj", inputWidth: shape.heads * D, outputWidth: shape.width,
                bias: shape.outputBias, module: module + 3, on: device),
            queryNorm: shape.queryKeyNorm ? try norm(prefix + "q_norm", count: D) : nil,
            keyNorm: shape.queryKeyNorm ? try norm(prefix + "k_norm", count: D) : nil,
            shape: AttentionShape(
                heads: shape.heads, keyValueHeads: shape.keyValueHeads, headDimension: D,
                window: window))
    }

    private func feedForward(_ prefix: String, module: Int) throws -> GatedFeedForward {
        func project(
            _ name: String, _ place: Int, from inputWidth: Int, to outputWidth: Int
        ) throws -> Linear {
            try weights.linear(
                prefix + name, inputWidth: inputWidth, outputWidth: outputWidth,
                bias: shape.feedForwardBias, module: module + place, on: device)
        }
        return GatedFeedForward(
            gate: try project("gate_proj", 0, from: shape.width, to: shape.hiddenWidth),
            up: try project("up_proj", 1, from: shape.width, to: shape.hiddenWidth),
            down: try project("down_proj", 2, from: shape.hiddenWidth, to: shape.width))
    }
}
