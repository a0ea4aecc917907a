import Testing

@testable import YuyanTensor

@Suite("Storage")
struct StorageTests {
    @Test("is aligned to 64 bytes, at any size")
    func alignment() {
        for size in [0, 1, 63, 64, 65, 4095, 4097, 100_000, 5 << 20] {
            let storage = Storage(byteCount: size)
            #expect(storage.byteCount == size)
            #expect(Int(bitPattern: storage.start) % 64 == 0)
            // All of it can be written.
            storage.start.initializeMemory(as: UInt8.self, repeating: 1, count: size)
        }
    }

    @Test("comes back to the next of its size when its owner lets go")
    func reuse() {
        // A size that nothing else in this process uses.
        let size = 9_437_184 + 1_048_576
        var first: Storage? = Storage(byteCount: size)
        let address = first?.start
        let second = Storage(byteCount: size)
        #expect(second.start != address)
        first = nil
        let third = Storage(byteCount: size - 1000)
        #expect(third.start == address)
    }

    @Test("pieces in use never overlap")
    func disjoint() {
        var pieces: [Storage] = []
        for round in 0..<300 {
            pieces.append(Storage(byteCount: 1 + round * 37 % 5000))
            if round.isMultiple(of: 3) { pieces.remove(at: round * 7 % pieces.count) }
            let ranges = pieces.map { (Int(bitPattern: $0.start), $0.byteCount) }.sorted { $0 < $1 }
            for (a, b) in zip(ranges, ranges.dropFirst()) where a.0 + a.1 > b.0 {
                Issue.record("\(a) overlaps \(b)")
            }
        }
    }
}
