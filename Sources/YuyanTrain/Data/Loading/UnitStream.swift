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
