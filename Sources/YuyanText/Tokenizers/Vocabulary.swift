/// The bytes of every token in one arena, with a hash table from bytes to id.
///
/// There is no `String` and no allocation per token: 150,000 entries are three flat arrays.
struct Vocabulary: Sendable {
    /// Ids fit into 20 bits, which the merge table packs in pairs; the largest known vocabularies
    /// have a quarter of that.
    static let maximumCount = 1 << 20

    /// The bytes of all tokens, by id.
    private(set) var arena: [UInt8]
    /// Token `i` is `arena[offsets[i]..<offsets[i + 1]]`.
    private(set) var offsets: [UInt32]
    /// Upper half of the hash and id; `.max` is free.
    private var slots: [UInt64]
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
    ///   - arena: The bytes of all tokens.
    ///   - offsets: Where each starts, and the end of the last; never decreasing.
    ///   - indexing: How each token is indexed.
    /// - Throws: The ids of two tokens with equal bytes, both indexed `always`.
    init(arena: [UInt8], offsets: [UInt32], indexing: [Indexing]) throws(Duplicate) {
        self.arena = arena
        self.offsets = offsets
        var capacity = 64
        while capacity < offsets.count + offsets.count / 2 { capacity *= 2 }
        mask = capacity - 1
        slots = [UInt64](repeating: .max, count: capacity)
        var others: [Int] = []
        for (id, kind) in indexing.enumerated() where !range(of: id).isEmpty {
            switch kind {
            case .always: if let first = insert(id) { throw Duplicate(first: first, second: id) }
            case .ifFree: others.append(id)
            case .never: break
            }
        }
        for id in others { _ = insert(id) }
    }

    /// Indexes a token, or returns the one that has its bytes already.
    private mutating func insert(_ id: Int) -> Int? {
        let range = self.range(of: id)
        let hash = hashBytes(arena.span, range)
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != .max {
            if slots[slot] >> 32 == hash >> 32 {
                let other = Int(slots[slot] & 0xFFFF_FFFF)
                if equal(arena.span, range, arena.span, self.range(of: other)) { return other }
            }
            slot = (slot &+ 1) & mask
        }
        slots[slot] = hash & 0xFFFF_FFFF_0000_0000 | UInt64(id)
        return nil
    }

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
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != .max {
            if slots[slot] >> 32 == hash >> 32 {
                let id = UInt32(truncatingIfNeeded: slots[slot])
                if equal(bytes, range, arena.span, self.range(of: Int(id))) { return id }
            }
            slot = (slot &+ 1) & mask
        }
        return nil
    }
}

/// Mixes bytes, eight at a time, into 64 bits.
@inline(__always)
func hashBytes(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
    let raw = bytes.bytes
    var hash = UInt64(truncatingIfNeeded: range.count) &* 0x9E37_79B9_7F4A_7C15
    var index = range.lowerBound
    while index &+ 8 <= range.upperBound {
        hash = mix(hash ^ raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
        index &+= 8
    }
    var rest: UInt64 = 0
    while index < range.upperBound {
        rest = rest << 8 | UInt64(bytes[index])
        index &+= 1
    }
    return mix(hash ^ rest)
}

/// Multiplies to 128 bits and folds the halves.
@inline(__always)
func mix(_ value: UInt64) -> UInt64 {
    let (high, low) = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
    return high ^ low
}

/// Whether two slices hold the same bytes.
@inline(__always)
func equal(_ a: Span<UInt8>, _ ra: Range<Int>, _ b: Span<UInt8>, _ rb: Range<Int>) -> Bool {
    guard ra.count == rb.count else { return false }
    for offset in 0..<ra.count
    where a[ra.lowerBound &+ offset] != b[rb.lowerBound &+ offset] {
        return false
    }
    return true
}
