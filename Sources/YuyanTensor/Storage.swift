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
        (start, capacity) = MemoryCache.shared.take(MemoryCache.capacity(for: byteCount))
    }

    deinit { MemoryCache.shared.give(start, capacity: capacity) }

    /// Keeps freed pieces as training needs them: a pass frees what the next takes again.
    ///
    /// A layer's activations come in a few sizes, once for each layer; giving the pages back after
    /// each pass and faulting them in again costs a few percent of a step. Passes differ in length
    /// and so in sizes: what is kept never makes the whole larger than it was at its largest.
    package static func keepPiecesOfTraining() { MemoryCache.shared.keep(512) }

    /// Bytes that somebody owns, that are free for reuse, and that were owned at most so far; the first
    /// two together never exceed the third.
    package static var held: (owned: Int, free: Int, mostOwned: Int) { MemoryCache.shared.held }
}

/// Freed pieces by size, so that a step does not fault fresh pages in for every activation.
private final class MemoryCache: Sendable {
    static let shared = MemoryCache()
    private static let largestKept = 64 << 20
    private let pieces = Mutex(Pieces())
    /// Most free pieces of one size.
    private let most = Atomic<Int>(8)

    /// Unchecked: a piece in the cache has no other owner.
    struct Piece: @unchecked Sendable { let start: UnsafeMutableRawPointer }

    private struct Pieces: Sendable {
        var free: [Int: [Piece]] = [:]
        var freeBytes = 0
        /// Bytes that somebody owns, now and at most so far.
        var ownedBytes = 0
        var mostOwnedBytes = 0

        mutating func popLast(_ capacity: Int) -> Piece? {
            guard let piece = free[capacity]?.popLast() else { return nil }
            freeBytes -= capacity
            return piece
        }

        /// A free piece of this size or, when large, of one of the next two.
        mutating func popFitting(_ capacity: Int) -> (piece: Piece, capacity: Int)? {
            var size = capacity
            for _ in 0..<(capacity > 4096 ? 3 : 1) {
                if let piece = popLast(size) { return (piece, size) }
                size = MemoryCache.capacity(for: size + 1)
            }
            return nil
        }

        mutating func own(_ capacity: Int) {
            ownedBytes += capacity
            mostOwnedBytes = max(mostOwnedBytes, ownedBytes)
        }

        /// Takes free pieces out until they fit beside what is owned, the largest sizes first.
        mutating func excess() -> [(piece: Piece, capacity: Int)] {
            guard ownedBytes + freeBytes > mostOwnedBytes else { return [] }
            var result: [(piece: Piece, capacity: Int)] = []
            for capacity in free.keys.sorted(by: >) {
                while ownedBytes + freeBytes > mostOwnedBytes, let piece = popLast(capacity) {
                    result.append((piece, capacity))
                }
            }
            return result
        }
    }

    /// Rounded up to a multiple of 64 bytes, and to an eighth of a power of two when large, so
    /// that nearly equal sizes share pieces.
    static func capacity(for byteCount: Int) -> Int {
        let rounded = (max(byteCount, 1) + 63) & ~63
        if rounded <= 4096 || rounded > largestKept { return rounded }
        let step = 1 << (Int.bitWidth - 1 - rounded.leadingZeroBitCount - 3)
        return (rounded + step - 1) & ~(step - 1)
    }

    var held: (owned: Int, free: Int, mostOwned: Int) {
        pieces.withLock { ($0.ownedBytes, $0.freeBytes, $0.mostOwnedBytes) }
    }

    func keep(_ pieces: Int) { most.store(pieces, ordering: .relaxed) }

    /// A piece of this capacity or a little more.
    func take(_ capacity: Int) -> (start: UnsafeMutableRawPointer, capacity: Int) {
        let (found, excess) = pieces.withLock { pieces -> ((Piece, Int)?, [(Piece, Int)]) in
            let found = capacity <= Self.largestKept ? pieces.popFitting(capacity) : nil
            pieces.own(found?.capacity ?? capacity)
            return (found, found == nil ? pieces.excess() : [])
        }
        for (piece, capacity) in excess { release(piece.start, capacity: capacity) }
        if let (piece, capacity) = found { return (piece.start, capacity) }
        return (allocate(capacity), capacity)
    }

    func give(_ start: UnsafeMutableRawPointer, capacity: Int) {
        let most = capacity > Self.largestKept ? 0 : most.load(ordering: .relaxed)
        let isKept = pieces.withLock { pieces in
            pieces.ownedBytes -= capacity
            guard pieces.free[capacity, default: []].count < most else { return false }
            pieces.free[capacity, default: []].append(Piece(start: start))
            pieces.freeBytes += capacity
            return true
        }
        if !isKept { release(start, capacity: capacity) }
    }

    /// Pieces from this size on are mapped one by one. In malloc's heap the pieces of passes of many
    /// lengths would leave holes, and the heap never shrinks.
    private static let mapped = 256 << 10
    private static let hugePage = 2 << 20

    private func allocate(_ capacity: Int) -> UnsafeMutableRawPointer {
        let pointer: UnsafeMutableRawPointer?
        if capacity >= Self.mapped {
            pointer = map(capacity)
        } else {
            var memory: UnsafeMutableRawPointer?
            pointer = posix_memalign(&memory, 64, capacity) == 0 ? memory : nil
        }
        guard let pointer else { fatalError("out of memory: no \(capacity) bytes to be had") }
        return pointer
    }

    /// Fresh pages; those of large pieces start at a huge page and may become such.
    private func map(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let isLarge = byteCount >= 2 * Self.hugePage
        let whole = byteCount + (isLarge ? Self.hugePage : 0)
        guard
            let start = mmap(
                nil, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0),
            start != MAP_FAILED
        else { return nil }
        guard isLarge else { return start }
        let pointer = UnsafeMutableRawPointer(
            bitPattern: (UInt(bitPattern: start) + UInt(Self.hugePage - 1))
                & ~UInt(Self.hugePage - 1))
        guard let pointer else { return nil }
        // What is before and behind is given back; a mapping ends at the end of a page.
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let end = pointer + (byteCount + page - 1) / page * page
        let (head, tail) = (pointer - start, start + whole - end)
        if head > 0 { munmap(start, head) }
        if tail > 0 { munmap(end, tail) }
        #if os(Linux)
            madvise(pointer, byteCount, MADV_HUGEPAGE)
        #endif
        return pointer
    }

    private func release(_ start: UnsafeMutableRawPointer, capacity: Int) {
        if capacity >= Self.mapped { munmap(start, capacity) } else { free(start) }
    }
}

extension ThreadPool {
    /// Processors that this process may use.
    public static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
