/// Micro-batches out of a stream of single samples, so that a step may take a few samples more.
///
/// Each sample comes with the place behind it, so a run goes on from any of them. Without samples that
/// were taken beside them, the micro-batches are those of a loader that makes them itself.
package final class SampleStream: BatchSource {
    private let samples: any BatchSource
    private let batchSize: Int

    /// - Parameter samples: Gives one sample at a time.
    package init(_ samples: any BatchSource, batchSize: Int) {
        self.samples = samples
        self.batchSize = max(1, batchSize)
    }

    package func next() throws -> LoadedBatch? {
        var parts: [LoadedBatch] = []
        while parts.count < batchSize, let part = try samples.next() {
            parts.append(part)
            if part.endsEpoch { break }
        }
        return LoadedBatch(joining: parts)
    }

    package func further(_ count: Int) throws -> [LoadedBatch] {
        var parts: [LoadedBatch] = []
        while parts.count < count, let part = try samples.next() { parts.append(part) }
        return parts
    }
}

extension LoadedBatch {
    /// One batch of several that follow each other in an epoch; nil of none.
    init?(joining parts: [LoadedBatch]) {
        guard let last = parts.last else { return nil }
        var tally = DataTally()
        for part in parts { tally.add(part.tally) }
        self.init(
            batch: TrainingBatch(parts.flatMap(\.batch.samples)), cursor: last.cursor,
            epoch: last.epoch, endsEpoch: last.endsEpoch,
            unitCount: parts.reduce(0) { $0 + $1.unitCount }, tally: tally)
    }
}
