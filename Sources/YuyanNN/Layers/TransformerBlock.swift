import YuyanTensor

/// A pre-norm decoder layer: attention, then feed-forward, each added to its input.
public final class TransformerBlock: Sendable {
    let attentionNorm: RMSNorm
    let attention: SelfAttention
    let feedForwardNorm: RMSNorm
    let feedForward: GatedFeedForward

    /// Puts the parts of one layer together; both norms have weights `[C]`.
    public init(
        attentionNorm: RMSNorm, attention: SelfAttention, feedForwardNorm: RMSNorm,
        feedForward: GatedFeedForward
    ) {
        self.attentionNorm = attentionNorm
        self.attention = attention
        self.feedForwardNorm = feedForwardNorm
        self.feedForward = feedForward
    }

    func callAsFunction(_ x: Tensor, layer: Int, pass: ForwardPass) -> Tensor {
        let device = pass.device
        let attended = add(
            x, attention(attentionNorm(x, on: device), layer: layer, pass: pass), on: device)
        let fed = feedForward(
            feedForwardNorm(attended, on: device), adapters: pass.adapters, on: device)
        return add(attended, fed, on: device)
    }
}
