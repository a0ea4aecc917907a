import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTensor

/// A case of `Tests/Goldens/ops/attention.safetensors` with its inputs.
private struct AttentionCase {
    let shape: AttentionShape
    let queries: Tensor
    let keys: Tensor
    let values: Tensor
    let expected: [Float]

    static let names = [
        "causal.64", "window.64", "alibi.64", "window-alibi.32", "causal.32", "causal.128",
        "decode.64", "decode-window.64", "continue.64",
    ]

    init(_ name: String) throws {
        let golden = try GoldenFile("ops/attention.safetensors")
        let root = try JSONDocument(path: Goldens.path("ops/cases.json")).root
        let this = try root.object("attention").object(name)
        let (heads, keyHeads) = (try this.int("heads"), try this.int("keyHeads"))
        let (T, S, D) = (try this.int("queries"), try this.int("positions"), try this.int("width"))
        func input(_ key: String, _ tokens: Int, _ heads: Int, scale: Float = 1) throws -> Tensor {
            let values = noise(UInt32(try this.int(key)), tokens * heads * D).map { $0 * scale }
            return Tensor(values, shape: [tokens, heads * D])
        }
        shape = AttentionShape(
            heads: heads, keyValueHeads: keyHeads, headDimension: D,
            window: try this.optionalInt("window"),
            slopes: try this.bool("alibi") ? golden.floats("slopes.\(heads)") : nil)
        queries = try input("query", T, heads, scale: Float(try this.int("queryScale")))
        keys = try input("key", S, keyHeads)
        values = try input("value", S, keyHeads)
        expected = try golden.floats(name)
    }
}

@Suite("Attention over paged keys and values")
struct AttentionTests {
    /// Stores in chunks and asks in chunks; block numbers are scattered.
    private func attend(
        _ this: AttentionCase, _ type: KeyValueType, storing: Int, asking: Int, on device: Device
    ) -> Tensor {
        let shape = this.shape
        let layout = KeyValueLayout(
            layers: 3, heads: shape.keyValueHeads, headDimension: shape.headDimension, type: type)
        let cache = KeyValueBlocks(layout: layout)
        let (S, T) = (this.keys.rowCount, this.queries.rowCount)
        let blocks: [Int32] = [9, 2, 17].prefix((S + 31) / 32).map { $0 }
        for first in stride(from: 0, to: S, by: storing) {
            let count = min(storing, S - first)
            let rows = Array(first..<first + count)
            store(
                keys: gathered(this.keys, rows: rows, on: device),
                values: gathered(this.values, rows: rows, on: device),
                segments: [
                    SequenceSegment(rows: 0..<count, firstPosition: first, blocks: blocks)
                ], layer: 1, in: cache, on: device)
        }
        var result: [Float] = []
        for first in stride(from: 0, to: T, by: asking) {
            let count = min(asking, T - first)
            let segment = SequenceSegment(
                rows: 0..<count, firstPosition: S - T + first, blocks: blocks)
            result +=
                attention(
                    queries: gathered(
                        this.queries, rows: Array(first..<first + count), on: device),
                    segments: [segment], layer: 1, shape: shape, in: cache, on: device
                ).values
        }
        return Tensor(result, shape: this.queries.shape)
    }

    @Test(
        "agrees with float64: causal, windowed, with position biases, grouped, one query or many",
        arguments: AttentionCase.names, InstructionSet.available)
    func golden(_ name: String, _ set: InstructionSet) throws {
        let this = try AttentionCase(name)
        let device = Device(threads: 2, instructionSet: set)
        let found = attend(this, .f32, storing: 512, asking: 512, on: device)
        // Scores reach 16 and carry the rounding of sums of D products; values are below 1.
        let sums = Tolerance(sumLength: this.shape.headDimension, magnitude: 4)
        expectClose(found.values, this.expected, sums, name)
        for (storing, asking) in [(1, 1), (7, 3), (33, 64)] {
            let other = attend(this, .f32, storing: storing, asking: asking, on: device)
            #expect(other.values.bits == found.values.bits)
        }
    }

    @Test(
        "loses to a rounded cache what the rounding explains",
        arguments: AttentionCase.names, [(KeyValueType.f16, 0x1p-11), (.q8, 1.0 / 254)])
    func rounded(_ name: String, _ type: (type: KeyValueType, unit: Double)) throws {
        let this = try AttentionCase(name)
        let device = Device(threads: 1)
        let found = attend(this, type.type, storing: 512, asking: 512, on: device)
        // Every key is off by up to a unit: a score of D products of sizes 4 and 1, scaled, by
        // 4 sqrt(D) / sqrt(D) units as a rule; then the values by one more.
        expectClose(
            found.values, this.expected, Tolerance(absolute: 6 * type.unit, relative: type.unit),
            name)
        #expect(found.values != attend(this, .f32, storing: 512, asking: 512, on: device).values)
    }

    @Test(
        "of several sequences in a batch is that of each alone, on any threads",
        arguments: KeyValueType.allCases, [1, 2, 3, 5])
    func batches(_ type: KeyValueType, _ threads: Int) {
        let shape = AttentionShape(heads: 6, keyValueHeads: 2, headDimension: 16, window: 40)
        let device = Device(threads: threads)
        let layout = KeyValueLayout(layers: 1, heads: 2, headDimension: 16, type: type)
        let lengths = [70, 1, 33, 64]
        let total = lengths.reduce(0, +)
        let q = Tensor(noise(20, total * 96), shape: [total, 96])
        let k = Tensor(noise(21, total * 32), shape: [total, 32])
        let v = Tensor(noise(22, total * 32), shape: [total, 32])
        var segments: [SequenceSegment] = []
        var (row, block) = (0, Int32(0))
        for length in lengths {
            let count = Int32((length + 31) / 32)
            segments.append(
                SequenceSegment(
                    rows: row..<row + length, firstPosition: 0,
                    blocks: Array(block..<block + count)))
            row += length
            block += count
        }
        let cache = KeyValueBlocks(layout: layout)
        store(keys: k, values: v, segments: segments, layer: 0, in: cache, on: device)
        let together = attention(
            queries: q, segments: segments, layer: 0, shape: shape, in: cache, on: device)
        let single = Device(threads: 1, instructionSet: .scalar)
        for segment in segments {
            let rows = Array(segment.rows)
            let one = SequenceSegment(
                rows: 0..<rows.count, firstPosition: 0, blocks: segment.blocks)
            let own = KeyValueBlocks(layout: layout)
            store(
                keys: gathered(k, rows: rows, on: device),
                values: gathered(v, rows: rows, on: device), segments: [one],
                layer: 0, in: own, on: single)
            let alone = attention(
                queries: gathered(q, rows: rows, on: device), segments: [one], layer: 0,
                shape: shape, in: own, on: single)
            #expect(
                gathered(together, rows: rows, on: device).values.bits == alone.values.bits)
        }
    }

    @Test("of other shapes than the cache's traps")
    func shapes() async {
        await #expect(processExitsWith: trap) {
            let device = Device(threads: 1)
            let cache = KeyValueBlocks(
                layout: KeyValueLayout(layers: 1, heads: 2, headDimension: 8, type: .f32))
            _ = attention(
                queries: Tensor([Float](repeating: 0, count: 16), shape: [1, 16]),
                segments: [SequenceSegment(rows: 0..<1, firstPosition: 0, blocks: [0])], layer: 0,
                shape: AttentionShape(heads: 1, keyValueHeads: 1, headDimension: 16), in: cache,
                on: device)
        }
        await #expect(processExitsWith: trap) {
            _ = AttentionShape(heads: 6, keyValueHeads: 4, headDimension: 8)
        }
        await #expect(processExitsWith: trap) {
            _ = SequenceSegment(rows: 0..<33, firstPosition: 0, blocks: [0])
        }
    }
}

@Suite("Blocks of keys and values")
struct KeyValueBlocksTests {
    @Test(
        "take the memory that their layout says, when first used", arguments: KeyValueType.allCases,
        [nil, 0, 6])
    func memory(_ type: KeyValueType, capacity: Int?) {
        let layout = KeyValueLayout(layers: 3, heads: 2, headDimension: 10, type: type)
        let perHead = type == .f32 ? 80 : type == .f16 ? 40 : 20 + 8
        #expect(layout.bytesPerToken == 3 * 2 * perHead)
        #expect(layout.blockBytes == 32 * layout.bytesPerToken)
        let cache = KeyValueBlocks(layout: layout, capacity: capacity)
        #expect(cache.allocatedBytes == 0)
        #expect(cache.start(of: 5) == cache.start(of: 5))
        _ = cache.start(of: 1_000_000)
        #expect(cache.allocatedBytes == 2 * layout.blockBytes)
        cache.release(5)
        cache.release(7)
        #expect(cache.allocatedBytes == layout.blockBytes)
    }

    @Test("begin as zeros whatever the memory held, and can be copied", arguments: [nil, 1, 4])
    func copies(capacity: Int?) {
        let layout = KeyValueLayout(layers: 1, heads: 1, headDimension: 3, type: .f32)
        let cache = KeyValueBlocks(layout: layout, capacity: capacity)
        for round in 0..<3 {
            let start = cache.start(of: 0)
            #expect((0..<layout.blockBytes).allSatisfy { start[$0] == 0 }, "round \(round)")
            for index in 0..<layout.blockBytes { start[index] = UInt8(truncatingIfNeeded: index) }
            cache.copy(0, to: 3)
            let copy = cache.start(of: 3)
            #expect(
                (0..<layout.blockBytes).allSatisfy {
                    copy[$0] == UInt8(truncatingIfNeeded: $0)
                })
            cache.release(0)
            cache.release(3)
        }
    }
}
