/// In which order an epoch meets the rows of its data sets.
///
/// Any place of any epoch is known in constant time, so that a run can go on from anywhere.
struct RowOrder: Sendable {
    /// A row of a data set.
    struct Address: Sendable, Hashable {
        var dataset: Int
        var row: Int
    }

    /// Rows of each data set.
    let sizes: [Int]
    /// Rows of an epoch.
    let count: Int
    private let starts: [Int]
    private let isShuffled: Bool
    private let seed: UInt64
    /// Nil puts the data sets behind each other.
    private let pattern: MixPattern?

    init(sizes: [Int], options: DataOptions, isShuffled: Bool) throws(DataError) {
        self.sizes = sizes
        self.isShuffled = isShuffled
        seed = options.seed
        var starts: [Int] = []
        var total = 0
        for size in sizes {
            starts.append(total)
            total += size
        }
        self.starts = starts
        guard options.mixing != .concat, sizes.count > 1 else {
            pattern = nil
            count = total
            return
        }
        let pattern = try MixPattern(options.probabilities, datasetCount: sizes.count)
        self.pattern = pattern
        let ends = sizes.indices.map { pattern.positions(untilUsedUp: sizes[$0], dataset: $0) }
        count = (options.mixing == .interleaveUnder ? ends.min() : ends.max()) ?? 0
    }

    /// Whether rows come by their data sets' shares, so that epochs may have different ones.
    var isMixed: Bool { pattern != nil }

    /// The row at a place of an epoch.
    func address(epoch: Int, place: Int) -> Address {
        guard let pattern else {
            var place = place
            if isShuffled {
                place =
                    Permutation(count: count, seed: seed, stream: DataStream.epoch(epoch))[place]
            }
            let dataset = starts.lastIndex { $0 <= place } ?? 0
            return Address(dataset: dataset, row: place - starts[dataset])
        }
        let (dataset, turn) = pattern[place]
        let (pass, row) = turn.quotientAndRemainder(dividingBy: sizes[dataset])
        guard isShuffled else { return Address(dataset: dataset, row: row) }
        // Data sets that are repeated within an epoch have another order each time.
        let order = Permutation(
            count: sizes[dataset], seed: seed,
            stream: DataStream.pass(dataset, epoch << 20 | min(pass, 1 << 20 - 1)))
        return Address(dataset: dataset, row: order[row])
    }
}

/// Which data set's turn it is: a fixed round in which each comes as often as its share says.
///
/// Shares are rounded to whole turns of a thousand. Turns are spread evenly, as a scheduler with
/// credits does it: each round all get their share as credit, and who has most pays one for a turn.
struct MixPattern: Sendable {
    private let datasets: [Int]
    /// How often its data set came before in the round.
    private let ranks: [Int]
    private let turns: [Int]

    init(_ probabilities: [Double], datasetCount: Int) throws(DataError) {
        let shares =
            probabilities.isEmpty
            ? [Double](repeating: 1, count: datasetCount) : probabilities
        guard shares.count == datasetCount, shares.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw .setting(
                key: "interleave_probs", found: "\(probabilities)",
                expected: "\(datasetCount) numbers above 0, one for each data set")
        }
        let sum = shares.reduce(0, +)
        var turns = shares.map { max(1, Int(($0 / sum * 1000).rounded())) }
        let divisor = turns.reduce(0, Self.greatestCommonDivisor)
        turns = turns.map { $0 / divisor }
        let length = turns.reduce(0, +)
        var credits = [Int](repeating: 0, count: datasetCount)
        var seen = credits
        var (datasets, ranks): ([Int], [Int]) = ([], [])
        for _ in 0..<length {
            for index in credits.indices { credits[index] += turns[index] }
            var next = 0
            for index in credits.indices where credits[index] > credits[next] { next = index }
            credits[next] -= length
            datasets.append(next)
            ranks.append(seen[next])
            seen[next] += 1
        }
        (self.datasets, self.ranks, self.turns) = (datasets, ranks, turns)
    }

    /// The data set at a place, and how often it came before.
    subscript(place: Int) -> (dataset: Int, turn: Int) {
        let (round, inRound) = place.quotientAndRemainder(dividingBy: datasets.count)
        let dataset = datasets[inRound]
        return (dataset, round * turns[dataset] + ranks[inRound])
    }

    /// The first place at which a data set has come so often.
    func positions(untilUsedUp count: Int, dataset: Int) -> Int {
        guard count > 0 else { return 0 }
        let (rounds, rank) = (count - 1).quotientAndRemainder(dividingBy: turns[dataset])
        let place = datasets.indices.first { datasets[$0] == dataset && ranks[$0] == rank } ?? 0
        return rounds * datasets.count + place + 1
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        b == 0 ? a : greatestCommonDivisor(b, a % b)
    }
}
