import YuyanText

/// The endless stream of what batches are made of: samples, or rows packed with several.
///
/// Rows are taken in windows: one at a time or, packed, as many as fit together well. A window's
/// units depend on nothing but its place, so the stream can be entered at any of them.
struct UnitStream: Sendable {
    /// Samples that stay together.
    typealias Unit = [TrainingSample]

    /// What a stretch of rows gave.
    struct Window: Sendable {
        var units: [Unit] = []
        var tally = DataTally()
    }

    let rows: RowStream
    let window: Int
    let capacity: Int?
    let isShuffled: Bool

    init(_ rows: RowStream, isShuffled: Bool) {
        let options = rows.renderer.options
        self.rows = rows
        self.isShuffled = isShuffled
        window = options.isPacked ? max(1, options.packingWindow) : 1
        capacity = options.isPacked ? options.cutoffLength : nil
    }

    /// The units of the window that starts at a place of an epoch.
    func units(epoch: Int, start: Int) throws(DataError) -> Window {
        var result = Window()
        var samples: [TrainingSample] = []
        for place in start..<min(start + window, rows.count) {
            let outcome = try rows.render(epoch: epoch, place: place)
            result.tally.add(outcome)
            if case .rendered(let row) = outcome { samples += row.samples }
        }
        let order = unitOrder(
            lengths: samples.map(\.tokens.count), epoch: epoch, start: start)
        result.units = order.map { $0.map { samples[$0] } }
        return result
    }

    /// The samples of each unit of a window, by their lengths alone.
    func unitOrder(lengths: [Int], epoch: Int, start: Int) -> [[Int]] {
        guard let capacity else { return lengths.indices.map { [$0] } }
        let packed = Packing.rows(lengths, capacity: capacity)
        guard isShuffled else { return packed }
        // Packing sorts by length; training must not.
        let order = Permutation(
            count: packed.count, seed: rows.renderer.options.seed,
            stream: DataStream.window(epoch, start))
        return packed.indices.map { packed[order[$0]] }
    }
}

/// What became of rows, counted.
package struct DataTally: Sendable, Hashable {
    /// Rows read.
    package var rows = 0
    package var samples = 0
    package var tokens = 0
    /// Tokens that a loss is taken over.
    package var supervised = 0
    /// The longest sample.
    package var longest = 0
    /// Samples that were cut, and tokens that they lost.
    package var truncatedRows = 0
    package var truncatedTokens = 0
    /// Tokens with text of both kinds.
    package var straddling = 0
    /// Answers without a token that ends them.
    package var unstopped = 0
    /// Answers by how they were found.
    package var methods: [Int] = [Int](repeating: 0, count: AnswerSpan.Method.allCases.count)
    /// Rows left out, by reason.
    package var skipped: [RowProblem.Kind: Int] = [:]
    /// The first of them.
    package var problems: [RowProblem] = []

    static let problemLimit = 20

    package init() {}

    /// Rows left out.
    package var skippedCount: Int { skipped.values.reduce(0, +) }

    /// Share of the tokens that a loss is taken over.
    package var supervisedShare: Double {
        tokens == 0 ? 0 : Double(supervised) / Double(tokens)
    }

    mutating func add(_ outcome: RowStream.Outcome) {
        rows += 1
        switch outcome {
        case .skipped(let problem):
            skipped[problem.kind, default: 0] += 1
            if problems.count < Self.problemLimit { problems.append(problem) }
        case .rendered(let row):
            samples += row.samples.count
            for sample in row.samples {
                tokens += sample.tokens.count
                supervised += sample.supervisedCount
                longest = max(longest, sample.tokens.count)
            }
            truncatedRows += row.truncated > 0 ? 1 : 0
            truncatedTokens += row.truncated
            straddling += row.straddling
            unstopped += row.unstopped
            for method in row.methods { methods[method.rawValue] += 1 }
        }
    }

    /// Adds what was counted of later rows.
    package mutating func add(_ other: DataTally) {
        rows += other.rows
        samples += other.samples
        tokens += other.tokens
        supervised += other.supervised
        longest = max(longest, other.longest)
        truncatedRows += other.truncatedRows
        truncatedTokens += other.truncatedTokens
        straddling += other.straddling
        unstopped += other.unstopped
        for index in methods.indices { methods[index] += other.methods[index] }
        skipped.merge(other.skipped, uniquingKeysWith: +)
        problems += other.problems.prefix(Self.problemLimit - problems.count)
    }
}
