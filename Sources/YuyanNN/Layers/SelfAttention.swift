import YuyanTensor

/// Causal self-attention with grouped KV heads, rotary positions and, optionally, QK-norm.
///
/// Ainslie et al., "GQA", arXiv:2305.13245; MHA and MQA are its two ends.
public final class SelfAttention: Sendable {
    let query: any Projection  // [H * D, C]
    let key: any Projection  // [KVH * D, C]
    let value: any Projection  // [KVH * D, C]
    let output: any Projection  // [C, H * D]
    let queryNorm: RMSNorm?  // [D]
    let keyNorm: RMSNorm?  // [D]
    let shape: AttentionShape

    /// Puts loaded parts together; the norms, if given, have weights `[D]` and act per head.
    ///
    /// - Parameters:
    ///   - query: Maps C to H * D.
    ///   - key: Maps C to KVH * D.
    ///   - value: Maps C to KVH * D.
    ///   - output: Maps H * D to C.
    ///   - queryNorm: For every query head, before rotation.
    ///   - keyNorm: For every key head, before rotation; what is cached is normalised.
    ///   - shape: Heads, score scale, window and slopes.
    public init(
        query: any Projection, key: any Projection, value: any Projection,
        output: any Projection, queryNorm: RMSNorm? = nil, keyNorm: RMSNorm? = nil,
        shape: AttentionShape
    ) {
        self.query = query
        self.key = key
        self.value = value
        self.output = output
        self.queryNorm = queryNorm
        self.keyNorm = keyNorm
        self.shape = shape
    }

    /// Maps `[T, C]` to `[T, C]`, adding the tokens' keys and values to the cache, if there is one.
    func callAsFunction(_ x: Tensor, layer: Int, pass: ForwardPass) -> Tensor {
        let device = pass.device
        let parts = project(x, [query, key, value], adapters: pass.adapters, on: device)
        var (q, k) = (parts[0], parts[1])
        if let queryNorm { q = queryNorm(q, on: device) }
        if let keyNorm { k = keyNorm(k, on: device) }
        q = rotated(q, headDimension: shape.headDimension, table: pass.rotary, on: device)
        k = rotated(k, headDimension: shape.headDimension, table: pass.rotary, on: device)
        guard let cache = pass.cache else {
            let mixed = attention(
                queries: q, keys: k, values: parts[2], segments: pass.segments, shape: shape,
                on: device)
            return output(mixed, adapters: pass.adapters, on: device)
        }
        store(
            keys: k, values: parts[2], segments: pass.segments, layer: layer, in: cache,
            on: device)
        let mixed = attention(
            queries: q, segments: pass.segments, layer: layer, shape: shape, in: cache,
            on: device)
        return output(mixed, adapters: pass.adapters, on: device)
    }
}

/// What all layers of one forward pass share.
struct ForwardPass {
    let segments: [SequenceSegment]
    /// Nil if no segment has an adapter.
    let adapters: AdapterRows?
    let rotary: RotaryTable
    /// Nil if every sequence is in the pass as a whole and nothing is to be kept.
    let cache: KeyValueBlocks?
    var device: Device
}
