/// Parameters of the DRY ("don't repeat yourself") penalty on continuing a repeated passage.
public struct DRYParameters: Codable, Hashable, Sendable {
    /// Size of the penalty; 0, the default, turns it off. 0...100.
    public var multiplier: Float = 0
    /// Growth of the penalty with each further token of the repeat. 1...100, default 1.75.
    public var base: Float = 1.75
    /// The longest repeat that is free. 1 or more, default 2.
    public var allowedLength = 2
    /// Token sequences that a repeat never crosses, such as a line break. Default none.
    ///
    /// The engine knows no text: callers tokenize their breakers. None is empty.
    public var sequenceBreakers: [[Int32]] = []
    /// How many of the last tokens are searched; `nil`, the default, is all. 1 or more.
    public var penaltyLastN: Int?

    /// Makes parameters with the penalty turned off.
    public init() {}

    func validate(vocabularySize: Int?) throws(SamplingError) {
        try check("dry.multiplier", multiplier, within: 0...100)
        try check("dry.base", base, within: 1...100)
        try check("dry.allowedLength", allowedLength, atLeast: 1)
        for (index, breaker) in sequenceBreakers.enumerated() {
            guard !breaker.isEmpty else {
                throw .parameter(
                    name: "dry.sequenceBreakers[\(index)]", value: "[]", expected: "token ids")
            }
            for token in breaker {
                try check(
                    token: token, in: "dry.sequenceBreakers[\(index)]",
                    vocabularySize: vocabularySize)
            }
        }
        if let penaltyLastN { try check("dry.penaltyLastN", penaltyLastN, atLeast: 1) }
    }

    private enum CodingKeys: CodingKey {
        case multiplier, base, allowedLength, sequenceBreakers, penaltyLastN
    }

    /// Reads parameters; a missing field keeps its default.
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        multiplier = try fields.decodeIfPresent(Float.self, forKey: .multiplier) ?? multiplier
        base = try fields.decodeIfPresent(Float.self, forKey: .base) ?? base
        allowedLength =
            try fields.decodeIfPresent(Int.self, forKey: .allowedLength) ?? allowedLength
        sequenceBreakers =
            try fields.decodeIfPresent([[Int32]].self, forKey: .sequenceBreakers) ?? []
        penaltyLastN = try fields.decodeIfPresent(Int.self, forKey: .penaltyLastN)
    }
}

/// The DRY penalty, with the repeats that are still running kept from token to token.
///
/// If the last n tokens stood earlier in the text, the token that followed them there loses
/// `multiplier * base^(n - allowedLength)`, for n of at least `allowedLength`; of several repeats
/// the longest counts. By p-e-w (text-generation-webui, pull request 5677), with the breakers of
/// llama.cpp: a repeat never reaches back over the last breaker, and a token that is a breaker by
/// itself is never penalised.
///
/// - Complexity: O(occurrences of the newest token) for each token.
struct DRY: Sendable {
    /// An earlier place whose last `length` tokens are also the last of the text.
    private struct Repeat {
        var end: Int
        var length: Int
    }

    private let parameters: DRYParameters
    private let breakerTokens: Set<Int32>
    /// Breakers by their last token.
    private let breakers: [Int32: [[Int32]]]
    private var latest: [Int32: Int] = [:]
    /// For each position, the previous one with the same token, or -1.
    private var earlier: [Int] = []
    /// The running repeats, latest end first.
    private var repeats: [Repeat] = []
    /// Where the last breaker starts, and how many tokens it has.
    private var breaker = (start: -1, count: 0)

    /// `nil` if the penalty is off.
    init?(_ parameters: DRYParameters) {
        guard parameters.multiplier > 0 else { return nil }
        self.parameters = parameters
        breakerTokens = Set(parameters.sequenceBreakers.filter { $0.count == 1 }.map { $0[0] })
        breakers = Dictionary(grouping: parameters.sequenceBreakers) { $0[$0.count - 1] }
    }

    /// Follows the last token of `history`.
    mutating func accept(_ history: [Int32]) {
        let position = history.count - 1
        let token = history[position]
        let previous = latest.updateValue(position, forKey: token) ?? -1
        earlier.append(previous)
        var extended: [Repeat] = []
        var old = 0
        var end = previous
        while end >= 0 {
            // Both lists descend, so one walk finds the repeat that ended one token before.
            while old < repeats.count, repeats[old].end > end - 1 { old += 1 }
            let runs = old < repeats.count && repeats[old].end == end - 1
            extended.append(Repeat(end: end, length: runs ? repeats[old].length + 1 : 1))
            end = earlier[end]
        }
        repeats = extended
        for sequence in breakers[token] ?? [] {
            let start = history.count - sequence.count
            let isNewer = (start, sequence.count) > breaker
            if start >= 0, isNewer, history[start...].elementsEqual(sequence) {
                breaker = (start, sequence.count)
            }
        }
    }

    func apply(to logits: inout MutableSpan<Float>, _ history: [Int32]) {
        let start = max(0, history.count - min(parameters.penaltyLastN ?? .max, history.count))
        var limit = history.count - start
        if breaker.start >= start { limit = history.count - breaker.start - breaker.count }
        guard limit >= parameters.allowedLength else { return }
        var longest: [Int32: Int] = [:]
        for found in repeats {
            let length = min(found.length, found.end - start + 1, limit)
            if length < parameters.allowedLength { continue }
            let follower = history[found.end + 1]
            if !breakerTokens.contains(follower) {
                longest[follower] = max(longest[follower] ?? 0, length)
            }
        }
        for (token, length) in longest {
            logits[Int(token)] -= penalty(length - parameters.allowedLength)
        }
    }

    /// `multiplier * base^exponent` by squaring, at most the largest finite number.
    private func penalty(_ exponent: Int) -> Float {
        var (result, square, rest) = (
            Double(parameters.multiplier), Double(parameters.base), exponent
        )
        while rest > 0 {
            if rest & 1 == 1 { result *= square }
            square *= square
            rest >>= 1
        }
        return Float(min(result, Double(Float.greatestFiniteMagnitude)))
    }
}
