/// The kinds of tokenizer model; each is a file of its own next to `BytePairModel`.
///
/// SentencePiece BPE and Unigram ("llama", "t5"; `Unigram`) and WordPiece ("bert") belong here when they
/// are written. Until then loading them is an error that names what is known.
enum TokenizerModelKind: String, CaseIterable {
    case bytePair = "BPE"

    /// The name in `tokenizer.ggml.model`.
    var ggmlName: String {
        switch self {
        case .bytePair: "gpt2"
        }
    }
}

/// What a tokenizer file says, whatever its format.
struct TokenizerDefinition: Sendable {
    var model: BytePairModel
    var addedTokens: [AddedToken] = []
    var preTokenizer: PreTokenizer
    var normalizes = false
    /// Tokens that go before and after every text.
    var prefix: [Int32] = []
    var suffix: [Int32] = []
    var settings = TokenizerSettings()
}

/// What files beside the model add: the roles of tokens and the chat templates.
struct TokenizerSettings: Sendable {
    var beginning: Int32?
    var end: Int32?
    var padding: Int32?
    /// Tokens that end a generation in addition to `end`.
    var otherEnds: [Int32] = []
    /// Whether the file asks for or against these, if it says.
    var addsBeginning: Bool?
    var addsEnd: Bool?
    var chatTemplate: String?
    var namedChatTemplates: [String: String] = [:]
}

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

/// Resolves the texts of merge rules to ids.
///
/// A rule's text is looked up once, as a whole; its sides are then parts of that token's bytes, and
/// are looked up for all rules together by `build`.
struct MergeBuilder {
    let file: String
    let key: String
    let vocabulary: Vocabulary
    /// What each rule makes.
    private var results: [UInt32] = []
    /// The length of each rule's left side.
    private var splits: [UInt32] = []
    private var bytes: [UInt8] = []
    private var guess = 0

    /// Rules so far.
    var count: Int { results.count }

    init(
        file: String, key: String, vocabulary: Vocabulary, count: Int
    ) throws(TokenizerError) {
        guard count <= MergeTable.maximumCount else {
            throw .tooLarge(
                file: file, key: key, found: count, limit: MergeTable.maximumCount)
        }
        self.file = file
        self.key = key
        self.vocabulary = vocabulary
        results.reserveCapacity(count)
        splits.reserveCapacity(count)
    }

    /// Adds the rule "left right", two entries in the byte-level alphabet with a space between.
    @inline(__always)
    mutating func append(_ text: RawSpan, _ rule: Range<Int>) throws(TokenizerError) {
        var space = rule.lowerBound
        while space < rule.upperBound, text.byte(at: space) != 0x20 { space &+= 1 }
        guard space < rule.upperBound else {
            throw malformed("'\(text.repairedText(in: rule))'", "two tokens with a space between")
        }
        try append(text, rule.lowerBound..<space, space + 1..<rule.upperBound)
    }

    /// Adds the rule that joins two entries.
    @inline(__always)
    mutating func append(
        _ text: RawSpan, _ left: Range<Int>, _ right: Range<Int>
    ) throws(TokenizerError) {
        guard !left.isEmpty, !right.isEmpty else {
            throw malformed("a rule with an empty side", "two tokens")
        }
        guard let middle = ByteLevelAlphabet.write(text, left, to: &bytes, at: 0) else {
            throw unknown(results.count, text.repairedText(in: left))
        }
        guard let end = ByteLevelAlphabet.write(text, right, to: &bytes, at: middle) else {
            throw unknown(results.count, text.repairedText(in: right))
        }
        // Vocabularies list what merges make in the order of the rules, so the next id is a good
        // guess.
        var result = UInt32(truncatingIfNeeded: guess)
        if !vocabulary.token(guess, equals: bytes.span, 0..<end) {
            result = try id(ofRule: 0..<middle, middle..<end)
        }
        guess = Int(result) &+ 1
        results.append(result)
        splits.append(UInt32(truncatingIfNeeded: middle))
    }

    /// The finished table.
    ///
    /// Looks at a block of places in the index at once, as `Vocabulary` does when it makes it.
    func build() throws(TokenizerError) -> MergeTable {
        let blockSize = MergeTable.blockSize
        var table = MergeTable(results: results)
        var pairBlock = [UInt64](repeating: 0, count: blockSize)
        var pairs = pairBlock.mutableSpan
        var hashBlock = [UInt64](repeating: 0, count: 2 * blockSize)
        var entryBlock = hashBlock
        var hashes = hashBlock.mutableSpan
        var entries = entryBlock.mutableSpan
        let arena = vocabulary.arena.span
        for start in stride(from: 0, to: results.count, by: blockSize) {
            let count = min(blockSize, results.count &- start)
            for index in 0..<count {
                let (left, right) = sides(of: start &+ index)
                let (leftHash, rightHash) = (hashBytes(arena, left), hashBytes(arena, right))
                hashes[2 &* index] = leftHash
                hashes[2 &* index &+ 1] = rightHash
                entries[2 &* index] = vocabulary.homeEntry(of: leftHash)
                entries[2 &* index &+ 1] = vocabulary.homeEntry(of: rightHash)
            }
            for index in 0..<count {
                let (left, right) = sides(of: start &+ index)
                guard
                    let leftID = vocabulary.id(
                        of: arena, left, hash: hashes[2 &* index], entry: entries[2 &* index])
                else { throw unknown(start + index, text(left, in: vocabulary.arena)) }
                guard
                    let rightID = vocabulary.id(
                        of: arena, right, hash: hashes[2 &* index &+ 1],
                        entry: entries[2 &* index &+ 1])
                else { throw unknown(start + index, text(right, in: vocabulary.arena)) }
                pairs[index] = MergeTable.pair(leftID, rightID)
            }
            table.append(pairs.span.extracting(0..<count), rank: start)
        }
        return table
    }

    /// Where in the vocabulary's bytes the two sides of a rule are.
    @inline(__always)
    private func sides(of rule: Int) -> (Range<Int>, Range<Int>) {
        let whole = vocabulary.range(of: Int(results[rule]))
        let middle = whole.lowerBound &+ Int(splits[rule])
        return (
            Range(uncheckedBounds: (whole.lowerBound, middle)),
            Range(uncheckedBounds: (middle, whole.upperBound))
        )
    }

    private func id(
        ofRule left: Range<Int>, _ right: Range<Int>
    ) throws(TokenizerError) -> UInt32 {
        let whole = left.lowerBound..<right.upperBound
        if let id = vocabulary.id(of: bytes.span, whole) { return id }
        // Name the side that is missing rather than the whole, if one is.
        let missing =
            [left, right].first { vocabulary.id(of: bytes.span, $0) == nil } ?? whole
        throw unknown(results.count, text(missing, in: bytes))
    }

    private func text(_ range: Range<Int>, in bytes: [UInt8]) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }

    private func unknown(_ rule: Int, _ token: String) -> TokenizerError {
        .unknownMergeToken(file: file, merge: rule, token: token)
    }

    private func malformed(_ found: String, _ expected: String) -> TokenizerError {
        .malformed(
            file: file, key: "\(key)[\(results.count)]", found: found, expected: expected)
    }
}
