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
    private var ids: [UInt32] = []
    private var ends: [UInt32] = []
    private var indexing: [Vocabulary.Indexing] = []
    private var isOrdered = true
    private var highest = -1

    init(file: String, key: String, capacity: Int) {
        self.file = file
        self.key = key
        arena = [UInt8](repeating: 0, count: 8 * capacity)
        ids.reserveCapacity(capacity)
        ends.reserveCapacity(capacity)
        indexing.reserveCapacity(capacity)
    }

    var nextID: Int { highest + 1 }

    /// Adds an entry written in the byte-level alphabet.
    ///
    /// Text outside the alphabet is kept for decoding, but no text is encoded to it.
    mutating func append(
        _ text: RawSpan, id: Int, indexing kind: Vocabulary.Indexing = .always
    ) throws(TokenizerError) {
        if let end = ByteLevelAlphabet.write(text, to: &arena, at: used) {
            used = end
            try finish(id, kind)
        } else {
            try append(literal: text, id: id, indexing: .never)
        }
    }

    /// Adds an entry that stands for its own bytes.
    mutating func append(
        literal text: RawSpan, id: Int, indexing kind: Vocabulary.Indexing
    ) throws(TokenizerError) {
        let missing = used + text.byteCount - arena.count
        if missing > 0 { arena.append(contentsOf: repeatElement(0, count: missing)) }
        for offset in 0..<text.byteCount { arena[used + offset] = text.byte(at: offset) }
        used += text.byteCount
        try finish(id, kind)
    }

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
        if id != highest + 1 { isOrdered = false }
        highest = max(highest, id)
        ids.append(UInt32(id))
        ends.append(UInt32(used))
        indexing.append(kind)
    }

    /// The finished vocabulary; ids that no entry has are empty tokens.
    func build() throws(TokenizerError) -> Vocabulary {
        var bytes = arena
        var offsets: [UInt32] = [0]
        var kinds = indexing
        if isOrdered {
            bytes.removeLast(bytes.count - used)
            offsets += ends
        } else {
            var entryOfID = [Int32](repeating: -1, count: highest + 1)
            for (entry, id) in ids.enumerated() {
                if entryOfID[Int(id)] >= 0 {
                    throw .malformed(
                        file: file, key: key, found: "two tokens with the id \(id)",
                        expected: "one token per id")
                }
                entryOfID[Int(id)] = Int32(entry)
            }
            bytes.removeAll(keepingCapacity: true)
            kinds.removeAll(keepingCapacity: true)
            for entry in entryOfID.map({ Int($0) }) {
                if entry >= 0 {
                    let start = entry == 0 ? 0 : Int(ends[entry - 1])
                    bytes += arena[start..<Int(ends[entry])]
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
struct MergeBuilder {
    let file: String
    let key: String
    let vocabulary: Vocabulary
    private(set) var table: MergeTable
    private let byteTokens: [UInt32]
    private var bytes: [UInt8] = []
    private var guess = 0

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
        byteTokens = vocabulary.byteTokens
        table = MergeTable(capacity: count)
    }

    /// Adds the rule "left right", two entries in the byte-level alphabet with a space between.
    mutating func append(_ rule: RawSpan) throws(TokenizerError) {
        var space = 0
        while space < rule.byteCount, rule.byte(at: space) != 0x20 { space &+= 1 }
        guard space < rule.byteCount else {
            throw malformed("'\(rule.repairedText)'", "two tokens with a space between")
        }
        try append(rule.extracting(0..<space), rule.extracting(space + 1..<rule.byteCount))
    }

    /// Adds the rule that joins two entries.
    mutating func append(_ left: RawSpan, _ right: RawSpan) throws(TokenizerError) {
        guard left.byteCount > 0, right.byteCount > 0 else {
            throw malformed("a rule with an empty side", "two tokens")
        }
        let middle = try write(left, at: 0)
        let end = try write(right, at: middle)
        let leftID = try id(of: 0..<middle)
        let rightID = try id(of: middle..<end)
        // Vocabularies list what merges make in the order of the rules, so the next id is a good
        // guess.
        var result = UInt32(guess)
        if !vocabulary.token(guess, equals: bytes.span, 0..<end) { result = try id(of: 0..<end) }
        guess = Int(result) + 1
        table.append(left: leftID, right: rightID, result: result)
    }

    private mutating func write(_ text: RawSpan, at start: Int) throws(TokenizerError) -> Int {
        guard let end = ByteLevelAlphabet.write(text, to: &bytes, at: start) else {
            throw .unknownMergeToken(
                file: file, merge: table.results.count, token: text.repairedText)
        }
        return end
    }

    private func id(of range: Range<Int>) throws(TokenizerError) -> UInt32 {
        if range.count == 1, byteTokens[Int(bytes[range.lowerBound])] != BytePairModel.missing {
            return byteTokens[Int(bytes[range.lowerBound])]
        }
        guard let id = vocabulary.id(of: bytes.span, range) else {
            throw .unknownMergeToken(
                file: file, merge: table.results.count,
                token: String(decoding: bytes[range], as: UTF8.self))
        }
        return id
    }

    private func malformed(_ found: String, _ expected: String) -> TokenizerError {
        .malformed(
            file: file, key: "\(key)[\(table.results.count)]", found: found, expected: expected)
    }
}
