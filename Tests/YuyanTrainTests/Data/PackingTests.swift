import TestSupport
import Testing

@testable import YuyanTrain

@Suite("Packing")
struct PackingTests {
    @Test("loses no sample, doubles none and overfills no row", arguments: 0..<60)
    func laws(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let capacity = Int.random(in: 4...200, using: &random)
        let lengths = (0..<Int.random(in: 0...300, using: &random)).map { _ in
            Int.random(in: 1...capacity, using: &random)
        }
        let rows = Packing.rows(lengths, capacity: capacity)
        #expect(rows.flatMap { $0 }.sorted() == Array(lengths.indices))
        let sums = rows.map { $0.reduce(0) { $0 + lengths[$1] } }
        #expect(sums.allSatisfy { $0 <= capacity && $0 > 0 })
        #expect(rows.allSatisfy { $0 == $0.sorted() })
        #expect(rows == Packing.rows(lengths, capacity: capacity))
        // No two rows could be one.
        let rooms = sums.sorted()
        if rooms.count >= 2 { #expect(rooms[0] + rooms[1] > capacity) }
    }

    @Test("puts each sample into the fullest row that has room")
    func bestFit() {
        // 7 opens a row (3 left), 6 another (4 left); 3 goes to the first, 4 to the second.
        #expect(Packing.rows([3, 7, 4, 6], capacity: 10) == [[0, 1], [2, 3]])
        #expect(Packing.rows([5, 5, 5], capacity: 10) == [[0, 1], [2]])
        #expect(Packing.rows([], capacity: 10).isEmpty)
    }

    @Test("fills rows well where samples are short")
    func fill() {
        var random = SeededGenerator(seed: 5)
        let lengths = (0..<1024).map { _ in Int.random(in: 20...400, using: &random) }
        let rows = Packing.rows(lengths, capacity: 1024)
        let fill = Double(lengths.reduce(0, +)) / Double(rows.count * 1024)
        #expect(fill > 0.99)
    }

    @Test("traps on a sample that fits nowhere")
    func tooLong() async {
        await #expect(processExitsWith: .failure) { _ = Packing.rows([11], capacity: 10) }
    }
}
