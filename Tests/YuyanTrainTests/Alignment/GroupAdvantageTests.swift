import TestSupport
import Testing

@testable import YuyanTrain

@Suite("Advantages of groups")
struct GroupAdvantageTests {
    @Test(
        "agree with trl, with a reward that is missing and a group of equal ones",
        arguments: zip(
            GroupAdvantage.allCases, ["group", "none", "batch", "rloo", "reinforce"]))
    func agree(method: GroupAdvantage, name: String) throws {
        let golden = try GoldenFile("alignment/policy.safetensors")
        let found = method.evaluated(try golden.rows("rewards"))
        expectClose(
            Array(found.advantages.joined()), try golden.doubles("advantages.\(name)"),
            Tolerance(absolute: 1e-10, relative: 1e-9))
        expectClose(
            [found.rewards.mean, found.rewards.deviation],
            try golden.doubles("reward_figures"), Alignment.tolerance)
        #expect(found.isUniform == (try golden.doubles("zero_std").map { $0 != 0 }))
        #expect(found.uniformFraction == 0.2)
    }

    @Test("sum to zero over a group, of any size")
    func sums() {
        var generator = SeededGenerator(seed: 1)
        let groups = (1...12).map { size in
            (0..<size).map { _ in Double.random(in: -3...3, using: &generator) }
        }
        for method in GroupAdvantage.allCases where method != .reinforcePlusPlus {
            for group in method.evaluated(groups).advantages {
                #expect(abs(group.reduce(0, +)) < 1e-9)
            }
        }
        let all = GroupAdvantage.reinforcePlusPlus.evaluated(groups).advantages.joined()
        #expect(abs(all.reduce(0, +)) < 1e-9)
    }

    @Test("are exactly 0 in a group of equal rewards, of one, or of none")
    func uniform() {
        // The mean of ten tenths is not a tenth.
        let groups = [Array(repeating: 0.1, count: 10), [2.5], [], [.nan, .infinity], [.nan, 1]]
        for method in GroupAdvantage.allCases where method != .reinforcePlusPlus {
            let found = method.evaluated(groups)
            #expect(found.advantages == groups.map { .init(repeating: 0, count: $0.count) })
            #expect(found.uniformFraction == 1)
        }
    }

    @Test("of REINFORCE++ need no groups: answers are compared with all of their step")
    func singles() {
        let method = GroupAdvantage.reinforcePlusPlus
        let found = method.evaluated([[1], [0], [0], [1]])
        let together = method.evaluated([[1, 0, 0, 1]])
        #expect(Array(found.advantages.joined()) == together.advantages[0])
        #expect(found.uniformFraction == 0 && together.uniformFraction == 0)
        // The mean of ten tenths is not a tenth.
        let equal = method.evaluated((0..<10).map { _ in [0.1] })
        #expect(equal.advantages.joined().allSatisfy { $0 == 0 } && equal.uniformFraction == 1)
    }

    @Test("do not depend on a constant; GRPO's hardly on a factor")
    func invariance() {
        let groups = [[0.5, 1, 3, -2], [1, 0, 0, 1]]
        for method in GroupAdvantage.allCases {
            let moved = method.evaluated(groups.map { $0.map { $0 + 8 } })
            expectClose(
                Array(moved.advantages.joined()),
                Array(method.evaluated(groups).advantages.joined()),
                Tolerance(absolute: 1e-12))
        }
        expectClose(
            Array(GroupAdvantage.grpo.evaluated([[50, 100, 300, -200]]).advantages[0]),
            Array(GroupAdvantage.grpo.evaluated([groups[0]]).advantages[0]),
            Tolerance(absolute: 2e-4))
    }

    @Test("overlong completions are punished as by trl")
    func overlong() throws {
        let golden = try GoldenFile("alignment/policy.safetensors")
        let punishment = OverlongPunishment(maximumLength: 20, cacheLength: 6)
        expectClose(
            (0..<24).map { punishment.reward(tokenCount: $0) }, try golden.doubles("overlong"),
            Alignment.tolerance)
        let sharp = OverlongPunishment(maximumLength: 20, cacheLength: 0)
        #expect(sharp.reward(tokenCount: 20) == 0 && sharp.reward(tokenCount: 21) == -1)
    }
}
