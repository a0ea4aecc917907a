import TestSupport
import Testing

@testable import YuyanTensor

@Suite("Memory for tensors")
struct StorageTests {
    @Test("keeps no more than was needed at once, however sizes change")
    func bounded() {
        var random = SeededGenerator(seed: 81)
        var alive: [Storage] = []
        for round in 0..<400 {
            let largest = round % 3 == 0 ? 9 << 20 : 300 << 10
            let piece = Storage(byteCount: Int.random(in: 1...largest, using: &random))
            #expect(UInt(bitPattern: piece.start) % 64 == 0)
            // Both ends can be written.
            piece.start.storeBytes(of: 1, as: UInt8.self)
            (piece.start + piece.byteCount - 1).storeBytes(of: 2, as: UInt8.self)
            alive.append(piece)
            if alive.count > 8 { alive.remove(at: Int.random(in: 0..<8, using: &random)) }
            let held = Storage.held
            #expect(held.owned + held.free <= held.mostOwned, "\(held)")
        }
    }

    @Test("gives a freed piece to the next of nearly its size")
    func reuse() {
        // A size that nothing else here has; another test may still take the piece in between.
        let found = (0..<20).contains { attempt in
            let byteCount = 11_000_000 + attempt * 2_000_000
            let place = { Storage(byteCount: byteCount).start }()
            return Storage(byteCount: byteCount - byteCount / 10).start == place
        }
        #expect(found)
    }
}
