import Synchronization

/// Memory for weights, cut from large pieces that the system can back with huge pages.
///
/// A decoded token streams every weight once; in 4 KiB pages its translation alone costs a tenth of
/// the bandwidth. A piece lives as long as any matrix in it.
final class WeightArena: Sendable {
    /// A stretch of a piece.
    struct Place: Sendable {
        let piece: Storage
        let offset: Int
        var start: UnsafeMutableRawPointer { piece.start + offset }
    }

    private let pieceBytes: Int
    private let last = Mutex<(piece: Storage, used: Int)?>(nil)

    init(pieceBytes: Int = 96 << 20) { self.pieceBytes = pieceBytes }

    /// Undefined contents, 64-byte aligned.
    func allocate(_ byteCount: Int) -> Place {
        let size = (byteCount + 63) & ~63
        if size > pieceBytes / 2 {
            return Place(piece: Storage(byteCount: size), offset: 0)
        }
        return last.withLock { last in
            if let (piece, used) = last, used + size <= piece.byteCount {
                last = (piece, used + size)
                return Place(piece: piece, offset: used)
            }
            let piece = Storage(byteCount: pieceBytes)
            last = (piece, size)
            return Place(piece: piece, offset: 0)
        }
    }
}
