import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

@Suite("Scores of continuations")
struct ContinuationScorerTests {
    private let device = Device(threads: 2, precision: .f32)

    private func sequence(_ count: Int, from first: Int, seed: UInt64) -> ScoredSequence {
        var random = SeededGenerator(seed: seed)
        let tokens = (0..<count).map { _ in Int32.random(in: 3..<96, using: &random) }
        return ScoredSequence(tokens: tokens, firstScored: first)
    }

    /// Groups whose sequences share fronts of many lengths, ends of blocks among them.
    private var groups: [[ScoredSequence]] {
        var random = SeededGenerator(seed: 4)
        return [1, 5, 31, 32, 33, 64, 70].flatMap { shared -> [[ScoredSequence]] in
            let front = sequence(shared, from: 1, seed: UInt64(shared)).tokens
            return (1...4).map { count in
                (0..<count).map { index in
                    let rest = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                        Int32.random(in: 3..<96, using: &random)
                    }
                    // Some continuations begin inside of what is shared.
                    let first = max(1, shared - Int.random(in: 0...3, using: &random))
                    return ScoredSequence(
                        tokens: front + rest, firstScored: index == 0 ? max(1, shared) : first)
                }
            }
        }
    }

    @Test("are sums under the reference's logits", arguments: ["llama-gqa", "qwen2", "qwen3"])
    func agreesWithReference(_ name: String) throws {
        let fixture = try EvaluationFixture(name)
        let model = EvaluatedModel(model: fixture.decoder, device: device, keyValueType: .f32)
        let rows = fixture.reference.map(naiveLogSoftmax)
        for first in [1, 5, fixture.ids.count - 1] {
            let score = try ContinuationScorer(model).scores([
                [ScoredSequence(tokens: fixture.ids, firstScored: first)]
            ])[0][0]
            let targets = (first..<fixture.ids.count).map { (rows[$0 - 1], Int(fixture.ids[$0])) }
            let expected = targets.reduce(0) { $0 + $1.0[$1.1] }
            expectClose(
                [score.logProbability], [expected],
                Tolerance(absolute: 1e-4 * Double(targets.count)))
            #expect(
                score.isGreedy
                    == targets.allSatisfy { row, target in row.allSatisfy { $0 <= row[target] } })
            #expect(score.tokens == targets.count && !score.isTruncated)
        }
    }

    @Test("have the same bits alone and among others, on any number of threads")
    func sameBits() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        for precision in Precision.allCases {
            let one = Device(threads: 1, precision: precision)
            let scorer = ContinuationScorer(EvaluatedModel(model: decoder, device: one))
            let alone = try groups.map { group in
                try group.map { try scorer.scores([[$0]])[0][0] }
            }
            let many = Device(threads: 3, precision: precision)
            let together = try ContinuationScorer(EvaluatedModel(model: decoder, device: many))
                .scores(groups)
            #expect(together == alone)
        }
    }

    @Test("of the likeliest tokens are greedy")
    func greedy() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        let session = Session(model: decoder, device: device)
        var tokens: [Int32] = [3, 9, 27]
        var logits = try session.prefill(tokens)
        for _ in 0..<5 {
            let token = logits.withRow(0) { Int32(device.argmax($0)) }
            tokens.append(token)
            logits = try session.decode(token)
        }
        var other = tokens
        other[6] = (other[6] + 1) % 96
        let scores = try ContinuationScorer(EvaluatedModel(model: decoder, device: device)).scores([
            [tokens, other].map { ScoredSequence(tokens: $0, firstScored: 3) }
        ])[0]
        #expect(scores.map(\.isGreedy) == [true, false])
    }

    @Test("of what is too long come without its front, and say so")
    func truncation() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        let limit = decoder.shape.contextLength
        let scorer = ContinuationScorer(EvaluatedModel(model: decoder, device: device))
        let long = sequence(limit + 40, from: limit + 20, seed: 1)
        let fits = ScoredSequence(
            tokens: Array(long.tokens.suffix(limit + 1)), firstScored: limit - 19)
        let scores = try scorer.scores([[long], [fits]])
        #expect(scores[0][0].isTruncated && !scores[1][0].isTruncated)
        #expect(scores[0][0].logProbability == scores[1][0].logProbability)
        #expect(scores[0][0].tokens == 20)
        // A continuation that alone is too long loses tokens itself.
        let endless = sequence(limit + 40, from: 2, seed: 2)
        #expect(try scorer.scores([[endless]])[0][0].tokens == limit)
    }

    @Test("are refused for tokens that the model does not have")
    func unknownTokens() throws {
        let decoder = try EvaluationFixture("llama-gqa").decoder
        let scorer = ContinuationScorer(EvaluatedModel(model: decoder, device: device))
        for token: Int32 in [-1, 96] {
            #expect(throws: EvaluationError.unknownToken(token, vocabularySize: 96)) {
                try scorer.scores([[ScoredSequence(tokens: [3, token], firstScored: 1)]])
            }
        }
        #expect(try scorer.scores([]).isEmpty)
    }

    @Test("are those of the adapter if there is one")
    func adapted() throws {
        let decoder = try Decoder(
            Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
        let adapter = try LowRankAdapter(
            name: "a", path: Goldens.path("adapters/llama-all"), for: decoder, on: device)
        let golden = try GoldenFile("adapters/llama-all/golden.safetensors")
        let ids = try GoldenFile("models/llama-gqa/golden.safetensors").ints("ids.1")
            .map { Int32($0) }
        let flat = try golden.floats("logits.1").map(Double.init)
        let width = flat.count / ids.count
        let expected = (1..<ids.count).reduce(0.0) { sum, index in
            let row = Array(flat[(index - 1) * width..<index * width])
            return sum + naiveLogSoftmax(row)[Int(ids[index])]
        }
        let model = EvaluatedModel(
            model: decoder, device: device, keyValueType: .f32, adapter: adapter)
        let found = try ContinuationScorer(model).scores([
            [ScoredSequence(tokens: ids, firstScored: 1)]
        ])[0][0]
        expectClose(
            [found.logProbability], [expected], Tolerance(absolute: 1e-4 * Double(ids.count)))
        let windows = try EvaluationWindows(tokens: ids, context: ids.count)
        let plain = try perplexity(of: windows, model: decoder, device: device)
        let own = try perplexity(of: windows, model: decoder, device: device, adapter: adapter)
        #expect(plain.value != own.value)
        let drift = try divergence(of: model, from: model, on: windows)
        #expect(drift.mean == 0 && drift.largestLogitChange == 0)
        let change = try divergence(
            of: EvaluatedModel(model: decoder, device: device, keyValueType: .f32), from: model,
            on: windows)
        #expect(change.mean > 0.01 && change.largestLogitChange > 0.5)
    }
}
