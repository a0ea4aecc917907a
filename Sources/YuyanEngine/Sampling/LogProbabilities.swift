import YuyanTensor

/// A token with its log-probability.
public struct TokenLogProbability: Hashable, Sendable {
    /// Id of the token.
    public var token: Int32
    /// Natural logarithm of its probability; minus infinity if it is impossible.
    public var logProbability: Float
}

/// What the model itself thought of a token, before penalties, temperature and truncation.
public struct TokenLogProbabilities: Hashable, Sendable {
    /// The chosen token.
    public var chosen: TokenLogProbability
    /// The best tokens, most likely first, ties by ascending id.
    public var top: [TokenLogProbability]
    /// What the token was drawn from; nil unless a request records that.
    public var draw: TokenDraw?
}

/// The distribution that a token was drawn from, after temperature and truncation.
public struct TokenDraw: Hashable, Sendable {
    /// Natural logarithm of the chosen token's probability there.
    public var logProbability: Float
    /// The tokens that could be drawn, in ascending order; empty for all of them.
    public var support: [Int32]
}

/// Log-probability of a token, and the most likely tokens with theirs, from raw logits.
///
/// The log-softmax over the whole vocabulary in float32: `(x - max) - log(sum exp(x - max))`. The
/// sum is taken in the fixed order that `blockSum` documents, with `deterministicExp`, and its
/// logarithm in float64 is rounded once. The bits depend on the logits alone.
///
/// - Parameters:
///   - logits: One row of the model's output, `[V]`.
///   - token: The chosen token.
///   - topCount: How many of the best tokens to list; cut to `V`.
/// - Throws: `.notFinite` on NaN or plus infinity; `.noCandidates` if all are minus infinity.
/// - Complexity: O(V), without sorting more than `topCount` tokens.
public func logProbabilities(
    of logits: Span<Float>, token: Int32, topCount: Int
) throws(SamplingError) -> TokenLogProbabilities {
    precondition(
        token >= 0 && Int(token) < logits.count,
        "token \(token) is outside a vocabulary of \(logits.count)")
    let normalizer = try LogNormalizer(logits)
    var ranks: [UInt64] = []
    topRanks(min(topCount, logits.count), of: logits, buffer: &ranks)
    var top = ranks.map { rank in
        let token = index(ofRank: rank)
        return TokenLogProbability(
            token: Int32(token), logProbability: normalizer.logProbability(logits[token]))
    }
    top.sort { ($1.logProbability, $0.token) < ($0.logProbability, $1.token) }
    return TokenLogProbabilities(
        chosen: TokenLogProbability(
            token: token, logProbability: normalizer.logProbability(logits[Int(token)])),
        top: top)
}

/// The log-probability of a token among those that it could be drawn from, from raw logits.
///
/// `LogSoftmax` over the listed logits in their order, which is what a trainer computes from its own.
func drawLogProbability(
    of logits: Span<Float>, token: Int32, support: [Int32], temperature: Float
) throws(SamplingError) -> Float {
    guard !support.isEmpty else {
        let peak = try Peak(logits)
        return logits.withUnsafeBufferPointer {
            LogSoftmax(of: $0, maximum: peak.logit, temperature: temperature)
                .logProbability($0[Int(token)])
        }
    }
    let few = support.map { logits[Int($0)] }
    let peak = try Peak(few.span)
    return few.withUnsafeBufferPointer {
        LogSoftmax(of: $0, maximum: peak.logit, temperature: temperature)
            .logProbability(logits[Int(token)])
    }
}

/// Turns a logit of one row into its log-probability.
package struct LogNormalizer: Sendable {
    let maximum: Float
    let logSum: Float

    /// Reads the row twice: once for the maximum, once for the sum.
    package init(_ logits: Span<Float>) throws(SamplingError) {
        let peak = try Peak(logits)
        guard peak.logit > -.infinity else { throw .noCandidates(vocabularySize: logits.count) }
        maximum = peak.logit
        logSum = logits.withUnsafeBufferPointer {
            LogSoftmax(of: $0, maximum: peak.logit).logSum
        }
    }

    /// The log-probability of a token with this logit.
    package func logProbability(_ logit: Float) -> Float { (logit - maximum) - logSum }
}
