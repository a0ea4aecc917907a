import TestSupport
import Testing
import YuyanFormats
import YuyanModels

@testable import YuyanTrain

@Suite("Tokens of tools")
struct EpisodeMaskTests {
    /// An answer of runs that are written and read by turns.
    private func answer(_ runs: [Int], seed: UInt64 = 5) -> WrittenAnswer {
        var random = SeededGenerator(seed: seed)
        var answer = WrittenAnswer(hasEnded: true)
        for (place, count) in runs.enumerated() {
            let ids = (0..<count).map { _ in Int32.random(in: 0..<90, using: &random) }
            guard place.isMultiple(of: 2) else {
                answer.append(read: ids, version: 2)
                continue
            }
            for id in ids {
                answer.append(
                    id, logProbability: -Float.random(in: 0...3, using: &random),
                    support: [id, 95], version: 1)
            }
        }
        return answer
    }

    private func group(_ answers: [WrittenAnswer], masksTruncated: Bool = false) -> JudgedGroup {
        JudgedGroup(
            rollout: Rollout(prompt: [1], answers: answers), totals: answers.map { _ in 1 },
            parts: answers.map { _ in [] }, masksTruncated: masksTruncated, isUniform: false)
    }

    private static let runs = [[4], [3, 2, 4], [1, 5, 1, 1, 2], [2, 3, 2, 4, 1]]

    @Test("are no tokens of the model, in counts, texts and masks", arguments: runs)
    func counts(_ runs: [Int]) {
        let answer = answer(runs)
        let own = stride(from: 0, to: runs.count, by: 2).reduce(0) { $0 + runs[$1] }
        #expect(answer.tokens.count == runs.reduce(0, +))
        #expect(answer.writtenCount == own && answer.writtenTokens.count == own)
        #expect(answer.isWritten.count == answer.tokens.count)
        #expect(answer.lastTurn.count == runs.last)
        #expect(answer.runs == (runs.count == 1 ? [] : runs))
        for (index, isWritten) in answer.isWritten.enumerated() {
            #expect((answer.logProbabilities[index] == 0) == !isWritten)
            #expect(answer.supports[index].isEmpty == !isWritten)
        }
        var judged = group([answer])
        #expect(judged.isLearnt(0) == answer.isWritten && judged.learntCount == own)
        judged.spread([0.5])
        #expect(judged.advantages[0] == answer.isWritten.map { $0 ? 0.5 : 0 })
    }

    @Test("are left out with the rest of an answer that is")
    func truncated() {
        var cut = answer([2, 2, 2])
        cut.hasEnded = false
        #expect(group([cut], masksTruncated: true).isLearnt(0).allSatisfy { !$0 })
        #expect(group([cut]).learntCount == 4)
    }

    @Test("stay what they are in a saved state, and damage is noticed", arguments: runs)
    func saved(_ runs: [Int]) throws {
        let answer = answer(runs)
        func read(_ json: JSONOutput) throws -> WrittenAnswer {
            try WrittenAnswer(JSONDocument(bytes: Array(json.description.utf8), name: "a").root)
        }
        #expect(try read(answer.json) == answer)
        var older = answer.json
        older["runs"] = nil
        #expect(try read(older).isWritten.allSatisfy { $0 })
        for wrong: JSONOutput in [[1], [-1, 5], [1, 1, 1_000_000], ["x"]] {
            var damaged = answer.json
            damaged["runs"] = wrong
            #expect(throws: RunError.self) { try read(damaged) }
        }
    }

    private static let losses: [PolicyLoss] = {
        let divergence = 0.04
        return [
            PolicyLoss(normalization: .grpo, beta: divergence),
            PolicyLoss(normalization: .bnpo), PolicyLoss(normalization: .dapo, beta: divergence),
            PolicyLoss(normalization: .drGRPO(maximumLength: 9), estimator: .k1),
            PolicyLoss(surrogate: .cispo(bound: 2)),
            PolicyLoss(level: .sequence, normalization: .grpo),
            PolicyLoss(level: .product, normalization: .grpo),
        ]
    }()

    @Test("leave a policy's loss and slopes those of the answer without them", arguments: losses)
    func loss(_ loss: PolicyLoss) {
        let answers = Self.runs.enumerated().map { answer($1, seed: UInt64($0)) }
        var random = SeededGenerator(seed: 11)
        var judged = group(answers)
        judged.reference = answers.map { answer in
            answer.tokens.map { _ in -Float.random(in: 0...3, using: &random) }
        }
        judged.spread([0.7, -1.1, 0.4, -0.2])
        let policies = answers.map { answer in
            answer.logProbabilities.map { $0 + Float.random(in: -0.4...0.4, using: &random) }
        }
        let whole = answers.indices.map { judged.tokens($0, policy: policies[$0]) }
        let short = whole.map { tokens in
            func kept(_ values: [Double]) -> [Double] {
                zip(values, tokens.isLearnt).filter(\.1).map(\.0)
            }
            return CompletionTokens(
                policy: kept(tokens.policy), sampled: kept(tokens.sampled),
                reference: tokens.reference.map(kept), advantages: kept(tokens.advantages),
                isLearnt: tokens.isLearnt.filter { $0 })
        }
        let totals = StepTotals(of: whole)
        #expect(totals == StepTotals(of: short))
        var (seen, expected) = (PolicyStatistics(), PolicyStatistics())
        for (one, other) in zip(whole, short) {
            let slopes = loss.gradients(one, step: totals, statistics: &seen)
            let wanted = loss.gradients(other, step: totals, statistics: &expected)
            #expect(zip(slopes, one.isLearnt).filter(\.1).map(\.0) == wanted)
            #expect(zip(slopes, one.isLearnt).allSatisfy { $1 || $0 == 0 })
        }
        #expect(seen == expected && seen.loss != 0)
    }

    @Test("are stepped over by advantages, rewards and divergences", arguments: runs)
    func advantages(_ runs: [Int]) {
        let answer = answer(runs)
        var random = SeededGenerator(seed: 3)
        let mask = answer.isWritten
        let values = mask.map { _ in Double.random(in: -1...1, using: &random) }
        let reference = mask.map { _ in -Double.random(in: 0...3, using: &random) }
        func kept(_ values: [Double]) -> [Double] { zip(values, mask).filter(\.1).map(\.0) }
        let all = kept(values).map { _ in true }
        let policy = answer.logProbabilities.map(Double.init)
        let shaping = RewardShaping(missingEndPenalty: 1)
        let rewards = shaping.rewards(
            score: 2, hasEnded: true, policy: policy, reference: reference, isLearnt: mask,
            klCoefficient: 0.1)
        let short = shaping.rewards(
            score: 2, hasEnded: true, policy: kept(policy), reference: kept(reference),
            isLearnt: all, klCoefficient: 0.1)
        #expect(kept(rewards) == short)
        #expect(zip(rewards, mask).allSatisfy { $1 || $0 == 0 })
        let estimator = GeneralizedAdvantage(gamma: 0.9, lambda: 0.8)
        let found = estimator.evaluated(rewards: rewards, values: values, isLearnt: mask)
        let wanted = estimator.evaluated(rewards: short, values: kept(values), isLearnt: all)
        #expect(kept(found.advantages) == wanted.advantages)
        #expect(kept(found.returns) == wanted.returns)
        #expect(zip(found.advantages, mask).allSatisfy { $1 || $0 == 0 })

        var judged = group([answer])
        judged.reference = [reference.map { Float($0) }]
        judged.lowerRewards(by: 0.5, .k3)
        let divergence = KLEstimator.k3.sum(
            policy: kept(policy), reference: kept(reference.map { Double(Float($0)) }),
            isLearnt: all)
        #expect(abs(judged.totals[0] - (1 - 0.5 * divergence)) < 1e-12)
    }
}
