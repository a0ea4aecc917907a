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

@Suite("Proximal policy optimisation")
struct PPOTests {
    @Test("rewards of tokens agree with trl, and so does whitening")
    func rewards() throws {
        let golden = try GoldenFile("alignment/ppo.safetensors")
        let masks = try golden.masks("mask")
        let (old, reference) = (try golden.rows("old"), try golden.rows("reference"))
        let (scores, ended) = (try golden.doubles("scores"), try golden.doubles("ended"))
        let shaping = RewardShaping(missingEndPenalty: 0.9)
        let found = old.indices.map {
            shaping.rewards(
                score: scores[$0], hasEnded: ended[$0] != 0, policy: old[$0],
                reference: reference[$0], isLearnt: masks[$0], klCoefficient: 0.07)
        }
        expectClose(
            Array(found.joined()), try golden.doubles("rewards"), Alignment.tolerance)
        expectClose(
            Array(whitened(found, isLearnt: masks, shiftsMean: false).joined()),
            try golden.doubles("whitened"), Alignment.tolerance)
        let divergences = old.indices.map {
            KLEstimator.k1.sum(policy: old[$0], reference: reference[$0], isLearnt: masks[$0])
        }
        expectClose(
            [Moments(divergences).mean], try golden.doubles("kl"), Alignment.tolerance)
    }

    @Test(
        "advantages and returns agree with trl",
        arguments: [("plain", "rewards"), ("white", "whitened")])
    func advantages(name: String, rewards: String) throws {
        let golden = try GoldenFile("alignment/ppo.safetensors")
        let (masks, values) = (try golden.masks("mask"), try golden.rows("values"))
        let given = try golden.rows(rewards)
        let found = given.indices.map {
            GeneralizedAdvantage(gamma: 0.98, lambda: 0.9)
                .evaluated(rewards: given[$0], values: values[$0], isLearnt: masks[$0])
        }
        expectClose(
            Array(whitened(found.map(\.advantages), isLearnt: masks).joined()),
            try golden.doubles("\(name).advantages"), Alignment.tolerance)
        expectClose(
            found.flatMap(\.returns), try golden.doubles("\(name).returns"),
            Alignment.tolerance)
    }

    @Test("advantages are the sum of discounted errors over learnt tokens")
    func closedForm() throws {
        let golden = try GoldenFile("alignment/ppo.safetensors")
        let (masks, values) = (try golden.masks("holes"), try golden.rows("values"))
        let rewards = try golden.rows("rewards")
        let found = rewards.indices.flatMap {
            GeneralizedAdvantage(gamma: 0.98, lambda: 0.9)
                .evaluated(rewards: rewards[$0], values: values[$0], isLearnt: masks[$0])
                .advantages
        }
        expectClose(found, try golden.doubles("holes.advantages"), Alignment.tolerance)
    }

    @Test("lambda 1 is the rewards to come less the value, lambda 0 one step's error")
    func extremes() {
        let (rewards, values) = ([0.5, -1, 0, 2], [0.1, 0.4, -0.3, 1.5])
        let all = [Bool](repeating: true, count: 4)
        let whole = GeneralizedAdvantage(gamma: 0.9, lambda: 1)
            .evaluated(rewards: rewards, values: values, isLearnt: all)
        let toCome = rewards.indices.map { start in
            rewards[start...].enumerated().reduce(0) { $0 + pow(0.9, Double($1.0)) * $1.1 }
        }
        expectClose(whole.returns, toCome, Alignment.tolerance)
        let single = GeneralizedAdvantage(gamma: 0.9, lambda: 0)
            .evaluated(rewards: rewards, values: values, isLearnt: all)
        let errors = rewards.indices.map {
            rewards[$0] + ($0 < 3 ? 0.9 * values[$0 + 1] : 0) - values[$0]
        }
        expectClose(single.advantages, errors, Alignment.tolerance)
    }

    @Test("policy and value losses agree with trl in value, gradient and clipped share")
    func losses() throws {
        let golden = try GoldenFile("alignment/ppo.safetensors")
        let masks = try golden.masks("mask")
        let (policy, old) = (try golden.rows("policy"), try golden.rows("old"))
        let advantages = try golden.rows("plain.advantages")
        let completions = policy.indices.map {
            CompletionTokens(
                policy: policy[$0], sampled: old[$0], advantages: advantages[$0],
                isLearnt: masks[$0])
        }
        let totals = StepTotals(of: completions)
        var statistics = PolicyStatistics()
        let loss = PolicyLoss(surrogate: .clipped(low: 0.2, high: 0.2), normalization: .dapo)
        let gradients = completions.flatMap {
            loss.gradients($0, step: totals, statistics: &statistics)
        }
        expectClose([statistics.loss], try golden.doubles("policy.loss"), Alignment.tolerance)
        expectClose(gradients, try golden.doubles("policy.gradients"), Alignment.tolerance)

        var critic = ValueStatistics()
        let (fresh, values) = (try golden.rows("fresh"), try golden.rows("values"))
        let returns = try golden.rows("plain.returns")
        let slopes = fresh.indices.flatMap {
            ValueLoss(clip: 0.2).gradients(
                values: fresh[$0], sampled: values[$0], returns: returns[$0],
                isLearnt: masks[$0], tokenCount: totals.tokens, statistics: &critic)
        }
        expectClose([critic.loss], try golden.doubles("values.loss"), Alignment.tolerance)
        expectClose(slopes, try golden.doubles("values.gradients"), Alignment.tolerance)
        expectClose(
            [statistics.clippedShare, critic.clippedShare], try golden.doubles("clipped"),
            Alignment.narrow)

        // The formulas of trl's metrics, over all learnt tokens.
        let changes = completions.flatMap { completion in
            completion.isLearnt.indices.filter { completion.isLearnt[$0] }
                .map { completion.policy[$0] - completion.sampled[$0] }
        }
        let ratios = changes.map { exp($0) }
        let mean = ratios.reduce(0, +) / Double(ratios.count)
        let variance =
            ratios.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(ratios.count - 1)
        let squares = changes.reduce(0) { $0 + $1 * $1 / 2 } / Double(changes.count)
        expectClose(
            [statistics.meanRatio, statistics.ratioVariance, statistics.policyChange],
            [mean, variance, squares], Alignment.tolerance)
        #expect(variance > 0 && squares > 0)
        let nothing = PolicyStatistics()
        #expect(nothing.meanRatio == 1 && nothing.ratioVariance == 0 && nothing.policyChange == 0)
    }

    @Test("without clipping a critic learns half the squared error")
    func unclipped() {
        var statistics = ValueStatistics()
        let gradients = ValueLoss(clip: nil).gradients(
            values: [3, 1, 5], sampled: [0, 0, 0], returns: [1, 1, 1],
            isLearnt: [true, true, false], tokenCount: 2, statistics: &statistics)
        #expect(gradients == [1, 0, 0] && statistics.loss == 1 && statistics.clippedShare == 0)
    }

    @Test("the adaptive coefficient takes trl's course, the fixed one none")
    func controller() throws {
        let golden = try GoldenFile("alignment/ppo.safetensors")
        var adaptive = KLController(
            coefficient: 0.2, target: .init(divergence: 6, horizon: 1000))
        var fixed = KLController(coefficient: 0.2)
        let course = try golden.doubles("divergences").map { divergence in
            adaptive.update(divergence: divergence, completionCount: 64)
            fixed.update(divergence: divergence, completionCount: 64)
            return adaptive.coefficient
        }
        expectClose(course, try golden.doubles("course"), Alignment.tolerance)
        #expect(fixed.coefficient == 0.2)
    }

    @Test("whitened numbers have mean 0 and variance 1, and equal ones stay finite")
    func whitening() {
        var generator = SeededGenerator(seed: 3)
        let rows = (0..<5).map { _ in
            (0..<7).map { _ in Double.random(in: 2...9, using: &generator) }
        }
        let masks = rows.map { $0.map { $0 < 7 } }
        let found = whitened(rows, isLearnt: masks)
        let learnt = zip(found.joined(), masks.joined()).filter(\.1).map(\.0)
        let moments = Moments(learnt)
        #expect(abs(moments.mean) < 1e-12 && abs(moments.variance - 1) < 1e-7)
        #expect(zip(found.joined(), masks.joined()).allSatisfy { $1 || $0 == 0 })
        #expect(whitened([[4, 4], [4]], isLearnt: [[true, true], [true]]) == [[0, 0], [0]])
        #expect(
            whitened([[4]], isLearnt: [[true]], shiftsMean: false) == [[4]])
    }

    @Test("rows and masks of different lengths are refused")
    func refuses() async {
        await #expect(processExitsWith: trap) {
            _ = whitened([[1, 2]], isLearnt: [[true]])
        }
        await #expect(processExitsWith: trap) {
            _ = GeneralizedAdvantage().evaluated(
                rewards: [1], values: [1, 2], isLearnt: [true])
        }
    }
}
