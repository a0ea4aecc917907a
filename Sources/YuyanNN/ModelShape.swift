/// How rotary frequencies are stretched beyond the context a model was trained on.
public enum RotaryScaling: Sendable, Hashable {
    case none
    /// Positions divided by `factor` (Chen et al., arXiv:2306.15595).
    case linear(factor: Double)
    /// A base that grows with the length so far, once that passes `trainedLength`.
    case dynamicNTK(factor: Double, trainedLength: Int)
    /// Peng et al., "YaRN", arXiv:2309.00071.
    case yarn(YaRN)
    /// Llama 3.1's smooth step between short and long wavelengths.
    case llama3(
        factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
        trainedLength: Int)
    /// Explicit divisors of each frequency `[R / 2]`, as GGUF's `rope_freqs.weight` holds them.
    case divisors([Float])
}

/// The parameters of YaRN.
public struct YaRN: Sendable, Hashable {
    /// How many times longer the context gets.
    public var factor: Double
    /// Tokens of context before stretching; wavelengths are compared with it.
    public var trainedLength: Int
    /// Turns within the trained length above which a frequency is left as it is.
    public var betaFast = 32.0
    /// Turns within the trained length below which a frequency is divided by `factor`.
    public var betaSlow = 1.0
    /// Multiplies cosines and sines; nil derives it from the factor (and the two mscales, if given).
    public var attentionFactor: Double?
    /// Weight of the logarithmic factor, DeepSeek's addition; counts only with its divisor's.
    public var mscale: Double?
    /// Weight of the factor that the first is divided by, `mscale_all_dim` in files.
    public var mscaleAllDimensions: Double?
    /// Whether the ends of the ramp are rounded to whole dimensions.
    public var truncate = true

    /// The paper's ramp, from 32 turns to 1, and the attention factor derived from `factor`.
    public init(factor: Double, trainedLength: Int) {
        self.factor = factor
        self.trainedLength = trainedLength
    }
}

/// The sizes and switches of a decoder, whatever file they came from.
public struct ModelShape: Sendable, Hashable {
    /// Name of the family that reads this model.
    public var family: String
    /// Rows V of the embedding table, padding included; ids are below it.
    public var vocabularySize: Int
    /// Model width C.
    public var width: Int
    /// Feed-forward width F.
    public var hiddenWidth: Int
    /// Transformer blocks, one after the other.
    public var layerCount: Int
    /// Query heads H of each layer.
    public var heads: Int
    /// Key and value heads KVH of each layer; divides `heads`.
    public var keyValueHeads: Int
    /// Head width D.
    public var headDimension: Int
    /// Added to the mean of squares by every RMSNorm.
    public var normEpsilon: Double
    /// Base of the rotary wavelengths, before `rotaryScaling`.
    public var ropeTheta: Double
    /// How the rotary frequencies are stretched for contexts longer than trained on.
    public var rotaryScaling: RotaryScaling
    /// Elements of a head that are rotated; D as a rule.
    public var rotaryDimension: Int
    /// Longest context that the model claims.
    public var maximumPositions: Int
    /// Whether the output head is the embedding table, and the file has no weight for it.
    public var tiedEmbeddings: Bool
    /// Biases on q, k and v.
    public var queryKeyValueBias: Bool
    /// Bias on the attention output projection.
    public var outputBias: Bool
    /// Biases on gate, up and down.
    public var feedForwardBias: Bool
    /// RMSNorm on each head's query and key before rotation.
    public var queryKeyNorm: Bool
    /// Keys that a query of each layer sees, itself included; nil for all before it.
    public var windows: [Int?]

    /// Longest context that the rotary scaling is meant for: `maximumPositions` or a multiple.
    ///
    /// Linear and dynamic scaling stretch `max_position_embeddings` by their factor. YaRN stretches
    /// the trained length, which most files have already counted in; Llama 3's always have.
    public var contextLength: Int {
        let stretched: Double =
            switch rotaryScaling {
            case .linear(let factor), .dynamicNTK(let factor, _):
                Double(maximumPositions) * factor
            case .yarn(let yarn):
                Double(yarn.trainedLength) * yarn.factor
            case .none, .llama3, .divisors:
                0
            }
        // Positions beyond 2^24 are not exact in float32.
        return max(maximumPositions, Int(min(stretched, 0x1p24)))
    }

    /// Query heads per KV head.
    public var group: Int { heads / keyValueHeads }
}
