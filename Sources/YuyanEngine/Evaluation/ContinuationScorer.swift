import YuyanNN
import YuyanTensor

/// A sequence of which some last tokens are scored.
public struct ScoredSequence: Sendable, Hashable {
    /// Context and continuation.
    public var tokens: [Int32]
    /// Index of the first scored token, at least 1.
    public var firstScored: Int

    /// The tokens from `firstScored` on are the continuation.
    public init(tokens: [Int32], firstScored: Int) {
        precondition(
            firstScored >= 1 && firstScored <= tokens.count,
            "token \(firstScored) of \(tokens.count) cannot be the first that is scored")
        self.tokens = tokens
        self.firstScored = firstScored
    }

    /// Without tokens at the front that a model of this context cannot read along.
    ///
    /// The last token is only predicted, never read, so one more than the limit fits.
    func fitted(to limit: Int) -> ScoredSequence {
        let excess = tokens.count - (limit + 1)
        guard excess > 0 else { return self }
        return ScoredSequence(
            tokens: Array(tokens.dropFirst(excess)), firstScored: max(1, firstScored - excess))
    }
}

/// How likely a continuation is after its context.
public struct ContinuationScore: Sendable, Hashable {
    /// Sum of the log-probabilities of the continuation's tokens, in nats.
    public var logProbability: Double
    /// Whether each of them is the likeliest.
    public var isGreedy: Bool
    /// How many were scored.
    public var tokens: Int
    /// Whether tokens at the front had to be left out.
    public var isTruncated: Bool
}

/// Scores continuations of texts, many at once; what several share at their front is read once.
///
/// Log-probabilities are the engine's own (docs/numerics.md), so they do not depend on what is
/// scored together.
public final class ContinuationScorer {
    /// Tokens to a forward pass.
    private static let passTokens = 512
    /// Tokens whose keys and values are held at a time.
    private static let heldTokens = 2048
    /// Logits held at a time, in bytes.
    private static let logitBytes = 32 << 20

    private let evaluated: EvaluatedModel
    private let cache: KeyValueBlocks
    private let sharesPrefixes: Bool

    /// - Parameter model: What scores, with its adapter if it has one.
    public init(_ model: EvaluatedModel) {
        evaluated = model
        cache = KeyValueBlocks(
            layout: model.model.cacheLayout(type: model.keyValueType),
            capacity: 4 * Self.heldTokens / KeyValueLayout.blockTokens)
        // Dynamic NTK turns the keys of a prefix by the length of what follows.
        if case .dynamicNTK = model.model.shape.rotaryScaling {
            sharesPrefixes = false
        } else {
            sharesPrefixes = true
        }
    }

    /// Scores of groups of sequences, each group with a common front as long as may be.
    ///
    /// Sequences that are longer than the model's context lose tokens at their front.
    ///
    /// - Parameter onGroup: Called with how many groups are done.
    /// - Throws: `EvaluationError.unknownToken`.
    public func scores(
        _ groups: [[ScoredSequence]], onGroup: (Int) -> Void = { _ in }
    ) throws(EvaluationError) -> [[ContinuationScore]] {
        let limit = evaluated.model.shape.contextLength
        let vocabularySize = evaluated.model.shape.vocabularySize
        for token in groups.joined().lazy.flatMap(\.tokens)
        where token < 0 || Int(token) >= vocabularySize {
            throw .unknownToken(token, vocabularySize: vocabularySize)
        }
        var result: [[ContinuationScore]] = []
        var batch = ScoringBatch()
        for (index, group) in groups.enumerated() {
            batch.add(
                group.map { $0.fitted(to: limit) }, originals: group,
                sharesPrefix: sharesPrefixes)
            guard batch.tokenCount >= Self.heldTokens || index + 1 == groups.count else { continue }
            result += run(&batch)
            batch = ScoringBatch()
            onGroup(result.count)
        }
        return result
    }

    private func run(_ batch: inout ScoringBatch) -> [[ContinuationScore]] {
        run(batch.prefixes, &batch)
        for (source, target) in batch.copies { cache.copy(source, to: target) }
        run(batch.rests, &batch)
        return batch.scores
    }

    /// Computes pieces in passes of bounded size; a long one goes through several.
    private func run(_ pieces: [ScoringBatch.Piece], _ batch: inout ScoringBatch) {
        var segments: [TokenBatch.Segment] = []
        var tokens: [Int32] = []
        var wanted: [(row: Int, target: ScoringBatch.Target)] = []
        func flush() {
            guard !tokens.isEmpty else { return }
            compute(TokenBatch(tokens: tokens, segments: segments), wanted, &batch)
            (tokens, segments, wanted) = ([], [], [])
        }
        for piece in pieces {
            var start = piece.range.lowerBound
            while start < piece.range.upperBound {
                let end = min(piece.range.upperBound, start + Self.passTokens - tokens.count)
                let first = tokens.count
                tokens += piece.tokens[start..<end]
                let reach = (end + KeyValueLayout.blockTokens - 1) / KeyValueLayout.blockTokens
                segments.append(
                    TokenBatch.Segment(
                        SequenceSegment(
                            rows: first..<tokens.count, firstPosition: start,
                            blocks: Array(piece.blocks[..<reach])),
                        contextLength: piece.tokens.count, adapter: evaluated.adapter))
                for target in piece.targets where (start..<end).contains(target.position) {
                    wanted.append((first + target.position - start, target))
                }
                start = end
                if tokens.count == Self.passTokens { flush() }
            }
        }
        flush()
    }

    private func compute(
        _ tokens: TokenBatch, _ wanted: [(row: Int, target: ScoringBatch.Target)],
        _ batch: inout ScoringBatch
    ) {
        let (model, device) = (evaluated.model, evaluated.device)
        let hidden = model.hiddenStates(tokens, cache: cache, on: device)
        // Choices that begin alike ask for the same row more than once.
        let unique = Set(wanted.map(\.row)).sorted()
        let rowsEach = max(16, Self.logitBytes / (4 * max(model.shape.vocabularySize, 1)))
        for start in stride(from: 0, to: unique.count, by: rowsEach) {
            let some = Array(unique[start..<min(start + rowsEach, unique.count)])
            let logits = model.logits(hidden: hidden, rows: some, of: tokens, on: device)
            let places = Dictionary(uniqueKeysWithValues: some.enumerated().map { ($1, $0) })
            let here = wanted.filter { places[$0.row] != nil }
            let found = rowsInParallel(here.count, on: device) { index in
                let (row, target) = here[index]
                return logits.withRow(places[row] ?? 0) { logits in
                    (
                        device.loss(logits, target: target.token),
                        device.argmax(logits) == target.token
                    )
                }
            }
            for ((_, target), (loss, isBest)) in zip(here, found) {
                batch.losses[target.sequence][target.place] = loss
                if !isBest { batch.isGreedy[target.sequence] = false }
            }
        }
    }
}

/// Groups of sequences that are computed together: first their common fronts, then the rests.
private struct ScoringBatch {
    /// A token whose probability is wanted.
    struct Target {
        /// Position of the token before it.
        let position: Int
        let token: Int
        /// Whose score it is part of, and at which place of its sum.
        let sequence: Int
        let place: Int
    }

    /// Some consecutive tokens of a sequence.
    struct Piece {
        let tokens: [Int32]
        let range: Range<Int>
        let blocks: [Int32]
        let targets: [Target]
    }

    private(set) var prefixes: [Piece] = []
    private(set) var rests: [Piece] = []
    /// Blocks that are copied between the two: the last one of a front, half full.
    private(set) var copies: [(source: Int32, target: Int32)] = []
    private(set) var tokenCount = 0
    /// By sequence and place, in the order in which they are added up.
    var losses: [[Double]] = []
    var isGreedy: [Bool] = []
    private var isTruncated: [Bool] = []
    private var groupSizes: [Int] = []
    private var blockCount: Int32 = 0

    /// Sums in token order, so that neither threads nor company can change them.
    var scores: [[ContinuationScore]] {
        var first = 0
        return groupSizes.map { count in
            defer { first += count }
            return (first..<first + count).map { index in
                ContinuationScore(
                    logProbability: -losses[index].reduce(0, +), isGreedy: isGreedy[index],
                    tokens: losses[index].count, isTruncated: isTruncated[index])
            }
        }
    }

    mutating func add(
        _ group: [ScoredSequence], originals: [ScoredSequence], sharesPrefix: Bool
    ) {
        groupSizes.append(group.count)
        let inputs = group.map { $0.tokens.dropLast() }
        var shared = 0
        if sharesPrefix, group.count > 1, let first = inputs.first {
            shared = inputs.dropFirst().reduce(first.count) { length, other in
                min(length, zip(first, other).prefix { $0 == $1 }.count)
            }
        }
        let blockTokens = KeyValueLayout.blockTokens
        let front = newBlocks(for: shared)
        var frontTargets: [Target] = []
        for (sequence, original) in zip(group, originals) {
            let index = losses.count
            let scored = sequence.firstScored..<sequence.tokens.count
            losses.append([Double](repeating: 0, count: scored.count))
            isGreedy.append(true)
            isTruncated.append(sequence.tokens.count < original.tokens.count)
            let targets = scored.enumerated().map { place, position in
                Target(
                    position: position - 1, token: Int(sequence.tokens[position]),
                    sequence: index, place: place)
            }
            frontTargets += targets.filter { $0.position < shared }
            let count = sequence.tokens.count - 1
            guard count > shared else { continue }
            let whole = shared / blockTokens
            let own = newBlocks(for: count - whole * blockTokens)
            if shared > whole * blockTokens { copies.append((front[whole], own[0])) }
            rests.append(
                Piece(
                    tokens: Array(sequence.tokens.dropLast()), range: shared..<count,
                    blocks: front[..<whole] + own,
                    targets: targets.filter { $0.position >= shared }))
            tokenCount += count - shared
        }
        guard shared > 0, let tokens = inputs.first else { return }
        prefixes.append(
            Piece(
                tokens: Array(tokens), range: 0..<shared, blocks: front, targets: frontTargets))
        tokenCount += shared
    }

    private mutating func newBlocks(for tokens: Int) -> [Int32] {
        let blockTokens = KeyValueLayout.blockTokens
        let count = Int32((tokens + blockTokens - 1) / blockTokens)
        defer { blockCount += count }
        return Array(blockCount..<blockCount + count)
    }
}
