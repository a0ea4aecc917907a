import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTensor

/// A batch of whole sequences with its gradient.
private struct Batch {
    var shape: AttentionShape
    var queries: Tensor
    var keys: Tensor
    var values: Tensor
    var dy: Tensor
    var lengths: [Int]

    static let names = [
        "one", "two", "seventeen", "thirty-three", "segments", "window", "wide-window", "alibi",
        "window-alibi", "heads.64",
    ]

    init(_ name: String) throws {
        let golden = try GoldenFile("gradients/attention.safetensors")
        let this = try JSONDocument(path: Goldens.path("gradients/cases.json")).root.object(name)
        let (heads, keyHeads) = (try this.int("heads"), try this.int("keyHeads"))
        let seed = UInt32(try this.int("query"))
        self.init(
            AttentionShape(
                heads: heads, keyValueHeads: keyHeads, headDimension: try this.int("width"),
                window: try this.optionalInt("window"),
                slopes: try this.bool("alibi") ? golden.floats("slopes.\(heads)") : nil),
            lengths: try this.array("lengths").map { $0.int ?? 0 }, seed: seed)
    }

    init(_ shape: AttentionShape, lengths: [Int], seed: UInt32) {
        self.shape = shape
        self.lengths = lengths
        let tokens = lengths.reduce(0, +)
        func input(_ offset: UInt32, _ heads: Int, _ scale: Float) -> Tensor {
            let width = heads * shape.headDimension
            return Tensor(
                noise(seed + offset, tokens * width).map { $0 * scale }, shape: [tokens, width])
        }
        queries = input(0, shape.heads, 4)
        keys = input(1, shape.keyValueHeads, 1)
        values = input(2, shape.keyValueHeads, 1)
        dy = input(3, shape.heads, 1)
    }

    var segments: [SequenceSegment] {
        var (row, block) = (0, Int32(0))
        return lengths.map { length in
            let count = Int32((length + 31) / 32)
            defer { (row, block) = (row + length, block + count) }
            return SequenceSegment(
                rows: row..<row + length, firstPosition: 0, blocks: Array(block..<block + count))
        }
    }

    func output(on device: Device) -> Tensor {
        let cache = KeyValueBlocks(
            layout: KeyValueLayout(
                layers: 1, heads: shape.keyValueHeads, headDimension: shape.headDimension,
                type: .f32))
        store(keys: keys, values: values, segments: segments, layer: 0, in: cache, on: device)
        return attention(
            queries: queries, segments: segments, layer: 0, shape: shape, in: cache, on: device)
    }

    func gradients(on device: Device) -> [Tensor] {
        let (dq, dk, dv) = attentionGradients(
            dy: dy, output: output(on: device), queries: queries, keys: keys, values: values,
            segments: segments, shape: shape, on: device)
        return [dq, dk, dv]
    }

    /// One of the sequences by itself.
    func alone(_ index: Int) -> Batch {
        var one = self
        let rows = segments[index].rows
        one.queries = queries.rows(rows)
        one.keys = keys.rows(rows)
        one.values = values.rows(rows)
        one.dy = dy.rows(rows)
        one.lengths = [lengths[index]]
        return one
    }
}

@Suite("Gradients of attention")
struct AttentionGradientTests {
    @Test(
        "agree with PyTorch: segments, windows, position biases, shared heads",
        arguments: Batch.names, InstructionSet.available)
    func golden(_ name: String, _ set: InstructionSet) throws {
        let golden = try GoldenFile("gradients/attention.safetensors")
        let batch = try Batch(name)
        let device = Device(threads: 2, instructionSet: set)
        let found = batch.gradients(on: device)
        // Scores reach 16 and are rounded before they are raised; up to 280 terms follow.
        let tolerance = Tolerance(sumLength: 256, magnitude: 2)
        for (tensor, part) in zip(found, ["q", "k", "v"]) {
            expectClose(
                tensor.values, try golden.floats("\(name).\(part)"), tolerance, "\(name) \(part)")
        }
        expectClose(
            batch.output(on: device).values, try golden.floats("\(name).y"),
            Tolerance(sumLength: 64, magnitude: 4))
    }

    @Test(
        "of a shared prefix are those of sequences that each have their own",
        arguments: [nil, 3, 40], [(32, [5, 40]), (1, [1]), (45, [3, 33, 130])])
    func sharedPrefix(_ window: Int?, _ lengths: (prefix: Int, answers: [Int])) {
        let shape = AttentionShape(heads: 4, keyValueHeads: 2, headDimension: 16, window: window)
        let tokens = lengths.answers.reduce(lengths.prefix, +)
        let rows = Batch(shape, lengths: [tokens], seed: 417)
        var (row, block) = (lengths.prefix, Int32((lengths.prefix + 31) / 32))
        var segments = [
            SequenceSegment(
                rows: 0..<row, firstPosition: 0, blocks: Array(0..<block))
        ]
        for length in lengths.answers {
            let (whole, all) = (lengths.prefix / 32, (lengths.prefix + length + 31) / 32)
            let own = block..<block + Int32(all - whole)
            segments.append(
                SequenceSegment(
                    rows: row..<row + length, firstPosition: lengths.prefix,
                    blocks: segments[0].blocks.prefix(whole) + Array(own),
                    prefix: 0..<lengths.prefix))
            (row, block) = (row + length, own.upperBound)
        }
        for threads in [1, 3] {
            let device = Device(threads: threads)
            let output = attention(
                queries: rows.queries, keys: rows.keys, values: rows.values, segments: segments,
                shape: shape, on: device)
            let found = attentionGradients(
                dy: rows.dy, output: output, queries: rows.queries, keys: rows.keys,
                values: rows.values, segments: segments, shape: shape, on: device)
            var sums = [
                [Float](repeating: 0, count: lengths.prefix * rows.keys.width),
                [Float](repeating: 0, count: lengths.prefix * rows.keys.width),
            ]
            for (index, segment) in segments.enumerated() {
                // The prefix's own queries count once; behind it their gradient is zero.
                func whole(_ x: Tensor, _ isGradient: Bool = false) -> Tensor {
                    guard index > 0 else { return x.rows(segment.rows) }
                    let prefix = x.rows(0..<lengths.prefix)
                    return Tensor(
                        stacking: [
                            isGradient ? Tensor(zeros: prefix.shape) : prefix, x.rows(segment.rows),
                        ])
                }
                var alone = rows
                alone.queries = whole(rows.queries)
                alone.keys = whole(rows.keys)
                alone.values = whole(rows.values)
                alone.dy = whole(rows.dy, true)
                alone.lengths = [alone.queries.rowCount]
                let own = segment.firstPosition..<alone.queries.rowCount
                #expect(
                    FloatBits(alone.output(on: device).rows(own).values)
                        == FloatBits(output.rows(segment.rows).values))
                let expected = alone.gradients(on: device)
                #expect(
                    FloatBits(found.queries.rows(segment.rows).values)
                        == FloatBits(expected[0].rows(own).values))
                for (place, gradient) in [found.keys, found.values].enumerated() {
                    let reference = expected[place + 1]
                    if index > 0 {
                        #expect(
                            FloatBits(gradient.rows(segment.rows).values)
                                == FloatBits(reference.rows(own).values))
                    }
                    for (at, value) in reference.rows(0..<lengths.prefix).values.enumerated() {
                        sums[place][at] += value
                    }
                }
            }
            for (sum, gradient) in zip(sums, [found.keys, found.values]) {
                #expect(
                    FloatBits(sum) == FloatBits(gradient.rows(0..<lengths.prefix).values))
            }
        }
    }

    @Test("agree with finite differences", arguments: [nil, 3])
    func differences(_ window: Int?) {
        let device = Device(threads: 1)
        let shape = AttentionShape(heads: 2, keyValueHeads: 1, headDimension: 4, window: window)
        let batch = Batch(shape, lengths: [3, 6], seed: 91)
        let parts: [(WritableKeyPath<Batch, Tensor>, Int)] = [
            (\.queries, 0), (\.keys, 1), (\.values, 2),
        ]
        for (path, index) in parts {
            let x = batch[keyPath: path]
            expectDifferences(x.values, x.shape, batch.dy) {
                var moved = batch
                moved[keyPath: path] = $0
                return moved.output(on: device)
            } gradient: {
                var moved = batch
                moved[keyPath: path] = $0
                return moved.gradients(on: device)[index]
            }
        }
    }

    @Test(
        "have the same bits on any threads and instructions, packed or alone",
        arguments: [nil, 40])
    func sameBits(_ window: Int?) {
        // Few heads: with more threads queries and keys are computed apart.
        let shape = AttentionShape(heads: 3, keyValueHeads: 1, headDimension: 20, window: window)
        let batch = Batch(shape, lengths: [300, 1, 33, 160], seed: 95)
        let expected = batch.gradients(on: Device(threads: 1)).map { $0.values.bits }
        for threads in [2, 3, 5] {
            #expect(
                batch.gradients(on: Device(threads: threads)).map { $0.values.bits } == expected,
                "\(threads) threads")
        }
        for set in InstructionSet.available {
            let device = Device(threads: 1, instructionSet: set)
            let whole = batch.gradients(on: device)
            #expect(whole.map { $0.values.bits } == expected, "\(set)")
            for (index, segment) in batch.segments.enumerated() {
                for (part, all) in zip(batch.alone(index).gradients(on: device), whole) {
                    #expect(
                        part.values.bits == all.rows(segment.rows).values.bits,
                        "\(set), segment \(index)")
                }
            }
        }
    }

    @Test("of a sequence that does not begin at its start trap")
    func parts() async {
        await #expect(processExitsWith: trap) {
            let zeros = Tensor([0, 0], shape: [1, 2])
            _ = attentionGradients(
                dy: zeros, output: zeros, queries: zeros, keys: zeros, values: zeros,
                segments: [SequenceSegment(rows: 0..<1, firstPosition: 4, blocks: [0])],
                shape: AttentionShape(heads: 1, keyValueHeads: 1, headDimension: 2),
                on: Device(threads: 1))
        }
    }
}
