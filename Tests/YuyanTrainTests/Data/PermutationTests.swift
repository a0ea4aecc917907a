import Testing

@testable import YuyanTrain

@Suite("Permutations")
struct PermutationTests {
    @Test("meet every number once, for every count", arguments: 1...300)
    func bijection(_ count: Int) {
        let order = Permutation(count: count, seed: 7, stream: 3)
        #expect(Set((0..<count).map { order[$0] }) == Set(0..<count))
    }

    @Test("of large counts meet every number once")
    func largeBijection() {
        for count in [65_535, 65_536, 65_537, 100_003] {
            let order = Permutation(count: count, seed: 1, stream: 0)
            var seen = [Bool](repeating: false, count: count)
            for place in 0..<count { seen[order[place]] = true }
            #expect(seen.allSatisfy { $0 })
        }
    }

    @Test("depend on seed and stream, and on nothing else")
    func dependence() {
        func first(_ seed: UInt64, _ stream: UInt64) -> [Int] {
            let order = Permutation(count: 1000, seed: seed, stream: stream)
            return (0..<40).map { order[$0] }
        }
        #expect(first(1, 2) == first(1, 2))
        #expect(first(1, 2) != first(2, 2))
        #expect(first(1, 2) != first(1, 3))
    }

    @Test("are written down: a change of their definition would change every run")
    func known() {
        // From an independent implementation, in Python, of Philox and the network over it.
        let ten = Permutation(count: 10, seed: 42, stream: DataStream.epoch(0))
        #expect((0..<10).map { ten[$0] } == [7, 0, 3, 4, 5, 2, 1, 6, 8, 9])
        let thousand = Permutation(count: 1000, seed: 7, stream: DataStream.epoch(3))
        let first = [157, 359, 823, 991, 501, 830, 510, 7, 809, 798, 918, 124]
        #expect((0..<12).map { thousand[$0] } == first)
    }

    @Test("scatter: neighbours part, and places do not tell values")
    func scatter() {
        let count = 10_000
        let order = Permutation(count: count, seed: 9, stream: 1)
        let values = (0..<count).map { order[$0] }
        // Of a random order, one pair in 5000 is of neighbours, and the correlation is about 0.01.
        let neighbours = zip(values, values.dropFirst()).filter { abs($0 - $1) == 1 }.count
        #expect(neighbours < 20)
        let middle = Double(count - 1) / 2
        let product = values.enumerated().reduce(0) {
            $0 + (Double($1.offset) - middle) * (Double($1.element) - middle)
        }
        let square = (0..<count).reduce(0) { $0 + (Double($1) - middle) * (Double($1) - middle) }
        #expect(abs(product / square) < 0.05)
    }

    @Test("trap outside of their count")
    func outside() async {
        await #expect(processExitsWith: .failure) {
            _ = Permutation(count: 3, seed: 0, stream: 0)[3]
        }
    }
}
