/// A byte-level BPE model: tokens, merge rules, and what bytes outside the vocabulary become.
///
/// Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", arXiv:1508.07909,
/// over bytes as in GPT-2. The rule of lowest rank is applied first, the leftmost on a tie.
struct BytePairModel: Sendable {
    let vocabulary: Vocabulary
    let merges: MergeTable
    /// The token of each single byte, or `missing`.
    let byteTokens: [UInt32]
    /// Whether a word that is a token is taken whole, whatever the rules would make of it.
    let ignoresMerges: Bool
    /// What a byte without a token becomes; by default it is dropped, as in HF.
    let unknown: UInt32?
    /// Whether neighbouring unknown bytes become one token.
    let fusesUnknown: Bool

    static let missing = UInt32.max

    init(
        vocabulary: Vocabulary, merges: MergeTable, ignoresMerges: Bool, unknown: UInt32?,
        fusesUnknown: Bool
    ) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.ignoresMerges = ignoresMerges
        self.unknown = unknown
        self.fusesUnknown = fusesUnknown
        byteTokens = vocabulary.byteTokens
    }
}

extension Vocabulary {
    /// The indexed token of each single byte, or `BytePairModel.missing`.
    var byteTokens: [UInt32] {
        let alphabet = (0...255).map { UInt8($0) }
        return (0...255).map {
            id(of: alphabet.span, $0..<$0 + 1) ?? BytePairModel.missing
        }
    }
}

/// Working memory of one encoding: the cache of words and the arrays that merging happens in.
///
/// Kept between calls by `EncoderPool`, so that a short prompt neither allocates nor starts cold.
struct BytePairEncoder: Sendable {
    private var cache = WordCache()
    private var tokens: [UInt32] = []
    private var ranks: [UInt32] = []
    private var next: [Int32] = []
    private var previous: [Int32] = []
    private var heap = RankHeap()

    /// Words up to this length are merged by scanning for the lowest rank, longer ones with a heap.
    private static let scanLimit = 160

    /// Appends the tokens of one word.
    @inline(__always)
    mutating func encode(
        _ text: Span<UInt8>, _ range: Range<Int>, with model: BytePairModel,
        into ids: inout [Int32]
    ) {
        if range.count > WordCache.maximumWordLength {
            encodeUncached(text, range, with: model, into: &ids)
            return
        }
        let key = WordCache.Key(text, range)
        if cache.append(key, to: &ids) { return }
        let start = ids.count
        encodeUncached(text, range, with: model, into: &ids)
        cache.insert(key, ids, from: start)
    }

    @inline(never)
    private mutating func encodeUncached(
        _ text: Span<UInt8>, _ range: Range<Int>, with model: BytePairModel,
        into ids: inout [Int32]
    ) {
        if model.ignoresMerges, let whole = model.vocabulary.id(of: text, range) {
            ids.append(Int32(truncatingIfNeeded: whole))
            return
        }
        start(text, range, with: model)
        if tokens.count <= Self.scanLimit {
            mergeByScanning(with: model.merges)
        } else {
            mergeByHeap(with: model.merges)
        }
        for token in tokens { ids.append(Int32(truncatingIfNeeded: token)) }
    }

    /// Sets `tokens` to the bytes of a word and `ranks` to those of neighbours.
    private mutating func start(
        _ text: Span<UInt8>, _ range: Range<Int>, with model: BytePairModel
    ) {
        tokens.removeAll(keepingCapacity: true)
        ranks.removeAll(keepingCapacity: true)
        var isComplete = true
        for index in range {
            let token = model.byteTokens[Int(text[index])]
            if token == BytePairModel.missing {
                isComplete = false
                break
            }
            tokens.append(token)
        }
        guard isComplete else {
            startIncomplete(text, range, with: model)
            return
        }
        var first = Int(text[range.lowerBound])
        for index in range.dropFirst() {
            let second = Int(text[index])
            ranks.append(model.merges.bytePairRanks[first << 8 | second])
            first = second
        }
        ranks.append(MergeTable.none)
    }

    private mutating func startIncomplete(
        _ text: Span<UInt8>, _ range: Range<Int>, with model: BytePairModel
    ) {
        tokens.removeAll(keepingCapacity: true)
        var followsUnknown = false
        for index in range {
            let token = model.byteTokens[Int(text[index])]
            if token != BytePairModel.missing {
                tokens.append(token)
                followsUnknown = false
            } else if let unknown = model.unknown {
                if !(followsUnknown && model.fusesUnknown) { tokens.append(unknown) }
                followsUnknown = true
            }
        }
        for index in tokens.indices.dropLast() {
            ranks.append(model.merges.rank(tokens[index], tokens[index + 1]))
        }
        if !tokens.isEmpty { ranks.append(MergeTable.none) }
    }

    /// Quadratic in the length of the word, with a very small constant.
    private mutating func mergeByScanning(with merges: MergeTable) {
        var count = tokens.count
        while count > 1 {
            var best = 0
            var lowest = ranks[0]
            for index in 1..<count where ranks[index] < lowest {
                lowest = ranks[index]
                best = index
            }
            if lowest == MergeTable.none { break }
            tokens[best] = merges.results[Int(lowest)]
            count &-= 1
            var index = best &+ 1
            while index < count {
                tokens[index] = tokens[index &+ 1]
                ranks[index] = ranks[index &+ 1]
                index &+= 1
            }
            ranks[best] =
                best &+ 1 < count ? merges.rank(tokens[best], tokens[best &+ 1]) : MergeTable.none
            if best > 0 {
                ranks[best &- 1] = merges.rank(tokens[best &- 1], tokens[best])
            }
        }
        tokens.removeLast(tokens.count - count)
    }

    /// O(n log n): a linked list of tokens, and a heap of ranks whose stale entries are skipped.
    private mutating func mergeByHeap(with merges: MergeTable) {
        let count = tokens.count
        precondition(count <= Int(Int32.max), "a word of \(count) bytes; split the text first")
        next = (0..<Int32(count)).map { $0 + 1 }
        previous = (0..<Int32(count)).map { $0 - 1 }
        heap.fill(from: ranks)
        while let (rank, position) = heap.popLowest() {
            guard ranks[position] == rank else { continue }
            let right = Int(next[position])
            let after = Int(next[right])
            tokens[position] = merges.results[Int(rank)]
            ranks[right] = MergeTable.none
            next[position] = Int32(after)
            var updated = MergeTable.none
            if after < count {
                previous[after] = Int32(position)
                updated = merges.rank(tokens[position], tokens[after])
            }
            ranks[position] = updated
            heap.push(updated, position)
            let before = Int(previous[position])
            if before >= 0 {
                let updated = merges.rank(tokens[before], tokens[position])
                ranks[before] = updated
                heap.push(updated, before)
            }
        }
        var written = 0
        var position = 0
        while position < count {
            tokens[written] = tokens[position]
            written += 1
            position = Int(next[position])
        }
        tokens.removeLast(count - written)
        // One enormous word must not hold memory for ever.
        if count > 1 << 16 {
            next = []
            previous = []
            heap = RankHeap()
        }
    }
}
