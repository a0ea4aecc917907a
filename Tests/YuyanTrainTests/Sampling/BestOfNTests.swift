import TestSupport
import Testing

@testable import YuyanTrain

@Suite("The best of n answers")
struct BestOfNTests {
    /// The mean over all subsets of so many rewards of their largest.
    private func enumerated(_ rewards: [Double], _ count: Int) -> Double {
        var (sum, subsets) = (0.0, 0)
        for mask in 0..<(1 << rewards.count) where mask.nonzeroBitCount == count {
            let chosen = rewards.indices.filter { mask >> $0 & 1 == 1 }.map { rewards[$0] }
            sum += chosen.max() ?? 0
            subsets += 1
        }
        return sum / Double(subsets)
    }

    @Test("is the mean over all choices of n of N answers", arguments: 1...9)
    func enumeration(_ total: Int) {
        var random = SeededGenerator(seed: UInt64(total))
        for round in 0..<8 {
            // Ties in every other round.
            let rewards = (0..<total).map { _ in
                round.isMultiple(of: 2)
                    ? Double.random(in: -2...3, using: &random)
                    : Double(Int.random(in: -1...2, using: &random))
            }
            for count in 1...total {
                let found = BestOfN.expectedMaximum(of: rewards, count: count)
                #expect(abs(found - enumerated(rewards, count)) < 1e-12, "\(rewards), \(count)")
            }
        }
    }

    @Test("of rewards of 0 and 1 is pass@k as its paper computes it")
    func passAtK() {
        let total = 200
        for right in [0, 1, 3, 17, 150, 199, 200] {
            let rewards = (0..<total).map { $0 < right ? 1.0 : 0 }
            for count in [1, 2, 10, 64, 200] {
                var missed = 1.0
                if total - right < count {
                    missed = 0
                } else {
                    for i in (total - right + 1)..<(total + 1) {
                        missed *= 1 - Double(count) / Double(i)
                    }
                }
                let found = BestOfN.expectedMaximum(of: rewards, count: count)
                #expect(abs(found - (1 - missed)) < 1e-12, "\(right) right, best of \(count)")
            }
        }
    }

    @Test("is asked for powers of two and for all answers")
    func counts() {
        #expect(BestOfN(generations: 1).counts == [1])
        #expect(BestOfN(generations: 2).counts == [1, 2])
        #expect(BestOfN(generations: 6).counts == [1, 2, 4, 6])
        #expect(BestOfN(generations: 8).counts == [1, 2, 4, 8])
        var curve = BestOfN(generations: 3)
        #expect(curve.points.isEmpty)
        curve.add([1, 2, 6])
        curve.add([0, 0, 0])
        #expect(curve.promptCount == 2)
        #expect(curve.points.map(\.count) == [1, 2, 3])
        for (point, expected) in zip(curve.points, [1.5, 14.0 / 6, 3.0]) {
            #expect(abs(point.reward - expected) < 1e-12)
        }
    }
}
