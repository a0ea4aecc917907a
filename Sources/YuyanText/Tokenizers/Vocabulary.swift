/// The bytes of every token in one arena, with a hash table from bytes to id.
///
/// There is no `String` and no allocation per token: 150,000 entries are three flat arrays.
struct Vocabulary: Sendable {
    /// Ids fit into 20 bits, which the merge table packs in pairs; the largest known vocabularies
    /// have a quarter of that.
    static let maximumCount = 1 << 20

    /// The bytes of all tokens, by id, and maybe unused room after them.
    private(set) var arena: [UInt8]
    /// Token `i` is `arena[offsets[i]..<offsets[i + 1]]`.
    private(set) var offsets: [UInt32]
    /// The top 11 bits of the hash and 20 of the id; `.max` is free.
    ///
    /// Half the size of a word, so that the index of 150,000 tokens is 1 MiB and near.
    private var slots: [UInt32]
    private var mask: Int

    var count: Int { offsets.count - 1 }

    /// Which tokens their bytes lead to.
    enum Indexing: UInt8 {
        /// Always; a second token with the same bytes is an error.
        case always
        /// Only if no other token has these bytes: added tokens, which are matched elsewhere.
        case ifFree
        /// Never: what no text is encoded to.
        case never
    }

    /// Indexes the tokens of an arena.
    ///
    /// - Parameters:
    ///   - arena: The bytes of all tokens, and maybe unused room.
    ///   - offsets: Where each starts, and the end of the last; never decreasing.
    ///   - indexing: How each token is indexed.
    /// - Throws: The ids of two tokens with equal bytes, both indexed `always`.
    init(arena: [UInt8], offsets: [UInt32], indexing: [Indexing]) throws(Duplicate) {
        self.arena = arena
        self.offsets = offsets
        var capacity = 64
        while capacity < offsets.count + offsets.count / 2 { capacity *= 2 }
        mask = capacity - 1
        slots = [UInt32](repeating: .max, count: capacity)
        var others: [Int] = []
        for id in indexing.indices where indexing[id] == .ifFree && !range(of: id).isEmpty {
            others.append(id)
        }
        if let duplicate = insertAll(indexing) { throw duplicate }
        for id in others { insert(id) }
    }

    /// Indexes all tokens that are indexed `always`.
    ///
    /// Looks at the home slots of a block of tokens before it fills them: a table of this size is
    /// far from the processor, and so many slots arrive in the time of one.
    private mutating func insertAll(_ indexing: [Indexing]) -> Duplicate? {
        let blockSize = 32
        var hashBlock = [UInt64](repeating: 0, count: blockSize)
        var entryBlock = [UInt32](repeating: 0, count: blockSize)
        var hashes = hashBlock.mutableSpan
        var entries = entryBlock.mutableSpan
        let (arena, offsets, mask) = (arena, offsets, mask)
        let (bytes, places) = (arena.span, offsets.span)
        var slots = self.slots.mutableSpan
        func range(_ id: Int) -> Range<Int> {
            Range(uncheckedBounds: (Int(places[id]), Int(places[id &+ 1])))
        }
        for start in stride(from: 0, to: indexing.count, by: blockSize) {
            let count = min(blockSize, indexing.count &- start)
            for index in 0..<count {
                let hash = hashBytes(bytes, range(start &+ index))
                hashes[index] = hash
                entries[index] = slots[Int(truncatingIfNeeded: hash) & mask]
            }
            for index in 0..<count {
                let id = start &+ index
                guard indexing[id] == .always, !range(id).isEmpty else { continue }
                let hash = hashes[index]
                var slot = Int(truncatingIfNeeded: hash) & mask
                var entry = entries[index]
                while true {
                    // A free slot may have been taken by the same block.
                    if entry == .max { entry = slots[slot] }
                    if entry == .max { break }
                    let other = Self.id(in: entry)
                    if Self.matches(entry, hash), equal(bytes, range(id), bytes, range(other)) {
                        return Duplicate(first: other, second: id)
                    }
                    slot = (slot &+ 1) & mask
                    entry = slots[slot]
                }
                slots[slot] = Self.entry(hash, id)
            }
        }
        return nil
    }

    /// Indexes a token, unless another has its bytes.
    private mutating func insert(_ id: Int) {
        let range = self.range(of: id)
        guard self.id(of: arena.span, range) == nil else { return }
        let hash = hashBytes(arena.span, range)
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != .max { slot = (slot &+ 1) & mask }
        slots[slot] = Self.entry(hash, id)
    }

    @inline(__always)
    private static func entry(_ hash: UInt64, _ id: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: hash >> 53) << 20 | UInt32(truncatingIfNeeded: id)
    }

    @inline(__always)
    private static func matches(_ entry: UInt32, _ hash: UInt64) -> Bool {
        entry >> 20 == UInt32(truncatingIfNeeded: hash >> 53)
    }

    @inline(__always)
    private static func id(in entry: UInt32) -> Int { Int(entry & 0xF_FFFF) }

    /// Two ids of equal bytes.
    struct Duplicate: Error {
        let first: Int
        let second: Int
    }

    /// Where the bytes of a token are in `arena`.
    @inline(__always)
    func range(of id: Int) -> Range<Int> {
        Range(uncheckedBounds: (Int(offsets[id]), Int(offsets[id &+ 1])))
    }

    /// Whether a token has these bytes.
    @inline(__always)
    func token(_ id: Int, equals bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        id < count && equal(bytes, range, arena.span, self.range(of: id))
    }

    /// The id of the indexed token with these bytes.
    func id(of bytes: Span<UInt8>, _ range: Range<Int>) -> UInt32? {
        let hash = hashBytes(bytes, range)
        return id(of: bytes, range, hash: hash, entry: homeEntry(of: hash))
    }

    /// The first word of the index to be compared with a hash; for callers that look up many.
    @inline(__always)
    func homeEntry(of hash: UInt64) -> UInt32 { slots[Int(truncatingIfNeeded: hash) & mask] }

    /// The same as `id(of:)`, with the hash of the bytes and its `homeEntry` already at hand.
    @inline(__always)
    func id(
        of bytes: Span<UInt8>, _ range: Range<Int>, hash: UInt64, entry home: UInt32
    ) -> UInt32? {
        var slot = Int(truncatingIfNeeded: hash) & mask
        var entry = home
        while entry != .max {
            if Self.matches(entry, hash) {
                let id = Self.id(in: entry)
                if equal(bytes, range, arena.span, self.range(of: id)) {
                    return UInt32(truncatingIfNeeded: id)
                }
            }
            slot = (slot &+ 1) & mask
            entry = slots[slot]
        }
        return nil
    }
}
