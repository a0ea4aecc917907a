#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The logistic function: 0 and 1 at the infinities.
package func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

/// `log(sigmoid(x))`, exact for large `x` of either sign; its derivative is `sigmoid(-x)`.
package func logSigmoid(_ x: Double) -> Double { min(x, 0) - log1p(exp(-abs(x))) }

/// The binary cross-entropy `-(y log sigmoid(x) + (1 - y) log sigmoid(-x))`, with its derivative.
package func binaryCrossEntropy(
    _ logit: Double, label: Double
) -> (value: Double, derivative: Double) {
    (
        -(label * logSigmoid(logit) + (1 - label) * logSigmoid(-logit)),
        sigmoid(logit) - label
    )
}
