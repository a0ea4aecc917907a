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
