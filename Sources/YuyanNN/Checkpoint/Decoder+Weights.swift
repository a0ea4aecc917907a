import YuyanTensor

extension Decoder {
    /// All weights under their Hugging Face names, in the order of the network.
    ///
    /// Block-quantised weights come out as the float32 numbers that they stand for. With an adapter,
    /// every weight that it updates is the merged one: `W + s B A`, scaled by DoRA's gains, or what
    /// the adapter puts in its place.
    ///
    /// - Parameters:
    ///   - adapter: Loaded for this model.
    ///   - device: Whose threads compute the rows.
    public func weights(
        adding adapter: LowRankAdapter? = nil, on device: Device
    ) -> [NamedWeight] {
        var result = [embeddingWeight(adapter, on: device)]
        for (index, block) in blocks.enumerated() {
            let prefix = "model.layers.\(index)."
            let (attention, feedForward) = (block.attention, block.feedForward)
            result.append(block.attentionNorm.weight(prefix + "input_layernorm", adapter))
            for projection in [
                attention.query, attention.key, attention.value, attention.output,
            ] {
                result += weights(of: projection, adapter, on: device)
            }
            if let norm = attention.queryNorm {
                result.append(norm.weight(prefix + "self_attn.q_norm", adapter))
            }
            if let norm = attention.keyNorm {
                result.append(norm.weight(prefix + "self_attn.k_norm", adapter))
            }
            result.append(
                block.feedForwardNorm.weight(prefix + "post_attention_layernorm", adapter))
            for projection in [feedForward.gate, feedForward.up, feedForward.down] {
                result += weights(of: projection, adapter, on: device)
            }
        }
        result.append(norm.weight("model.norm", adapter))
        if !isTied(adding: adapter) { result += weights(of: head, adapter, on: device) }
        return result
    }

    /// Whether one weight serves as embedding and as head, with this adapter merged.
    public func isTied(adding adapter: LowRankAdapter? = nil) -> Bool {
        guard shape.tiedEmbeddings else { return false }
        guard let adapter else { return true }
        return adapter.embedding == nil && !(head.module.map(adapter.changes) ?? false)
    }

    /// The norms among them, for which an adapter may bring its own.
    var normWeights: [NamedWeight] {
        var result: [NamedWeight] = []
        for (index, block) in blocks.enumerated() {
            let prefix = "model.layers.\(index)."
            let named: [(String, RMSNorm?)] = [
                ("input_layernorm", block.attentionNorm),
                ("self_attn.q_norm", block.attention.queryNorm),
                ("self_attn.k_norm", block.attention.keyNorm),
                ("post_attention_layernorm", block.feedForwardNorm),
            ]
            for case let (name, norm?) in named { result.append(norm.weight(prefix + name, nil)) }
        }
        return result + [norm.weight("model.norm", nil)]
    }

    private func embeddingWeight(
        _ adapter: LowRankAdapter?, on device: Device
    ) -> NamedWeight {
        let base = adapter?.embedding?.table ?? embeddingTable
        let update = adapter?.embedding?.update.map(TableUpdate.init)
        return NamedWeight(
            name: "model.embed_tokens.weight", shape: [base.rows, base.columns]
        ) { tokens in
            var rows = base.rows(tokens, on: device)
            update?.add(to: &rows, tokens: tokens)
            return rows
        }
    }

    private func weights(
        of projection: any Projection, _ adapter: LowRankAdapter?, on device: Device
    ) -> [NamedWeight] {
        guard let module = projection.module, let own = projection.packedWeight else {
            preconditionFailure("a projection without name or weight cannot be saved")
        }
        let weight = adapter?.replacement(of: module) ?? own
        let update = adapter?.update(of: module).map(MatrixUpdate.init)
        var result = [
            NamedWeight(
                name: module.path + ".weight", shape: [weight.rows, weight.columns]
            ) { weight.rows($0, adding: update, on: device) }
        ]
        if let bias = (projection as? Linear)?.bias {
            result.append(NamedWeight(name: module.path + ".bias", values: bias.values))
        }
        return result
    }
}

extension MatrixUpdate {
    init(_ update: LowRankAdapter.Update) {
        self.init(
            down: update.down, up: update.up, scale: update.scale,
            gain: update.gain?.factors)
    }
}

/// An update of an embedding table, widened: row v gets `s B A[:, v]`, then the gains.
struct TableUpdate: Sendable {
    private let down: PackedMatrix  // [V, r]
    private let up: [Float]  // Bᵀ, [r, C]
    private let scale: Float
    private let gain: [Float]?
    private let width: Int

    init(_ update: LowRankAdapter.Update) {
        let (rank, width) = (update.up.columns, update.up.rows)
        let values = update.up.values
        down = update.down
        up = (0..<rank * width).map { values[$0 % width * rank + $0 / width] }
        scale = update.scale
        gain = update.gain?.factors.values
        self.width = width
    }

    /// - Parameter rows: Those of `tokens`, one after the other.
    func add(to rows: inout [Float], tokens: Range<Int>) {
        for (index, token) in tokens.enumerated() {
            let start = index * width
            for (j, factor) in down.row(token).enumerated() {
                let factor = scale * factor
                for c in 0..<width { rows[start + c] += factor * up[j * width + c] }
            }
            guard let gain else { continue }
            for c in 0..<width { rows[start + c] *= gain[c] }
        }
    }
}

extension RMSNorm {
    fileprivate func weight(_ path: String, _ adapter: LowRankAdapter?) -> NamedWeight {
        let name = path + ".weight"
        return NamedWeight(name: name, values: adapter?.norms[name] ?? weight.values)
    }
}
