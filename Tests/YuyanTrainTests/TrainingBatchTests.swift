import Testing
import YuyanTrain

@Suite("TrainingBatch")
struct TrainingBatchTests {
    @Test("lays samples end to end, and nothing predicts a sample's first token")
    func laysSamplesEndToEnd() {
        let source = SampleSource(file: "rows.jsonl", row: 1)
        let samples = [
            TrainingSample(tokens: [1, 2, 3], weights: [1, 1, 0.5], source: source),
            TrainingSample(tokens: [4, 5], weights: [1, 1], source: source),
        ]
        let batch = TrainingBatch(samples)
        #expect(batch.tokens == [1, 2, 3, 4, 5])
        #expect(batch.weights == [0, 1, 0.5, 0, 1])
        #expect(batch.lengths == [3, 2])
        #expect(batch.supervisedCount == 3)
    }
}
