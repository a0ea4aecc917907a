/// Collects the entries of a vocabulary, in any order of ids, without a `String` for any of them.
struct VocabularyBuilder {
    let file: String
    let key: String
    /// Longer than what is `used` of it.
    private var arena: [UInt8]
    private var used = 0
    /// Where in `arena` each entry starts, and where the last one ends.
    private var offsets: [UInt32] = [0]
    private var indexing: [Vocabulary.Indexing] = []
    /// The id of each entry, once that is not its position.
    private var ids: [UInt32] = []
    private var isOrdered = true
    private var highest = -1

    init(file: String, key: String, capacity: Int) {
        self.file = file
        self.key = key
        arena = [UInt8](repeating: 0, count: 8 * capacity + 64)
        offsets.reserveCapacity(capacity + 1)
        indexing.reserveCapacity(capacity)
    }

    var nextID: Int { highest + 1 }

    /// Adds an entry written in the byte-level alphabet.
    ///
    /// Text outside the alphabet is kept for decoding, but no text is encoded to it.
    @inline(__always)
    mutating func append(
        _ text: RawSpan, _ range: Range<Int>, id: Int, indexing kind: Vocabulary.Indexing = .always
    ) throws(TokenizerError) {
        if let end = ByteLevelAlphabet.write(text, range, to: &arena, at: used) {
            used = end
            try finish(id, kind)
        } else {
            try append(literal: text, range, id: id, indexing: .never)
        }
    }

    /// Adds an entry that stands for its own bytes.
    mutating func append(
        literal text: RawSpan, _ range: Range<Int>, id: Int, indexing kind: Vocabulary.Indexing
    ) throws(TokenizerError) {
        let missing = used + range.count - arena.count
        if missing > 0 { arena.append(contentsOf: repeatElement(0, count: missing)) }
        for (index, offset) in range.enumerated() { arena[used + index] = text.byte(at: offset) }
        used += range.count
        try finish(id, kind)
    }

    @inline(__always)
    private mutating func finish(
        _ id: Int, _ kind: Vocabulary.Indexing
    ) throws(TokenizerError) {
        guard id >= 0 else {
            throw .malformed(
                file: file, key: key, found: "the id \(id)", expected: "ids from 0 up")
        }
        guard id < Vocabulary.maximumCount, used <= Int(UInt32.max) else {
            throw .tooLarge(file: file, key: key, found: id, limit: Vocabulary.maximumCount - 1)
        }
        if isOrdered, id != indexing.count {
            isOrdered = false
            ids = (0..<UInt32(indexing.count)).map { $0 }
        }
        if !isOrdered { ids.append(UInt32(id)) }
        highest = max(highest, id)
        offsets.append(UInt32(used))
        indexing.append(kind)
    }

    /// The finished vocabulary; ids that no entry has are empty tokens.
    func build() throws(TokenizerError) -> Vocabulary {
        var (bytes, offsets, kinds) = (arena, offsets, indexing)
        if !isOrdered {
            var entryOfID = [Int32](repeating: -1, count: highest + 1)
            for (entry, id) in ids.enumerated() {
                if entryOfID[Int(id)] >= 0 {
                    throw .malformed(
                        file: file, key: key, found: "two tokens with the id \(id)",
                        expected: "one token per id")
                }
                entryOfID[Int(id)] = Int32(entry)
            }
            bytes = []
            offsets = [0]
            kinds = []
            for entry in entryOfID.map({ Int($0) }) {
                if entry >= 0 {
                    bytes += arena[Int(self.offsets[entry])..<Int(self.offsets[entry + 1])]
                }
                kinds.append(entry >= 0 ? indexing[entry] : .never)
                offsets.append(UInt32(bytes.count))
            }
        }
        do throws(Vocabulary.Duplicate) {
            return try Vocabulary(arena: bytes, offsets: offsets, indexing: kinds)
        } catch {
            let range = Int(offsets[error.second])..<Int(offsets[error.second + 1])
            throw .duplicateToken(
                file: file, token: String(decoding: bytes[range], as: UTF8.self),
                first: error.first, second: error.second)
        }
    }
}
