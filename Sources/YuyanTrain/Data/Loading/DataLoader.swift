import YuyanTensor
import YuyanText

/// A batch, and what a checkpoint after it must remember.
package struct LoadedBatch: Sendable {
    /// The samples, laid end to end.
    package let batch: TrainingBatch
    /// Where the stream goes on behind this batch.
    package let cursor: DataCursor
    /// The epoch that the batch belongs to; no batch has samples of two.
    package let epoch: Int
    /// Whether the epoch ends with it.
    package let endsEpoch: Bool
    /// Samples, or packed rows, in it: fewer than asked for only at the end of an epoch.
    package let unitCount: Int
    /// What became of the rows that were read since the batch before.
    package let tally: DataTally
}

/// Batches in order, made ahead on a thread of its own.
///
/// The stream is a pure function of the data, the options and the seed: a loader that starts at a
/// batch's cursor gives the batches that would have followed it. Rows are read, rendered and encoded
/// on one background thread, at most `readAhead` batches before they are taken. Letting the loader go
/// ends the thread.
package final class DataLoader: Sendable {
    private typealias Item = Result<LoadedBatch, DataError>
    private let queue: BoundedQueue<Item>

    /// Starts to read at a cursor.
    ///
    /// - Parameter epochs: Ends before the epoch of this number; nil never ends.
    /// - Throws: `.noThread`, or `.setting` if the cursor is outside of the data.
    init(
        _ units: UnitStream, batchSize: Int, from cursor: DataCursor, epochs: Int?, readAhead: Int
    ) throws(DataError) {
        guard cursor.epoch >= 0, cursor.offset >= 0, (0...units.rows.count).contains(cursor.index),
            cursor.index.isMultiple(of: units.window) || cursor.index == units.rows.count
        else {
            throw .setting(
                key: "the data's cursor",
                found: "row \(cursor.index) of \(units.rows.count), sample \(cursor.offset)",
                expected: "a place in this data; was a data set or its packing changed since the "
                    + "checkpoint?")
        }
        let queue = BoundedQueue<Item>(limit: readAhead)
        self.queue = queue
        let isStarted = startThread {
            var maker = BatchMaker(units, batchSize: batchSize, cursor: cursor)
            do throws(DataError) {
                while let batch = try maker.next(epochs: epochs) {
                    guard queue.push(.success(batch)) else { return }
                }
            } catch {
                _ = queue.push(.failure(error))
            }
            queue.finish()
        }
        guard isStarted else { throw .noThread }
    }

    deinit { queue.abandon() }

    /// Waits for the next batch; nil behind the last epoch.
    ///
    /// - Throws: `DataError` at the place in the stream where reading failed.
    package func next() throws(DataError) -> LoadedBatch? {
        switch queue.pop() {
        case nil: nil
        case .success(let batch): batch
        case .failure(let error): throw error
        }
    }
}

/// Groups units into batches, one step after the other.
struct BatchMaker {
    private let units: UnitStream
    private let batchSize: Int
    private var window = UnitStream.Window()
    /// Where `window` is; its units from `place.offset` on are still to come.
    private var place: DataCursor
    private var isLoaded = false
    private var tally = DataTally()
    /// Units of the current epoch so far.
    private var unitCount = 0
    private var epochTally = DataTally()
    /// A unit that was read to see whether the epoch goes on.
    private var ahead: (unit: UnitStream.Unit, epoch: Int, after: DataCursor)?
    /// Whether the rest of the epoch that the cursor is in may be empty.
    private var mayBeEmpty: Bool

    init(_ units: UnitStream, batchSize: Int, cursor: DataCursor) {
        self.units = units
        self.batchSize = max(1, batchSize)
        place = cursor
        mayBeEmpty = cursor.index > 0 || cursor.offset > 0
        if place.index >= units.rows.count {
            place = DataCursor(epoch: place.epoch + 1)
        }
    }

    /// The next batch, or nil when the epochs are over.
    mutating func next(epochs: Int?) throws(DataError) -> LoadedBatch? {
        if ahead == nil { ahead = try nextUnit(epochs: epochs) }
        guard let first = ahead else { return nil }
        var samples: [TrainingSample] = []
        var (count, after) = (0, first.after)
        while count < batchSize, let unit = ahead, unit.epoch == first.epoch {
            samples += unit.unit
            after = unit.after
            count += 1
            ahead = try nextUnit(epochs: epochs)
        }
        let endsEpoch = ahead?.epoch != first.epoch
        if endsEpoch { after = DataCursor(epoch: first.epoch + 1) }
        defer { tally = DataTally() }
        return LoadedBatch(
            batch: TrainingBatch(samples), cursor: after, epoch: first.epoch,
            endsEpoch: endsEpoch, unitCount: count, tally: tally)
    }

    private mutating func nextUnit(
        epochs: Int?
    ) throws(DataError) -> (unit: UnitStream.Unit, epoch: Int, after: DataCursor)? {
        while true {
            if let epochs, place.epoch >= epochs { return nil }
            if !isLoaded {
                window = try units.units(epoch: place.epoch, start: place.index)
                tally.add(window.tally)
                epochTally.add(window.tally)
                isLoaded = true
            }
            if place.offset < window.units.count {
                let unit = window.units[place.offset]
                let epoch = place.epoch
                place.offset += 1
                unitCount += 1
                var after = place
                if after.offset == window.units.count {
                    after = DataCursor(epoch: epoch, index: after.index + units.window)
                }
                return (unit, epoch, after)
            }
            try advance()
        }
    }

    /// Goes on to the next window, and to the next epoch behind the last.
    private mutating func advance() throws(DataError) {
        isLoaded = false
        // All of it is in batches by now; the next one need not come beside it.
        window = UnitStream.Window()
        place = DataCursor(epoch: place.epoch, index: place.index + units.window)
        guard place.index >= units.rows.count else { return }
        // Another epoch of nothing would never end.
        guard unitCount > 0 || mayBeEmpty else {
            throw .nothingToLearn(rows: epochTally.rows, problems: epochTally.problems)
        }
        place = DataCursor(epoch: place.epoch + 1)
        mayBeEmpty = false
        unitCount = 0
        epochTally = DataTally()
    }
}
