import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

/// What a law is tried on.
struct BitsCase: CustomStringConvertible, Sendable {
    let description: String
    let open: @Sendable () throws -> Checkpoint

    static let all: [BitsCase] =
        [
            BitsCase(description: "blocks of 32") { try SyntheticModel.small.checkpoint() },
            BitsCase(description: "blocks of 256") { try SyntheticModel.superBlocks.checkpoint() },
        ]
        + ["llama-f16", "qwen2-window", "qwen3-tied", "llama-bias"].map { name in
            BitsCase(description: name) { try ModelCase(folder: name).checkpoint }
        }
}

@Suite("The same bits of logits come")
struct SameBitsTests {
    private static let combinations = BitsCase.all.flatMap { model in
        Precision.allCases.map { (model, $0) }
    }

    private func decoder(_ checkpoint: Checkpoint, on device: Device) throws -> Decoder {
        try Decoder(checkpoint, on: device)
    }

    private func tokens(_ decoder: Decoder, _ count: Int) -> [Int32] {
        var random = SeededGenerator(seed: 3)
        let limit = Int32(decoder.shape.vocabularySize)
        return (0..<count).map { _ in .random(in: 0..<limit, using: &random) }
    }

    @Test("from any cut of the prompt", arguments: combinations, KeyValueType.allCases)
    func chunks(_ this: (BitsCase, Precision), _ type: KeyValueType) throws {
        let device = Device(threads: 1, precision: this.1)
        let model = try decoder(this.0.open(), on: device)
        let tokens = tokens(model, 100)
        let whole = logits(model, tokens, Feeding(keyValueType: type), on: device)
        #expect(whole.allSatisfy(\.isFinite) && Set(whole.bits).count > whole.count / 2)
        for chunk in [1, 7, 64, 512] {
            let found = logits(model, tokens, Feeding(chunk: chunk, keyValueType: type), on: device)
            #expect(found.bits == whole.bits, "\(this.0), chunks of \(chunk)")
        }
    }

    @Test("from any number of threads", arguments: combinations)
    func threads(_ this: (BitsCase, Precision)) throws {
        let checkpoint = try this.0.open()
        var first: [UInt32]?
        for threads in [1, 2, 3, 5] {
            let device = Device(threads: threads, precision: this.1)
            let model = try decoder(checkpoint, on: device)
            let tokens = tokens(model, 70)
            let found = [31, 1].flatMap {
                logits(model, tokens, Feeding(chunk: $0, keyValueType: .f16), on: device).bits
            }
            #expect(found == first ?? found, "\(this.0), \(threads) threads")
            first = found
        }
    }

    @Test(
        "from every instruction set", arguments: combinations, KeyValueType.allCases)
    func instructionSets(_ this: (BitsCase, Precision), _ type: KeyValueType) throws {
        let checkpoint = try this.0.open()
        var first: [UInt32]?
        for set in InstructionSet.available {
            let device = Device(threads: 1, instructionSet: set, precision: this.1)
            let model = try decoder(checkpoint, on: device)
            let tokens = tokens(model, 45)
            let found = [Int.max, 1].flatMap {
                logits(model, tokens, Feeding(chunk: $0, keyValueType: type), on: device).bits
            }
            #expect(found == first ?? found, "\(this.0), \(set)")
            first = found
        }
    }

    @Test("for a sequence in a batch as for it alone", arguments: combinations)
    func batches(_ this: (BitsCase, Precision)) throws {
        let device = Device(threads: 2, precision: this.1)
        let model = try decoder(this.0.open(), on: device)
        let cache = KeyValueBlocks(layout: model.cacheLayout(type: .f16))
        let sequences = [(40, [Int32(0), 1]), (1, [2]), (33, [5, 4])].map {
            (tokens: tokens(model, $0.0), blocks: $0.1)
        }
        var segments: [TokenBatch.Segment] = []
        var row = 0
        for sequence in sequences {
            let rows = row..<row + sequence.tokens.count
            segments.append(
                TokenBatch.Segment(
                    SequenceSegment(rows: rows, firstPosition: 0, blocks: sequence.blocks)))
            row = rows.upperBound
        }
        let batch = TokenBatch(tokens: sequences.flatMap(\.tokens), segments: segments)
        let hidden = model.hiddenStates(batch, cache: cache, on: device)
        let together = model.logits(hidden: hidden, rows: Array(0..<row), on: device)
        for (sequence, segment) in zip(sequences, segments) {
            let alone = logits(
                model, sequence.tokens, Feeding(keyValueType: .f16), on: device)
            let rows = segment.attention.rows.flatMap { together.row($0) }
            #expect(rows.bits == alone.bits, "\(this.0), \(sequence.tokens.count) tokens")
        }
    }

    @Test(
        "from 16-bit activations nearly as from float32",
        arguments: [SyntheticModel.small, .superBlocks])
    func precision(_ synthetic: SyntheticModel) throws {
        let checkpoint = try synthetic.checkpoint()
        let tokens = synthetic.tokens(60)
        let (exact, rounded) = try (
            run(checkpoint, tokens, .f32), run(checkpoint, tokens, .int16)
        )
        // Each product loses 1e-4 at most; two layers and a head follow each other.
        expectClose(rounded, exact, Tolerance(absolute: 2e-3 * exact.scale))
        #expect(rounded.bits != exact.bits)
    }

    private func run(
        _ checkpoint: Checkpoint, _ tokens: [Int32], _ precision: Precision
    ) throws -> [Float] {
        let device = Device(threads: 1, precision: precision)
        return logits(try Decoder(checkpoint, on: device), tokens, on: device)
    }
}
