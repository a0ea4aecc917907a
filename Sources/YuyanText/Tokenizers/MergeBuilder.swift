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
        var entryBlock = [UInt32](repeating: 0, count: 2 * blockSize)
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
                if left.count == 1, right.count == 1 {
                    let pair = Int(arena[left.lowerBound]) << 8 | Int(arena[right.lowerBound])
                    table.bytePairRanks[pair] = UInt32(start &+ index)
                }
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
