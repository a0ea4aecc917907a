import TestSupport
import Testing
import YuyanTensor
import YuyanText

@testable import YuyanTrain

@Suite("Data loader")
struct DataLoaderTests {
    @Test(
        "goes on from any batch's cursor with the very batches that would have followed",
        arguments: [false, true], [1, 3])
    func resume(_ isPacked: Bool, _ batchSize: Int) throws {
        let fixture = try DataFixture()
        var options = fixture.options(
            fixture.dialogues("a.jsonl", count: 23),
            fixture.dialogues("b.jsonl", count: 14, seed: 2))
        options.isPacked = isPacked
        options.packingWindow = 8
        options.cutoffLength = 160
        options.batchSize = batchSize
        let data = try fixture.data(options)
        let whole = try drain(data.loader(.training, epochs: 3))
        #expect(whole.filter(\.endsEpoch).count == 3)
        for (index, batch) in whole.enumerated() {
            let rest = try drain(data.loader(.training, from: batch.cursor, epochs: 3))
            #expect(rest.map(\.batch) == whole[(index + 1)...].map(\.batch))
            #expect(rest.map(\.cursor) == whole[(index + 1)...].map(\.cursor))
            #expect(rest.map(\.endsEpoch) == whole[(index + 1)...].map(\.endsEpoch))
        }
        // The cursor survives being written down.
        let written = try #require(whole.first).cursor
        let read = try DataCursor(json: jsonRoot(written.json))
        #expect(read == written)
    }

    @Test("meets every row once an epoch, in another order each epoch", arguments: [false, true])
    func epochs(_ isPacked: Bool) throws {
        let fixture = try DataFixture()
        var options = fixture.options(fixture.dialogues("a.jsonl", count: 40))
        options.isPacked = isPacked
        options.packingWindow = 16
        options.cutoffLength = 200
        let data = try fixture.data(options)
        let batches = try drain(data.loader(.training, epochs: 3))
        var orders: [[String]] = []
        for epoch in 0..<3 {
            let rows = batches.filter { $0.epoch == epoch }.flatMap { batch in
                segments(batch.batch).map { fixture.tokenizer.decode($0) }
            }
            #expect(Set(rows).count == 40 && rows.count == 40)
            orders.append(rows)
        }
        #expect(orders[0] != orders[1] && orders[1] != orders[2])
        var plain = options
        plain.isShuffled = false
        plain.isPacked = false
        let ordered = try drain(try fixture.data(plain).loader(.training, epochs: 1))
        let texts = ordered.map { fixture.tokenizer.decode($0.batch.tokens) }
        for (row, text) in texts.enumerated() { #expect(text.contains("Say \(row)<")) }
    }

    @Test("packs without losing, cutting or overfilling, and each sample as it is alone")
    func packing() throws {
        let fixture = try DataFixture()
        var options = fixture.options(fixture.dialogues("a.jsonl", count: 60))
        options.cutoffLength = 150
        let alone = try drain(try fixture.data(options).loader(.training, epochs: 1))
        options.isPacked = true
        let packed = try drain(try fixture.data(options).loader(.training, epochs: 1))
        #expect(packed.count * 4 < alone.count * 3)
        #expect(packed.allSatisfy { $0.batch.tokens.count <= 150 })
        func samples(_ batches: [LoadedBatch]) -> [[Int32]] {
            batches.flatMap { segments($0.batch) }.sorted { $0.lexicographicallyPrecedes($1) }
        }
        #expect(samples(packed) == samples(alone))
        let weights = { (batches: [LoadedBatch]) in
            batches.reduce(0) { $0 + $1.batch.supervisedCount }
        }
        #expect(weights(packed) == weights(alone))
        // Nothing predicts the first token of a sample from the sample before.
        for batch in packed {
            var start = 0
            for length in batch.batch.lengths {
                #expect(batch.batch.weights[start] == 0)
                start += length
            }
            #expect(start == batch.batch.tokens.count)
        }
    }

    @Test("agrees with the survey about every epoch's batches", arguments: [false, true])
    func survey(_ isPacked: Bool) throws {
        let fixture = try DataFixture()
        var options = fixture.options(fixture.dialogues("a.jsonl", count: 70))
        options.isPacked = isPacked
        options.packingWindow = 16
        options.cutoffLength = 120
        options.batchSize = 3
        let data = try fixture.data(options)
        let survey = try data.survey(.training, pool: ThreadPool(threadCount: 2))
        let batches = try drain(data.loader(.training, epochs: 3))
        for epoch in 0..<3 {
            let mine = batches.filter { $0.epoch == epoch }
            #expect(survey.batchCount(epoch: epoch) == mine.count)
            #expect(survey.unitCount(epoch: epoch) == mine.reduce(0) { $0 + $1.unitCount })
            let tokens = mine.reduce(0) { $0 + $1.batch.tokens.count }
            #expect(survey.tally.tokens == tokens)
            #expect(survey.tally.supervised == mine.reduce(0) { $0 + $1.batch.supervisedCount })
            if let fill = survey.fill(epoch: epoch) {
                #expect(fill == Double(tokens) / Double(survey.unitCount(epoch: epoch) * 120))
            }
        }
        #expect(survey.tally.rows == 70 && survey.tally.skippedCount == 0)
    }

    @Test("surveys long texts by their pieces")
    func pieces() throws {
        let fixture = try DataFixture()
        let words = (0..<900).map { "word\($0 % 77)" }.joined(separator: " ")
        let path = fixture.folder.file("x.txt", Array((words + "\n" + words + "\n").utf8))
        for isPacked in [false, true] {
            var options = fixture.options(path)
            options.stage = .pretraining
            options.cutoffLength = 50
            options.passageBytes = 1000
            options.isPacked = isPacked
            let data = try fixture.data(options)
            let survey = try data.survey(.training, pool: ThreadPool(threadCount: 1))
            let batches = try drain(data.loader(.training, epochs: 1))
            #expect(survey.batchCount(epoch: 0) == batches.count)
            #expect(batches.allSatisfy { $0.batch.tokens.count <= 50 })
        }
    }

    @Test("mixes data sets by their shares, until the first or the last is used up")
    func mixing() throws {
        let fixture = try DataFixture()
        var options = fixture.options(
            fixture.dialogues("a.jsonl", count: 30), fixture.dialogues("b.jsonl", count: 90))
        options.probabilities = [0.25, 0.75]
        func counts(_ strategy: DataOptions.MixStrategy) throws -> [Int] {
            options.mixing = strategy
            let batches = try drain(try fixture.data(options).loader(.training, epochs: 1))
            let texts = batches.map { fixture.tokenizer.decode($0.batch.tokens) }
            return ["a.jsonl", "b.jsonl"].map { name in texts.filter { $0.contains(name) }.count }
        }
        #expect(try counts(.concat) == [30, 90])
        #expect(try counts(.interleaveUnder) == [30, 88])
        options.probabilities = [0.5, 0.5]
        #expect(try counts(.interleaveUnder)[0] == 30)
        #expect(try counts(.interleaveOver)[1] == 90)
        #expect(try abs(counts(.interleaveOver)[0] - 90) <= 1)
    }

    @Test("is bounded: it reads no further ahead than it may, and ends when it is let go")
    func bounded() throws {
        let fixture = try DataFixture()
        var options = fixture.options(fixture.dialogues("a.jsonl", count: 10))
        options.readAhead = 2
        let data = try fixture.data(options)
        for _ in 0..<50 {
            let loader = try data.loader(.training)
            _ = try loader.next()
        }
        let loader = try data.loader(.training)
        let batches = try drain(loader, limit: 35)
        #expect(batches.last?.epoch == 3)
    }

    @Test("refuses a cursor of other data")
    func badCursor() throws {
        let fixture = try DataFixture()
        let data = try fixture.data(fixture.options(fixture.dialogues("a.jsonl", count: 10)))
        #expect(throws: DataError.self) {
            try data.loader(.training, from: DataCursor(epoch: 0, index: 11))
        }
        #expect(throws: DataError.self) { try data.loader(.validation) }
    }

    private func segments(_ batch: TrainingBatch) -> [[Int32]] {
        var start = 0
        return batch.lengths.map { length in
            defer { start += length }
            return Array(batch.tokens[start..<start + length])
        }
    }
}
