import TestSupport
import Testing

@testable import YuyanTrain

/// The completions of the golden.
private func completions(
    _ golden: GoldenFile, isOnPolicy: Bool = false, hasReference: Bool = false,
    tokenAdvantages: Bool = false
) throws -> [CompletionTokens] {
    let (policy, old) = (try golden.rows("policy"), try golden.rows("old"))
    let (advantages, masks) = (try golden.doubles("advantage"), try golden.masks("mask"))
    let (perToken, references) = (
        try golden.rows("token_advantages"), try golden.rows("reference")
    )
    return policy.indices.map { row in
        CompletionTokens(
            policy: policy[row], sampled: isOnPolicy ? policy[row] : old[row],
            reference: hasReference ? references[row] : nil,
            advantages: tokenAdvantages
                ? perToken[row] : .init(repeating: advantages[row], count: policy[row].count),
            isLearnt: masks[row])
    }
}

extension PolicyLoss {
    /// A whole step at once.
    fileprivate func step(
        _ completions: [CompletionTokens], totals: StepTotals? = nil
    ) -> (gradients: [Double], statistics: PolicyStatistics) {
        var statistics = PolicyStatistics()
        let totals = totals ?? StepTotals(of: completions)
        let gradients = completions.flatMap {
            self.gradients($0, step: totals, statistics: &statistics)
        }
        return (gradients, statistics)
    }
}

@Suite("Policy losses")
struct PolicyLossTests {
    static let cases: [(name: String, loss: PolicyLoss)] = {
        let clip = PolicyLoss.Surrogate.clipped(low: 0.2, high: 0.28)
        return [
            ("grpo", PolicyLoss(surrogate: clip, normalization: .grpo)),
            ("bnpo", PolicyLoss(surrogate: clip, normalization: .bnpo)),
            ("dr_grpo", PolicyLoss(surrogate: clip, normalization: .drGRPO(maximumLength: 16))),
            ("dapo", PolicyLoss(surrogate: clip, normalization: .dapo)),
            ("on_policy", PolicyLoss(surrogate: clip, normalization: .grpo)),
            ("delta", PolicyLoss(surrogate: .clipped(low: 0.2, high: 0.28, delta: 1.4))),
            ("kl", PolicyLoss(surrogate: clip, normalization: .grpo, beta: 0.04)),
            (
                "kl_dr",
                PolicyLoss(
                    surrogate: clip, normalization: .drGRPO(maximumLength: 16), beta: 0.3)
            ),
            (
                "gspo",
                PolicyLoss(
                    surrogate: .clipped(low: 0.05, high: 0.1), level: .sequence,
                    normalization: .grpo)
            ),
            (
                "gspo_delta_kl",
                PolicyLoss(
                    surrogate: .clipped(low: 0.05, high: 0.1, delta: 1.15), level: .sequence,
                    beta: 0.1)
            ),
            ("cispo", PolicyLoss(surrogate: .cispo(bound: 1.2))),
            ("cispo_kl", PolicyLoss(surrogate: .cispo(bound: 1.05), level: .sequence, beta: 0.1)),
            ("tokens", PolicyLoss(surrogate: clip)),
            ("rloo", PolicyLoss(surrogate: clip, level: .product, normalization: .grpo)),
        ]
    }()

    @Test("agree with trl in value, gradient and statistics", arguments: 0..<cases.count)
    func agree(index: Int) throws {
        let (name, loss) = Self.cases[index]
        let golden = try GoldenFile("alignment/policy.safetensors")
        let found = loss.step(
            try completions(
                golden, isOnPolicy: name == "on_policy" || name == "kl_dr",
                hasReference: loss.beta != 0, tokenAdvantages: name == "tokens"))
        let statistics = found.statistics
        expectClose(
            [statistics.loss], try golden.doubles("\(name).loss"), Alignment.tolerance, "loss")
        expectClose(
            found.gradients, try golden.doubles("\(name).gradients"), Alignment.tolerance,
            "gradients")
        let isCISPO = name.hasPrefix("cispo")
        expectClose(
            [
                statistics.lowShare, isCISPO ? 0 : statistics.smallestLowShare,
                statistics.highShare, isCISPO ? 0 : statistics.largestHighShare,
                statistics.clippedShare, statistics.meanDivergence,
            ], try golden.doubles("\(name).figures"), Alignment.narrow, "statistics")
    }

    @Test("agree with trl where it cuts a step into micro-batches")
    func agreeInPasses() throws {
        let golden = try GoldenFile("alignment/policy.safetensors")
        let clip = PolicyLoss.Surrogate.clipped(low: 0.2, high: 0.28)
        let dapo = PolicyLoss(surrogate: clip, beta: 0.04)
            .step(try completions(golden, hasReference: true))
        expectClose(
            dapo.gradients, try golden.doubles("dapo_passes.gradients"), Alignment.tolerance)
        let all = try completions(golden)
        let bnpo = PolicyLoss(surrogate: clip, normalization: .bnpo)
        let halves = [all[..<3], all[3...]].map { half in
            bnpo.step(
                Array(half),
                totals: StepTotals(
                    completions: 6, tokens: StepTotals(of: all).tokens, microBatches: 2,
                    microBatchTokens: StepTotals(of: Array(half)).tokens))
        }
        expectClose(
            halves.flatMap(\.gradients), try golden.doubles("bnpo_passes.gradients"),
            Alignment.tolerance)
        expectClose(
            [halves[0].statistics.loss + halves[1].statistics.loss],
            try golden.doubles("bnpo_passes.loss"), Alignment.tolerance)
    }

    @Test("a step has the same bits however it is cut", arguments: 0..<cases.count)
    func cuts(index: Int) throws {
        let loss = Self.cases[index].loss
        let golden = try GoldenFile("alignment/policy.safetensors")
        let all = try completions(golden, hasReference: true)
        let totals = StepTotals(of: all)
        let whole = loss.step(all)
        var statistics = PolicyStatistics()
        var gradients: [Double] = []
        for pass in [all[0..<1], all[1..<5], all[5..<6]] {
            for completion in pass {
                gradients += loss.gradients(completion, step: totals, statistics: &statistics)
            }
        }
        #expect(gradients == whole.gradients && statistics == whole.statistics)
    }

    @Test("gradients are slopes where the surrogate is smooth", arguments: 0..<cases.count)
    func slopes(index: Int) throws {
        let (name, loss) = Self.cases[index]
        // The first factor of CISPO carries no gradient: its value's slope is another thing.
        guard !name.hasPrefix("cispo") else { return }
        let golden = try GoldenFile("alignment/policy.safetensors")
        let all = try completions(golden, hasReference: true)
        let expected = all.indices.flatMap { row in
            all[row].policy.indices.map { token in
                Alignment.slope(all[row].policy[token]) { value in
                    var moved = all
                    moved[row].policy[token] = value
                    return loss.step(moved).statistics.loss
                }
            }
        }
        expectClose(
            loss.step(all).gradients, expected, Tolerance(absolute: 1e-8, relative: 1e-6))
    }

    @Test("on policy the ratio is exactly 1 and the gradient -A over the normaliser")
    func onPolicy() throws {
        let golden = try GoldenFile("alignment/policy.safetensors")
        let all = try completions(golden, isOnPolicy: true)
        let totals = StepTotals(of: all)
        for level in PolicyLoss.Level.allCases {
            for normalization in [LossNormalization.grpo, .bnpo, .drGRPO(maximumLength: 20), .dapo]
            {
                for surrogate in [
                    PolicyLoss.Surrogate.clipped(low: 0.2, high: 0.2), .cispo(bound: 2),
                ] {
                    let found = PolicyLoss(
                        surrogate: surrogate, level: level, normalization: normalization
                    ).step(all)
                    #expect(found.statistics.smallestRatio == 1)
                    #expect(found.statistics.largestRatio == 1)
                    #expect(found.statistics.clippedShare == 0)
                    let expected = all.flatMap { completion in
                        // Only the product's ratio moves by its whole with each token.
                        let isProduct = level == .product && surrogate != .cispo(bound: 2)
                        let count = completion.learntCount
                        let weight = normalization.weight(learntCount: count, step: totals)
                        return zip(completion.advantages, completion.isLearnt).map {
                            $1 ? -$0 * weight * (isProduct ? Double(count) : 1) : 0
                        }
                    }
                    expectClose(found.gradients, expected, Alignment.tolerance)
                }
            }
        }
    }

    @Test("a group of equal rewards moves nothing")
    func uniformGroup() {
        let advantages = GroupAdvantage.grpo.evaluated([[0.7, 0.7, 0.7]]).advantages[0]
        let all = advantages.map {
            CompletionTokens(policy: [-1, -2], sampled: [-1.5, -1], advantage: $0)
        }
        for (_, loss) in Self.cases where loss.beta == 0 {
            let found = loss.step(all)
            #expect(found.gradients.allSatisfy { $0 == 0 } && found.statistics.loss == 0)
        }
    }

    @Test("tokens that are not learnt change nothing, whatever they are")
    func masks() throws {
        let golden = try GoldenFile("alignment/policy.safetensors")
        for (name, loss) in Self.cases {
            let all = try completions(golden, hasReference: true)
            var other = all
            for row in other.indices {
                for token in other[row].policy.indices where !other[row].isLearnt[token] {
                    other[row].policy[token] = .nan
                    other[row].sampled[token] = -.infinity
                    other[row].advantages[token] = 1e9
                }
            }
            #expect(loss.step(other).gradients == loss.step(all).gradients, "\(name)")
        }
        let tool = CompletionTokens(
            policy: [-1], sampled: [-1], advantage: 1, isLearnt: [false])
        for (_, loss) in Self.cases {
            var without = tool
            without.reference = [-2]
            let found = loss.step([without])
            #expect(found.gradients == [0] && found.statistics.loss == 0)
        }
    }

    @Test("wrong shapes, unequal advantages of a sequence and a missing reference are refused")
    func refuses() async {
        await #expect(processExitsWith: trap) {
            _ = CompletionTokens(policy: [-1], sampled: [-1, -2], advantage: 1)
        }
        await #expect(processExitsWith: trap) {
            let mixed = CompletionTokens(
                policy: [-1, -1], sampled: [-1, -1], advantages: [1, 2],
                isLearnt: [true, true])
            var statistics = PolicyStatistics()
            _ = PolicyLoss(level: .sequence).gradients(
                mixed, step: StepTotals(of: [mixed]), statistics: &statistics)
        }
        await #expect(processExitsWith: trap) {
            let bare = CompletionTokens(policy: [-1], sampled: [-1], advantage: 1)
            var statistics = PolicyStatistics()
            _ = PolicyLoss(beta: 0.1).gradients(
                bare, step: StepTotals(of: [bare]), statistics: &statistics)
        }
    }
}
