import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The rotation angles of a model: base frequencies, their scaling, and a factor on the result.
///
/// Angles are float32 products of position and frequency, as in transformers, so that long
/// contexts agree with the models' training; cosines and sines are then exact to float32.
public struct RotaryEmbedding: Sendable {
    /// Rotated width R of a head.
    public let dimension: Int
    /// Multiplied into cosines and sines (YaRN).
    public let attentionFactor: Float
    private let frequencies: [Float]
    private let dynamic: (theta: Double, factor: Double, trainedLength: Int)?

    /// Computes the frequencies once; only dynamic NTK derives others later, by length.
    ///
    /// - Parameters:
    ///   - dimension: Rotated width R of a head, even.
    ///   - theta: Base of the geometric series of wavelengths: pair i turns by `theta^(-2i / R)`.
    ///   - scaling: How they are stretched; `.divisors` must hold R / 2 numbers.
    public init(dimension: Int, theta: Double, scaling: RotaryScaling) {
        precondition(dimension > 0 && dimension.isMultiple(of: 2), "rotated width \(dimension)")
        self.dimension = dimension
        let base = Self.baseFrequencies(dimension: dimension, theta: theta)
        var factor = 1.0
        var dynamic: (theta: Double, factor: Double, trainedLength: Int)?
        switch scaling {
        case .none:
            frequencies = base.map { Float($0) }
        case .linear(let factor):
            frequencies = base.map { Float($0) / Float(factor) }
        case .dynamicNTK(let factor, let trainedLength):
            dynamic = (theta, factor, trainedLength)
            frequencies = base.map { Float($0) }
        case .yarn(let yarn):
            frequencies = Self.yarnFrequencies(base, yarn: yarn, theta: theta)
            factor = Self.yarnAttentionFactor(yarn)
        case .llama3(let factor, let low, let high, let trainedLength):
            frequencies = base.map {
                Self.llama3Frequency(
                    $0, factor: factor, low: low, high: high, trainedLength: trainedLength)
            }
        case .divisors(let divisors):
            precondition(divisors.count == base.count, "\(divisors.count) divisors")
            frequencies = zip(base, divisors).map { Float($0) / $1 }
        }
        attentionFactor = Float(factor)
        self.dynamic = dynamic
    }

    /// Inverse wavelengths `[R / 2]` for a sequence of `length` tokens.
    public func frequencies(length: Int) -> [Float] {
        guard let dynamic, length > dynamic.trainedLength else { return frequencies }
        let ratio =
            dynamic.factor * Double(length) / Double(dynamic.trainedLength) - (dynamic.factor - 1)
        let exponent = Double(dimension) / Double(dimension - 2)
        return Self.baseFrequencies(
            dimension: dimension, theta: dynamic.theta * pow(ratio, exponent)
        )
        .map { Float($0) }
    }

    /// Cosines and sines for the rows of a batch.
    ///
    /// With dynamic NTK the angles of a row depend on its segment's `contextLength`; all others
    /// depend on the position alone.
    public func table(for batch: TokenBatch) -> RotaryTable {
        let half = dimension / 2
        var cosine = [Float](repeating: 1, count: batch.tokens.count * half)
        var sine = cosine
        for segment in batch.segments {
            let frequencies = frequencies(length: segment.contextLength)
            for (index, row) in segment.attention.rows.enumerated() {
                let position = Float(segment.attention.firstPosition + index)
                for (i, frequency) in frequencies.enumerated() {
                    let angle = Double(position * frequency)
                    cosine[row * half + i] = Float(cos(angle)) * attentionFactor
                    sine[row * half + i] = Float(sin(angle)) * attentionFactor
                }
            }
        }
        let shape = [batch.tokens.count, half]
        return RotaryTable(
            cosine: Tensor(cosine, shape: shape), sine: Tensor(sine, shape: shape))
    }

    private static func baseFrequencies(dimension: Int, theta: Double) -> [Double] {
        (0..<dimension / 2).map { 1 / pow(theta, Double(2 * $0) / Double(dimension)) }
    }

    private static func llama3Frequency(
        _ frequency: Double, factor: Double, low: Double, high: Double, trainedLength: Int
    ) -> Float {
        let wavelength = 2 * Double.pi / frequency
        let length = Double(trainedLength)
        if wavelength < length / high { return Float(frequency) }
        if wavelength > length / low { return Float(frequency / factor) }
        let smooth = (length / wavelength - low) / (high - low)
        return Float((1 - smooth) * frequency / factor + smooth * frequency)
    }

    private static func yarnFrequencies(_ base: [Double], yarn: YaRN, theta: Double) -> [Float] {
        let dimension = Double(base.count * 2)
        func rotations(_ count: Double) -> Double {
            dimension * log(Double(yarn.trainedLength) / (count * 2 * .pi)) / (2 * log(theta))
        }
        var low = rotations(yarn.betaFast)
        var high = rotations(yarn.betaSlow)
        if yarn.truncate { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        low = max(low, 0)
        high = min(high, dimension - 1)
        if low == high { high += 0.001 }
        return base.enumerated().map { index, frequency in
            let ramp = min(max((Double(index) - low) / (high - low), 0), 1)
            return Float(frequency / yarn.factor * ramp + frequency * (1 - ramp))
        }
    }

    private static func yarnAttentionFactor(_ yarn: YaRN) -> Double {
        func magnitude(_ mscale: Double) -> Double {
            yarn.factor <= 1 ? 1 : 0.1 * mscale * log(yarn.factor) + 1
        }
        if let given = yarn.attentionFactor { return given }
        if let mscale = yarn.mscale, let all = yarn.mscaleAllDimensions, mscale != 0, all != 0 {
            return magnitude(mscale) / magnitude(all)
        }
        return magnitude(1)
    }
}
