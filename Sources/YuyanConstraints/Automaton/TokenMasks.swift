/// The tokens that may follow the configurations of one automaton, found once each.
///
/// A mask comes from a walk of the token tree against the automaton, as in Willard and Louf,
/// "Efficient Guided Generation for Large Language Models", arXiv:2307.09702, but lazily. What a
/// token may do inside a rule does not depend on the stack and is found once per place in the rule;
/// only tokens that run over the rule's end are checked for each stack: the context-independent
/// tokens of Dong et al., "XGrammar", arXiv:2411.15100, found at run time instead of beforehand.
struct TokenMasks {
    private let vocabulary: ConstraintVocabulary
    private let limits: ConstraintLimits
    var configurations: Configurations
    private var masks: [Int32: Mask] = [:]
    private var locals: [Int32: LocalMask] = [:]
    /// Tokens to the nearest end of the text.
    private var tokenDistances: [Int32: Int] = [:]

    private struct Mask {
        var words: [UInt64]
        /// No allowed token leads further from the end than this, in bytes.
        var farthest: Int
        /// The same in tokens, exactly, once it was asked for.
        var farthestTokens: Int?
    }

    /// What tokens may do before the rule on top of the stack ends.
    private struct LocalMask {
        var words: [UInt64]
        var farthest = 0
        /// Nodes of the tree at which the rule may have ended.
        var leaving: [Int32] = []
        /// Whether only unusual tokens were walked.
        var isUnusual = false
    }

    /// Beyond this the distance in bytes stands for that in tokens.
    private static let exactDistance = 4096
    /// Words of a configuration, on average, before the caches count as full.
    private static let wordsEach = 200
    /// How far `probe` looks.
    private static let probedBytes = 96
    /// Parts beyond which all are walked at once.
    private static let mostParts = 16

    /// - Throws: `.tooLarge` if the beginning alone takes more work than `budget`.
    init(
        _ automaton: Automaton, _ vocabulary: ConstraintVocabulary, _ limits: ConstraintLimits,
        budget: Int
    ) throws(ConstraintError) {
        self.vocabulary = vocabulary
        self.limits = limits
        configurations = try Configurations(
            automaton, threadLimit: limits.threads, budget: budget)
    }

    /// Whether the caches have reached their limit.
    var isFull: Bool {
        configurations.count > limits.configurations
            || configurations.words > Self.wordsEach * limits.configurations
    }

    mutating func adopt(_ configuration: Int32, of other: borrowing TokenMasks) -> Int32 {
        configurations.adopt(configuration, of: other.configurations)
    }

    /// The configuration after a token; `dead` if the token is not allowed.
    mutating func next(
        _ configuration: Int32, token: Int32
    ) throws(ConstraintError) -> Int32 {
        guard vocabulary.texts.indices.contains(Int(token)),
            let text = vocabulary.texts[Int(token)], !text.isEmpty
        else { return Configurations.dead }
        var configuration = configuration
        for byte in text where configuration != Configurations.dead {
            configuration = try configurations.next(configuration, byte)
        }
        return configuration
    }

    /// The tokens that may follow when `tokensLeft` may be written, the next one included.
    mutating func allowed(
        _ configuration: Int32, tokensLeft: Int
    ) throws(ConstraintError) -> [UInt64] {
        let left = max(0, tokensLeft - 1)
        var mask = try mask(configuration)
        if mask.farthest <= left { return mask.words }
        if mask.farthestTokens == nil {
            mask.farthestTokens = try farthestTokens(configuration)
            masks[configuration] = mask
        }
        if let farthest = mask.farthestTokens, farthest <= left { return mask.words }
        // If the end is out of reach anyway, the shortest way is all that is left.
        let limit = max(left, try tokenDistance(configuration) - 1)
        return try within(configuration, limit)
    }

    // MARK: Masks

    private mutating func mask(_ configuration: Int32) throws(ConstraintError) -> Mask {
        if let mask = masks[configuration] { return mask }
        var words = [UInt64](repeating: 0, count: vocabulary.wordCount)
        var farthest = 0
        if try !collectParts(of: configuration, &words, &farthest) {
            let trie = vocabulary.all
            try walk(trie, below: 0, from: configuration) { node, end, configurations in
                guard trie.hasToken(node) else { return }
                farthest = max(farthest, configurations.distances[Int(end)])
                Self.insert(trie, node, into: &words)
            }
        }
        if configurations.accepts(configuration) {
            for token in vocabulary.endTokens { words[Int(token) / 64] |= 1 << UInt64(token % 64) }
        }
        let mask = Mask(words: words, farthest: farthest)
        if (masks.count + locals.count + 1) * words.count * 8 > limits.maskBytes {
            masks = [:]
            locals = [:]
        }
        masks[configuration] = mask
        return mask
    }

    /// Adds what each part of a configuration allows; false if one walk of the whole is cheaper.
    ///
    /// With many parts, or rules that may end anywhere, the same nodes would be walked again and
    /// again.
    private mutating func collectParts(
        of configuration: Int32, _ words: inout [UInt64], _ farthest: inout Int
    ) throws(ConstraintError) -> Bool {
        let parts = try configurations.parts(of: configuration)
        guard parts.count <= Self.mostParts else { return false }
        var nodes = 0
        for part in parts {
            let local = try local(part.local)
            for index in words.indices { words[index] |= local.words[index] }
            farthest = max(farthest, local.farthest + part.distance)
            guard !configurations.isExhausted(part.above) else { continue }
            let trie = local.isUnusual ? vocabulary.unusual : vocabulary.all
            for node in local.leaving {
                nodes += Int(trie.ends[Int(node)] - node)
                guard nodes <= vocabulary.all.bytes.count else { return false }
                try walk(trie, below: Int(node), from: part.above) { node, end, configurations in
                    farthest = max(farthest, configurations.distances[Int(end)])
                    Self.insert(trie, node, into: &words)
                }
            }
        }
        return true
    }

    private mutating func local(_ configuration: Int32) throws(ConstraintError) -> LocalMask {
        if let local = locals[configuration] { return local }
        var local = LocalMask(words: [])
        if let farthest = try plainRun(configuration) {
            local.words = vocabulary.plain[vocabulary.plain.count - 1]
            local.farthest = farthest
            local.isUnusual = true
        } else {
            local.words = [UInt64](repeating: 0, count: vocabulary.wordCount)
        }
        let trie = local.isUnusual ? vocabulary.unusual : vocabulary.all
        try walk(trie, below: 0, from: configuration) { node, end, configurations in
            if trie.hasToken(node) {
                local.farthest = max(local.farthest, configurations.distances[Int(end)])
                Self.insert(trie, node, into: &local.words)
            }
            if configurations.leaves(end) { local.leaving.append(Int32(node)) }
        }
        locals[configuration] = local
        return local
    }

    private static func insert(_ trie: TokenTrie, _ node: Int, into words: inout [UInt64]) {
        for index in Int(trie.tokenStarts[node])..<Int(trie.tokenStarts[node + 1]) {
            let token = trie.tokens[index]
            words[Int(token) / 64] |= 1 << UInt64(token % 64)
        }
    }

    /// Visits the nodes below one that the automaton can follow, and the configurations there.
    @inline(__always)
    private mutating func walk(
        _ trie: TokenTrie, below top: Int, from configuration: Int32,
        _ visit: (_ node: Int, _ end: Int32, borrowing Configurations) -> Void
    ) throws(ConstraintError) {
        let topDepth = Int(trie.depths[top])
        let end = Int(trie.ends[top])
        guard top + 1 < end else { return }
        var rows = [Int](repeating: 0, count: trie.depth + 1)
        rows[0] = try configurations.row(configuration)
        var node = top + 1
        while node < end {
            let depth = Int(trie.depths[node]) - topDepth
            let next = configurations.successor(row: rows[depth - 1], trie.bytes[node])
            if next == Configurations.dead {
                node = Int(trie.ends[node])
                continue
            }
            try configurations.charge(1)
            if Int(trie.ends[node]) > node + 1 { rows[depth] = try configurations.row(next) }
            visit(node, next, configurations)
            node += 1
        }
    }

    /// The greatest distance on the way, if all plain characters go the same way for long enough.
    ///
    /// True inside JSON strings, also long bounded ones: there the tokens of plain characters are
    /// known without a walk.
    private mutating func plainRun(_ configuration: Int32) throws(ConstraintError) -> Int? {
        var place = configuration
        var farthest = 0
        for _ in 1..<vocabulary.plain.count {
            guard let next = try afterPlain(place) else { return nil }
            farthest = max(farthest, configurations.distances[Int(next)])
            if next == place { return farthest }
            place = next
        }
        return farthest
    }

    /// The one configuration after each plain character, if the rule goes on there.
    private mutating func afterPlain(_ configuration: Int32) throws(ConstraintError) -> Int32? {
        var result: Int32?
        var work: [(configuration: Int32, step: Int)] = [(configuration, 0)]
        var seen: Set<Int64> = []
        while let (place, step) = work.popLast() {
            guard seen.insert(Int64(place) << 8 | Int64(step)).inserted else { continue }
            let row = try configurations.row(place)
            try configurations.charge(256)
            for byte in UInt8(0x20)...0xF4 where vocabulary.hasByte[Int(byte)] {
                guard step > 0 || byte >= 0x80 || isPlainASCII(byte),
                    let nextStep = UTF8Steps.next(step, byte)
                else { continue }
                let next = configurations.successor(row: row, byte)
                guard next != Configurations.dead, !configurations.leaves(next) else { return nil }
                if nextStep > 0 {
                    work.append((next, nextStep))
                } else if let result {
                    guard result == next else { return nil }
                } else {
                    result = next
                }
            }
        }
        return result
    }
}

// MARK: - Closing in time

extension TokenMasks {
    /// The tokens after which at most `limit` more tokens close the text.
    private mutating func within(
        _ configuration: Int32, _ limit: Int
    ) throws(ConstraintError) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: vocabulary.wordCount)
        let trie = vocabulary.all
        for (node, end) in try ends(configuration) {
            if try isWithin(end, limit) { Self.insert(trie, node, into: &words) }
        }
        if configurations.accepts(configuration) {
            for token in vocabulary.endTokens { words[Int(token) / 64] |= 1 << UInt64(token % 64) }
        }
        return words
    }

    private mutating func isWithin(
        _ configuration: Int32, _ limit: Int
    ) throws(ConstraintError) -> Bool {
        if configurations.distances[Int(configuration)] <= limit { return true }
        return try tokenDistance(configuration) <= limit
    }

    private mutating func farthestTokens(_ configuration: Int32) throws(ConstraintError) -> Int {
        var farthest = 0
        var seen: Set<Int32> = []
        for (_, end) in try ends(configuration) where seen.insert(end).inserted {
            farthest = max(farthest, try tokenDistance(end))
        }
        return farthest
    }

    /// All nodes with tokens that may follow, and the configurations after them.
    private mutating func ends(
        _ configuration: Int32
    ) throws(ConstraintError) -> [(node: Int, end: Int32)] {
        var result: [(node: Int, end: Int32)] = []
        let trie = vocabulary.all
        try walk(trie, below: 0, from: configuration) { node, end, _ in
            if trie.hasToken(node) { result.append((node, end)) }
        }
        return result
    }

    /// The number of tokens that write the nearest end of the text.
    ///
    /// Of the shortest completions in bytes the first in byte order is taken, and of its splits into
    /// tokens one with the fewest. Whatever token of that split comes next, the rest of the text is
    /// the completion from there, so that following it always closes in time.
    mutating func tokenDistance(_ configuration: Int32) throws(ConstraintError) -> Int {
        if let distance = known(configuration) { return distance }
        var chain: [Int32] = [configuration]
        var text: [UInt8] = []
        var isKnown = 0
        // Tokens may reach over the first place that is known already, but not over so many.
        while let place = chain.last {
            if known(place) != nil { isKnown += 1 }
            guard isKnown <= vocabulary.all.depth else { break }
            let distance = configurations.distances[Int(place)]
            let row = try configurations.row(place)
            try configurations.charge(configurations.automaton.classCount)
            var step: (byte: UInt8, next: Int32)?
            for byte in configurations.automaton.classBytes {
                let next = configurations.successor(row: row, byte)
                if next != Configurations.dead,
                    configurations.distances[Int(next)] == distance - 1
                {
                    step = (byte, next)
                    break
                }
            }
            guard distance > 0, let step else { break }
            text.append(step.byte)
            chain.append(step.next)
        }
        let trie = vocabulary.all
        for index in (0..<chain.count - 1).reversed() where known(chain[index]) == nil {
            try configurations.charge(trie.depth)
            var best = Automaton.unreachable
            var node = 0
            var place = index
            while place < text.count, let child = trie.child(of: node, text[place]) {
                node = child
                place += 1
                if trie.hasToken(node), let rest = known(chain[place]) {
                    best = min(best, rest + 1)
                }
            }
            tokenDistances[chain[index]] = best
        }
        return known(configuration) ?? Automaton.unreachable
    }

    /// Follows the readings that split most for some bytes, and finds the mask there: what takes too
    /// much work there is refused before an answer is begun.
    mutating func probe() throws(ConstraintError) {
        var place = configurations.start
        for _ in 0..<Self.probedBytes {
            let row = try configurations.row(place)
            var best = Configurations.dead
            for byte in configurations.automaton.classBytes {
                let next = configurations.successor(row: row, byte)
                if configurations.threadCount(next) > configurations.threadCount(best) {
                    best = next
                }
            }
            guard best != Configurations.dead else { return }
            place = best
        }
        if configurations.threadCount(place) > Self.mostParts { _ = try mask(place) }
    }

    private func known(_ configuration: Int32) -> Int? {
        let distance = configurations.distances[Int(configuration)]
        if distance == 0 || distance > Self.exactDistance { return distance }
        return tokenDistances[configuration]
    }
}
