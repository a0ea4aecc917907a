import TestSupport
import Testing

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Estimates of the KL divergence")
struct KLEstimatorTests {
    @Test("agree with PyTorch in value and derivative", arguments: KLEstimator.allCases)
    func agree(estimator: KLEstimator) throws {
        let golden = try GoldenFile("alignment/policy.safetensors")
        let found = zip(try golden.doubles("policy"), try golden.doubles("reference"))
            .map { estimator.evaluated(policy: $0, reference: $1) }
        expectClose(
            found.map(\.value), try golden.doubles("\(estimator.rawValue).values"),
            Alignment.tolerance)
        expectClose(
            found.map(\.derivative), try golden.doubles("\(estimator.rawValue).derivatives"),
            Alignment.tolerance)
    }

    @Test("k2 and k3 are never negative, and 0 only where both agree")
    func signs() {
        for difference in stride(from: -30.0, through: 30, by: 0.37) {
            for estimator in [KLEstimator.k2, .k3] {
                let value = estimator.evaluated(policy: -40 + difference, reference: -40).value
                #expect(value > 0, "\(estimator) at \(difference)")
            }
        }
        // Where the textbook form of k3 loses all its digits, half of the square is left.
        let tiny = 0x1p-24
        expectClose(
            [KLEstimator.k3.evaluated(policy: tiny, reference: 0).value], [tiny * tiny / 2],
            Tolerance(relative: 1e-6))
        for estimator in KLEstimator.allCases {
            #expect(estimator.evaluated(policy: -2, reference: -2).value == 0)
        }
    }

    @Test("the means of k1 and k3 tend to the exact divergence, within five standard errors")
    func means() {
        let (p, q) = ([0.5, 0.2, 0.15, 0.1, 0.05], [0.3, 0.3, 0.1, 0.1, 0.2])
        let exact = zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
        var generator = SeededGenerator(seed: 7)
        let tokens = (0..<200_000).map { _ in
            var rest = Double.random(in: 0..<1, using: &generator)
            return p.firstIndex {
                rest -= $0
                return rest < 0
            } ?? p.count - 1
        }
        var deviations: [KLEstimator: Double] = [:]
        for estimator in [KLEstimator.k1, .k3] {
            let moments = Moments(
                tokens.map {
                    estimator.evaluated(policy: log(p[$0]), reference: log(q[$0])).value
                })
            let error = moments.deviation / Double(tokens.count).squareRoot()
            #expect(error < 2e-3 && abs(moments.mean - exact) < 5 * error)
            deviations[estimator] = moments.deviation
        }
        #expect((deviations[.k3] ?? .infinity) < (deviations[.k1] ?? 0))
    }

    @Test("in a loss k1 moves nothing on average, k2 as KL(p ‖ q) does and k3 as KL(q ‖ p)")
    func meanGradients() {
        let (p, q) = ([0.5, 0.2, 0.15, 0.1, 0.05], [0.3, 0.3, 0.1, 0.1, 0.2])
        let exact = zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
        // By the logits of p, of which the derivative of log p[i] by logit j is (i == j) - p[j].
        func mean(_ estimator: KLEstimator) -> [Double] {
            p.indices.map { j in
                p.indices.reduce(0) { sum, i in
                    let slope = estimator.evaluated(policy: log(p[i]), reference: log(q[i]))
                    return sum + p[i] * slope.derivative * ((i == j ? 1 : 0) - p[j])
                }
            }
        }
        expectClose(mean(.k1), [0, 0, 0, 0, 0], Alignment.tolerance)
        expectClose(
            mean(.k2), zip(p, q).map { $0 * (log($0 / $1) - exact) }, Alignment.tolerance)
        expectClose(mean(.k3), zip(p, q).map { $0 - $1 }, Alignment.tolerance)
    }

    @Test("a sum is over learnt tokens only")
    func sums() {
        let sum = KLEstimator.k1.sum(
            policy: [-1, -2, -3], reference: [-2, -9, -3.5], isLearnt: [true, false, true])
        #expect(sum == 1.5)
    }
}
