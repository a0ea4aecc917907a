/// Forbids every token that would complete a sequence of n tokens for the second time.
///
/// Paulus, Xiong and Socher, "A deep reinforced model for abstractive summarization",
/// arXiv:1705.04304; prompt and answer count, as in transformers.
///
/// - Complexity: accepting is O(n); listing is O(n) for each earlier occurrence of the context.
struct NgramBan: Sendable {
    private let contextCount: Int
    /// The last position that follows a context with this hash.
    private var latest: [UInt64: Int] = [:]
    /// For each position, the previous one whose context has the same hash, or -1.
    private var earlier: [Int] = []

    /// `nil` if the ban is off.
    init?(_ parameters: SamplingParameters) {
        guard parameters.noRepeatNgramSize > 0 else { return nil }
        contextCount = parameters.noRepeatNgramSize - 1
    }

    /// Files the last token of `history` under the tokens before it.
    mutating func accept(_ history: [Int32]) {
        let position = history.count - 1
        guard position >= contextCount else {
            earlier.append(-1)
            return
        }
        let hash = hash(history, before: position)
        earlier.append(latest.updateValue(position, forKey: hash) ?? -1)
    }

    /// Calls `ban` with each token that has followed the present context; tokens may repeat.
    func forEachBanned(_ history: [Int32], _ ban: (Int32) -> Void) {
        let end = history.count
        guard end >= contextCount else { return }
        var position = latest[hash(history, before: end)] ?? -1
        while position >= 0 {
            let matches = (1...max(contextCount, 1)).allSatisfy {
                contextCount == 0 || history[position - $0] == history[end - $0]
            }
            if matches { ban(history[position]) }
            position = earlier[position]
        }
    }

    /// Two contexts with one hash are told apart by comparison, so any mixing will do.
    private func hash(_ history: [Int32], before end: Int) -> UInt64 {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        for index in (end - contextCount)..<end {
            hash = (hash ^ UInt64(UInt32(bitPattern: history[index]))) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash >> 32
        }
        return hash
    }
}
