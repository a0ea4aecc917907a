import Synchronization
import YuyanTensor

/// What a part of the data holds, counted by rendering every row once.
package struct DataSurvey: Sendable {
    /// Counts over all rows; with interleaving, each row counts once however often it comes.
    package let tally: DataTally
    private let units: UnitStream
    private let batchSize: Int
    /// Tokens of each row, by data set and row: 0 for rows that are left out.
    private let lengths: [[UInt32]]
    /// Units and tokens of every epoch, where none differs from another.
    private var constant: (units: Int, tokens: Int)?

    /// Rows that one call of a worker renders.
    private static let chunk = 64

    init(_ units: UnitStream, batchSize: Int, pool: ThreadPool) throws(DataError) {
        self.units = units
        self.batchSize = batchSize
        var lengths: [[UInt32]] = []
        var tally = DataTally()
        for (dataset, size) in units.rows.order.sizes.enumerated() {
            let chunks = (size + Self.chunk - 1) / Self.chunk
            let results = Mutex([Result<Chunk, DataError>?](repeating: nil, count: chunks))
            let failed = Atomic<Bool>(false)
            pool.parallel(chunks) { index, _ in
                // Once a row stops the run, only rows before it still matter; they are under way.
                if failed.load(ordering: .relaxed) { return }
                let range = index * Self.chunk..<min(size, (index + 1) * Self.chunk)
                let result = Self.read(units.rows, dataset, range)
                if case .failure = result { failed.store(true, ordering: .relaxed) }
                results.withLock { $0[index] = result }
            }
            var counts: [UInt32] = []
            for case let result? in results.withLock({ $0 }) {
                let chunk = try result.get()
                counts += chunk.lengths
                tally.add(chunk.tally)
            }
            lengths.append(counts)
        }
        guard tally.samples > 0 else {
            throw .nothingToLearn(rows: tally.rows, problems: tally.problems)
        }
        self.tally = tally
        self.lengths = lengths
        // Packing fills rows anew in each epoch, and mixtures meet other rows; the rest does neither.
        if units.capacity == nil, !units.rows.order.isMixed { constant = fold(0) }
    }

    private struct Chunk: Sendable {
        var lengths: [UInt32] = []
        var tally = DataTally()
    }

    private static func read(
        _ rows: RowStream, _ dataset: Int, _ range: Range<Int>
    ) -> Result<Chunk, DataError> {
        var chunk = Chunk()
        for row in range {
            do throws(DataError) {
                let outcome = try rows.render(RowOrder.Address(dataset: dataset, row: row))
                chunk.tally.add(outcome)
                chunk.lengths.append(Self.length(outcome))
            } catch {
                return .failure(error)
            }
        }
        return .success(chunk)
    }

    /// Tokens of a row; pieces of a long text share one token with the piece before.
    private static func length(_ outcome: RowStream.Outcome) -> UInt32 {
        guard case .rendered(let row) = outcome, !row.samples.isEmpty else { return 0 }
        let sum = row.samples.reduce(0) { $0 + $1.tokens.count } - (row.samples.count - 1)
        return UInt32(clamping: sum)
    }

    /// Samples, or packed rows, of an epoch.
    package func unitCount(epoch: Int) -> Int { fold(epoch).units }

    /// Batches of an epoch.
    package func batchCount(epoch: Int) -> Int {
        (unitCount(epoch: epoch) + batchSize - 1) / batchSize
    }

    /// Share of the places in packed rows that hold tokens; nil if rows are not packed.
    package func fill(epoch: Int) -> Double? {
        guard let capacity = units.capacity else { return nil }
        let (count, tokens) = fold(epoch)
        return count == 0 ? 0 : Double(tokens) / Double(count * capacity)
    }

    private func fold(_ epoch: Int) -> (units: Int, tokens: Int) {
        if let constant { return constant }
        var (count, tokens) = (0, 0)
        let rows = units.rows
        for start in stride(from: 0, to: rows.count, by: units.window) {
            var samples: [Int] = []
            for place in start..<min(start + units.window, rows.count) {
                let address = rows.order.address(epoch: epoch, place: place)
                samples += pieces(Int(lengths[address.dataset][address.row]))
            }
            count += units.unitOrder(lengths: samples, epoch: epoch, start: start).count
            tokens += samples.reduce(0, +)
        }
        return (count, tokens)
    }

    /// The lengths of the samples of a row with so many tokens.
    private func pieces(_ tokens: Int) -> [Int] {
        let limit = units.rows.renderer.options.cutoffLength
        guard tokens > limit else { return tokens > 0 ? [tokens] : [] }
        var pieces: [Int] = []
        var start = 0
        while start + 1 < tokens {
            pieces.append(min(limit, tokens - start))
            start += limit - 1
        }
        return pieces
    }
}
