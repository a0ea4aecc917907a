import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A piece of 64-byte-aligned memory that its last owner gives back for reuse.
///
/// Unchecked: contents are written by the operation that allocated it, before anyone else sees it;
/// later writers must hold the only reference or guarantee disjoint ranges.
package final class Storage: @unchecked Sendable {
    package let start: UnsafeMutableRawPointer
    package let byteCount: Int
    private let capacity: Int

    /// Undefined contents; the capacity is a multiple of 64 bytes.
    package init(byteCount: Int) {
        precondition(byteCount >= 0, "negative size \(byteCount)")
        self.byteCount = byteCount
        capacity = MemoryCache.capacity(for: byteCount)
        start = MemoryCache.shared.take(capacity)
    }

    deinit { MemoryCache.shared.give(start, capacity: capacity) }

    /// Keeps freed pieces as training needs them: a pass frees what the next takes again.
    ///
    /// A layer's activations come in a few sizes, once for each layer; giving the pages back after
    /// each pass and faulting them in again costs a few percent of a step.
    package static func keepPiecesOfTraining() { MemoryCache.shared.keep(512) }
}

/// Freed pieces by size, so that a step does not fault fresh pages in for every activation.
private final class MemoryCache: Sendable {
    static let shared = MemoryCache()
    private static let largestKept = 64 << 20
    private let free = Mutex<[Int: [Piece]]>([:])
    /// Most pieces of one size.
    private let most = Atomic<Int>(8)

    /// Unchecked: a piece in the cache has no other owner.
    struct Piece: @unchecked Sendable { let start: UnsafeMutableRawPointer }

    /// Rounded up to a multiple of 64 bytes, and to an eighth of a power of two when large, so
    /// that nearly equal sizes share pieces.
    static func capacity(for byteCount: Int) -> Int {
        let rounded = (max(byteCount, 1) + 63) & ~63
        if rounded <= 4096 || rounded > largestKept { return rounded }
        let step = 1 << (Int.bitWidth - 1 - rounded.leadingZeroBitCount - 3)
        return (rounded + step - 1) & ~(step - 1)
    }

    func keep(_ pieces: Int) { most.store(pieces, ordering: .relaxed) }

    func take(_ capacity: Int) -> UnsafeMutableRawPointer {
        if capacity <= Self.largestKept,
            let piece = free.withLock({ $0[capacity]?.popLast() })
        {
            return piece.start
        }
        return allocate(capacity)
    }

    func give(_ start: UnsafeMutableRawPointer, capacity: Int) {
        if capacity > Self.largestKept { return releaseMemory(start) }
        let piece = Piece(start: start)
        let most = most.load(ordering: .relaxed)
        let kept = free.withLock {
            guard $0[capacity, default: []].count < most else { return false }
            $0[capacity, default: []].append(piece)
            return true
        }
        if !kept { releaseMemory(start) }
    }

    private func allocate(_ capacity: Int) -> UnsafeMutableRawPointer {
        var pointer: UnsafeMutableRawPointer?
        let large = capacity >= 4 << 20
        let status = posix_memalign(&pointer, large ? 2 << 20 : 64, capacity)
        guard status == 0, let pointer else {
            fatalError("out of memory: no \(capacity) bytes to be had")
        }
        #if os(Linux)
            if large { madvise(pointer, capacity, MADV_HUGEPAGE) }
        #endif
        return pointer
    }
}

extension ThreadPool {
    /// Processors that this process may use.
    public static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

private func releaseMemory(_ pointer: UnsafeMutableRawPointer) { free(pointer) }
