import CYuyanKernels
import TestSupport
import Testing

@testable import YuyanTensor

/// Keys and values of one KV head in blocks, as a cache holds them.
private final class HeadCache {
    let type: yk_kv_type
    let dimension: Int
    let blocks: [Aligned<UInt8>]
    private let planeBytes: Int

    init(_ type: yk_kv_type, dimension: Int, tokens: Int) {
        self.type = type
        self.dimension = dimension
        let width = type == YK_KV_F32 ? 4 : type == YK_KV_F16 ? 2 : 1
        planeBytes = 32 * dimension * width
        let size = 2 * planeBytes + (type == YK_KV_Q8 ? 256 : 0)
        blocks = (0..<(tokens + 31) / 32).map { _ in Aligned(size, repeating: 0) }
    }

    func store(_ table: yk_kernels, position: Int, key: [Float], value: [Float]) {
        let block = blocks[position / 32].pointer
        let scales = UnsafeMutableRawPointer(block + 2 * planeBytes)
            .assumingMemoryBound(to: Float.self)
        table.store_kv(
            type, key, value, dimension, position % 32, block, block + planeBytes, scales,
            scales + 32)
    }

    var bytes: [[UInt8]] { blocks.map(\.values) }
    var keyOffset: Int { 0 }
    var valueOffset: Int { planeBytes }
    var keyScaleOffset: Int { 2 * planeBytes }
    var valueScaleOffset: Int { 2 * planeBytes + 128 }
}

/// What a layer fixes, and who asks.
private struct Queries {
    var values: [Float]
    var group: Int
    var first = 0
    var window = 0
    var slopes: [Float]?

    func attend(_ table: yk_kernels, _ cache: HeadCache, scale: Float = 0.125) -> [Float] {
        let D = cache.dimension
        let count = values.count / (group * D)
        let out = Aligned<Float>(values.count, repeating: 7)
        let scratch = Aligned<Float>(yk_attention_scratch(count, group, D), repeating: .nan)
        let blocks = cache.blocks.map { Optional(UnsafePointer($0.pointer)) }
        values.withUnsafeBufferPointer { queries in
            blocks.withUnsafeBufferPointer { blocks in
                (slopes ?? []).withUnsafeBufferPointer { slopeValues in
                    var job = yk_attention_job(
                        queries: queries.baseAddress, out: out.pointer, query_stride: group * D,
                        out_stride: group * D, query_count: count, group: group,
                        head_dimension: D, first_position: first, window: window,
                        blocks: blocks.baseAddress, key_offset: cache.keyOffset,
                        value_offset: cache.valueOffset, key_scale_offset: cache.keyScaleOffset,
                        value_scale_offset: cache.valueScaleOffset, type: cache.type,
                        scale: scale, slopes: slopes == nil ? nil : slopeValues.baseAddress,
                        scratch: scratch.pointer)
                    table.attention(&job)
                }
            }
        }
        precondition(out.isIntact && scratch.isIntact, "attention wrote past its end")
        return out.values
    }
}

@Suite("Attention kernels of every instruction set")
struct KernelAttentionTests {
    private static let types: [yk_kv_type] = [YK_KV_F32, YK_KV_F16, YK_KV_Q8]

    private func filled(
        _ type: yk_kv_type, dimension: Int, tokens: Int, _ table: yk_kernels,
        _ random: inout SeededGenerator, _ kind: FloatKind = .ordinary
    ) -> HeadCache {
        let cache = HeadCache(type, dimension: dimension, tokens: tokens)
        for position in 0..<tokens {
            cache.store(
                table, position: position, key: random.floats(dimension, kind),
                value: random.floats(dimension, kind))
        }
        return cache
    }

    @Test("attend to the scalar bits, whole and step by step", arguments: vectorSets)
    func sameBits(_ set: InstructionSet) {
        let (vector, scalar) = (kernels(set), kernels(.scalar))
        var random = SeededGenerator(seed: 8)
        for D in [2, 6, 8, 16, 20, 32, 40, 64, 80, 96, 128] {
            for (index, type) in Self.types.enumerated() {
                for (window, slopes) in [
                    (0, nil), (1, nil), (20, nil), (33, [0.5, 0.25, 0.125, 1]), (64, nil),
                    (0, [1, 0, 0.01, 0.5]),
                ] as [(Int, [Float]?)] {
                    let group = 1 + (D / 2 + index + window) % 4
                    let tokens = window == 0 ? 97 : 70
                    let cache = filled(type, dimension: D, tokens: tokens, scalar, &random)
                    var queries = Queries(
                        values: random.floats(tokens * group * D), group: group, window: window,
                        slopes: slopes)
                    let expected = queries.attend(scalar, cache)
                    let what: Comment =
                        "D \(D), type \(type.rawValue), window \(window), group \(group)"
                    #expect(
                        queries.attend(vector, cache).canonicalBits == expected.canonicalBits, what)
                    // Any cut of the queries gives each of them the same result.
                    let all = queries.values
                    let row = group * D
                    for size in [1, 5, 33] {
                        var pieces: [Float] = []
                        for first in stride(from: 0, to: tokens, by: size) {
                            let end = min(first + size, tokens)
                            queries.values = Array(all[first * row..<end * row])
                            queries.first = first
                            pieces += queries.attend(vector, cache)
                        }
                        #expect(
                            pieces.canonicalBits == expected.canonicalBits,
                            "\(what), \(size) at a time")
                    }
                }
            }
        }
    }

    @Test("store keys and values to the scalar bits", arguments: vectorSets)
    func storing(_ set: InstructionSet) {
        var random = SeededGenerator(seed: 9)
        for D in [2, 8, 30, 64, 128] {
            for type in Self.types {
                for kind in FloatKind.allCases {
                    let (a, b) = (
                        HeadCache(type, dimension: D, tokens: 40),
                        HeadCache(type, dimension: D, tokens: 40)
                    )
                    for position in 0..<40 {
                        let (key, value) = (random.floats(D, kind), random.floats(D, kind))
                        a.store(kernels(.scalar), position: position, key: key, value: value)
                        b.store(kernels(set), position: position, key: key, value: value)
                    }
                    #expect(a.bytes == b.bytes, "D \(D), type \(type.rawValue), \(kind)")
                }
            }
        }
    }

    @Test("do not look at what lies beyond a query", arguments: InstructionSet.available)
    func masked(_ set: InstructionSet) {
        let table = kernels(set)
        var random = SeededGenerator(seed: 10)
        for type in Self.types {
            let D = 24
            let clean = filled(type, dimension: D, tokens: 50, table, &random)
            let dirty = HeadCache(type, dimension: D, tokens: 64)
            for (a, b) in zip(clean.blocks, dirty.blocks) {
                b.pointer.update(from: a.pointer, count: a.count)
            }
            // Left behind by a sequence that used the block before, and overflowed.
            for position in 50..<64 {
                dirty.store(
                    table, position: position, key: random.floats(D, .infinite),
                    value: random.floats(D, .infinite))
            }
            for window in [0, 9] {
                let queries = Queries(
                    values: random.floats(3 * D), group: 1, first: 47, window: window)
                #expect(
                    queries.attend(table, clean).canonicalBits
                        == queries.attend(table, dirty).canonicalBits,
                    "\(set), type \(type.rawValue), window \(window)")
            }
        }
    }

    @Test("stay at the maximum when scores are huge", arguments: InstructionSet.available)
    func hugeScores(_ set: InstructionSet) {
        let table = kernels(set)
        let D = 8
        let cache = HeadCache(YK_KV_F32, dimension: D, tokens: 70)
        for position in 0..<70 {
            // Position 41 scores 3e4 above all others.
            cache.store(
                table, position: position,
                key: [Float](repeating: position == 41 ? 100 : 1, count: D),
                value: [Float](repeating: Float(position), count: D))
        }
        let queries = Queries(values: [Float](repeating: 300, count: D), group: 1, first: 69)
        #expect(queries.attend(table, cache) == [Float](repeating: 41, count: D))
    }
}
