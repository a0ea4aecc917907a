import Testing

@testable import YuyanEngine

@Suite("Ranking")
struct RankingTests {
    @Test("selects what a full sort selects", arguments: 0..<30 as Range<UInt64>)
    func selectsTop(seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let count = Int.random(in: 1...5000, using: &numbers)
        // Coarse values, so that many are equal.
        let values = numbers.logits(count, scale: 3).map { seed % 2 == 0 ? $0 : $0.rounded() }
        let sorted = values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }
        for k in [1, 2, 20, 255, 257, 1000, count] where k <= count {
            var ranks: [UInt64] = []
            topRanks(k, of: values.span, buffer: &ranks)
            #expect(ranks.sorted().map(index(ofRank:)) == Array(sorted.prefix(k)), "k \(k)")
        }
    }

    @Test("selects by mass what a walk down the sorted list selects")
    func selectsMass() {
        var numbers = SeededNumbers(seed: 77)
        for count in [1, 5, 24, 25, 26, 400, 3000] {
            let weights = (0..<count).map { _ in Double.random(in: 0...1, using: &numbers) }
            let all = (0..<count).map { UInt64($0) }
            for share in [0, 1e-9, 0.3, 0.9, 1, 2] {
                let mass = share * weights.reduce(0, +)
                var ranks = all.shuffled(using: &numbers)
                let kept = selectPrefix(&ranks, mass: mass) { weights[Int($0)] }
                var expected = 0
                var head = 0.0
                while expected < count, head < mass - 1e-9 {
                    head += weights[expected]
                    expected += 1
                }
                #expect(kept == max(expected, 1), "\(count) \(share)")
                #expect(ranks[..<kept].sorted() == Array(all.prefix(kept)))
                #expect(ranks[kept - 1] == UInt64(kept - 1))
                #expect(ranks.sorted() == all)
            }
        }
    }

    @Test("the peak is the first of the largest, wherever it stands")
    func peak() throws {
        for count in [1, 7, 511, 512, 513, 1025] {
            for place in [0, count / 2, count - 1] {
                var values = [Float](repeating: -3, count: count)
                values[place] = 4
                values[count - 1] = 4
                #expect(try Peak(values.span).token == place)
                #expect(try Peak(values.span).logit == 4)
            }
        }
        #expect(try Peak([-0.0, 0.0, -1].span).token == 0)
        #expect(try Peak([-Float.infinity, -.infinity].span).token == 0)
    }

    @Test(
        "not-a-number and plus infinity are errors that name the token",
        arguments: [Float.nan, -.nan, .signalingNaN, .infinity])
    func notFinite(_ value: Float) {
        for place in [0, 511, 512, 999] {
            var values = [Float](repeating: -.infinity, count: 1000)
            values[place] = value
            #expect(throws: SamplingError.notFinite(token: Int32(place), value: "\(value)")) {
                try Peak(values.span).token
            }
        }
    }
}
