import CYuyanKernels

/// What an attention layer fixes: heads, scale, window, position biases.
public struct AttentionShape: Sendable {
    /// Query heads H.
    public let heads: Int
    /// Key and value heads KVH; `H / KVH` neighbouring query heads share one.
    public let keyValueHeads: Int
    /// Width D of one head of queries, keys and values alike.
    public let headDimension: Int
    /// Multiplied into the scores; `1 / sqrt(D)` as a rule.
    public let scale: Float
    /// Keys that a query sees, itself included; nil for all before it.
    public let window: Int?
    /// ALiBi slope per head (Press et al., arXiv:2108.12409), or nil.
    public let slopes: [Float]?

    /// Full causal attention scaled by `1 / sqrt(D)`, unless told otherwise.
    ///
    /// `keyValueHeads` must divide `heads`; `slopes` must be `[H]`.
    public init(
        heads: Int, keyValueHeads: Int, headDimension: Int, scale: Float? = nil,
        window: Int? = nil, slopes: [Float]? = nil
    ) {
        precondition(heads.isMultiple(of: keyValueHeads), "\(heads) heads share \(keyValueHeads)")
        precondition(slopes.map { $0.count == heads } ?? true, "one slope a head")
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.headDimension = headDimension
        self.scale = scale ?? 1 / Float(headDimension).squareRoot()
        self.window = window
        self.slopes = slopes
    }
}

/// Writes the keys and values of a batch into the blocks of their sequences.
///
/// `keys` and `values` are `[T, KVH * D]`; `layer` is the part of each block that they belong to.
public func store(
    keys: Tensor, values: Tensor, segments: [SequenceSegment], layer: Int,
    in cache: KeyValueBlocks, on device: Device
) {
    let layout = cache.layout
    let (D, width) = (layout.headDimension, layout.heads * layout.headDimension)
    precondition(
        keys.width == width && values.shape == keys.shape, "\(keys.shape), \(values.shape)")
    let kernel = device.kernels.table.pointee.store_kv
    // Rows of many short segments share one loop, as the rows of one long segment do.
    let rows = segments.flatMap { segment in
        segment.rows.map { row in
            let position = segment.firstPosition + row - segment.rows.lowerBound
            let block = segment.blocks[position / KeyValueLayout.blockTokens]
            return StoredRow(
                row: row, slot: position % KeyValueLayout.blockTokens,
                start: cache.start(of: block) + layer * layout.layerBytes)
        }
    }
    forEachRow(rows.count, width: 4 * width, on: device) { index in
        let (row, slot, block) = (rows[index].row, rows[index].slot, rows[index].start)
        for head in 0..<layout.heads {
            kernel?(
                layout.type.code, keys.pointer + row * width + head * D,
                values.pointer + row * width + head * D, D, slot,
                block + layout.keyOffset(head: head), block + layout.valueOffset(head: head),
                floats(block + layout.keyScaleOffset(head: head)),
                floats(block + layout.valueScaleOffset(head: head)))
        }
    }
}

/// A row of a batch and where its keys and values go.
///
/// Unchecked: rows of one pass have places of their own.
private struct StoredRow: @unchecked Sendable {
    let row: Int
    let slot: Int
    let start: UnsafeMutablePointer<UInt8>
}

/// Causal attention of a batch's queries `[T, H * D]` over the paged keys and values.
///
/// Online softmax over tiles of 32 keys in position order (Milakov and Gimelshein, arXiv:1805.02867;
/// Dao et al., arXiv:2205.14135); the tile is a cache block, so a query's result does not depend on
/// how its tokens were cut into chunks (docs/numerics.md, "Attention").
public func attention(
    queries: Tensor, segments: [SequenceSegment], layer: Int, shape: AttentionShape,
    in cache: KeyValueBlocks, on device: Device
) -> Tensor {
    let layout = cache.layout
    let D = shape.headDimension
    precondition(
        queries.width == shape.heads * D && layout.headDimension == D
            && layout.heads == shape.keyValueHeads, "\(queries.shape) over \(layout)")
    let out = Tensor(uninitialized: queries.shape)
    let group = shape.heads / shape.keyValueHeads
    // Of every segment's blocks, one after the other.
    var starts: [UnsafePointer<UInt8>?] = []
    starts.reserveCapacity(segments.reduce(0) { $0 + $1.blocks.count })
    var firstStart: [Int] = []
    firstStart.reserveCapacity(segments.count)
    for segment in segments {
        firstStart.append(starts.count)
        for block in segment.blocks {
            starts.append(UnsafePointer(cache.start(of: block) + layer * layout.layerBytes))
        }
    }
    // A job: some consecutive queries of one segment, one KV head.
    let queriesEach = max(1, 96 / group)
    var jobs: [(segment: Int, first: Int, count: Int, head: Int)] = []
    for (index, segment) in segments.enumerated() {
        for first in stride(from: 0, to: segment.rows.count, by: queriesEach) {
            let count = min(queriesEach, segment.rows.count - first)
            for head in 0..<shape.keyValueHeads { jobs.append((index, first, count, head)) }
        }
    }
    // Late queries see most keys: start with the longest jobs.
    jobs.reverse()
    let scratchBytes = yk_attention_scratch(queriesEach, group, D) * MemoryLayout<Float>.stride
    let kernel = device.kernels.table.pointee.attention
    let work = { (index: Int, worker: Int) in
        let job = jobs[index]
        let segment = segments[job.segment]
        let row = segment.rows.lowerBound + job.first
        let head = job.head * group
        starts.withUnsafeBufferPointer { blocks in
            withSlopes(shape.slopes, from: head) { slopes in
                var arguments = yk_attention_job(
                    queries: queries.pointer + row * queries.width + head * D,
                    out: out.pointer + row * queries.width + head * D,
                    query_stride: queries.width, out_stride: queries.width,
                    query_count: job.count, group: group, head_dimension: D,
                    first_position: segment.firstPosition + job.first,
                    window: shape.window ?? 0,
                    blocks: blocks.baseAddress.map { $0 + firstStart[job.segment] },
                    key_offset: layout.keyOffset(head: job.head),
                    value_offset: layout.valueOffset(head: job.head),
                    key_scale_offset: layout.keyScaleOffset(head: job.head),
                    value_scale_offset: layout.valueScaleOffset(head: job.head),
                    type: layout.type.code, scale: shape.scale, slopes: slopes,
                    scratch: device.scratch.bytes(scratchBytes, worker: worker)
                        .assumingMemoryBound(to: Float.self))
                kernel?(&arguments)
            }
        }
    }
    let keysSeen = segments.reduce(0) { $0 + ($1.firstPosition + $1.rows.count) * $1.rows.count }
    if keysSeen * shape.heads * D < 1 << 16 {
        for index in jobs.indices { work(index, 0) }
    } else {
        device.pool.parallel(jobs.count, work)
    }
    return out
}

/// Causal attention of queries `[T, H * D]` over the keys and values `[T, KVH * D]` of the same pass.
///
/// They go into a cache of float32 that lives as long as this call, so the kernels and the bits are
/// those of serving with such a cache. The whole of each sequence must be in the pass: its rows, and
/// before them those of `prefix`, whose whole blocks it shares and whose last part it copies.
package func attention(
    queries: Tensor, keys: Tensor, values: Tensor, segments: [SequenceSegment],
    shape: AttentionShape, on device: Device
) -> Tensor {
    precondition(
        segments.allSatisfy { $0.firstPosition == 0 || $0.prefix != nil },
        "a sequence that began in another pass")
    let last = segments.reduce(-1) { max($0, Int($1.blocks.max() ?? -1)) }
    let cache = KeyValueBlocks(
        layout: KeyValueLayout(
            layers: 1, heads: shape.keyValueHeads, headDimension: shape.headDimension, type: .f32),
        capacity: last + 1)
    store(
        keys: keys, values: values, segments: segments + segments.compactMap(\.copiedPrefix),
        layer: 0, in: cache, on: device)
    var out = attention(
        queries: queries, segments: segments, layer: 0, shape: shape, in: cache, on: device)
    device.record("attention", &out, from: [queries.source, keys.source, values.source]) {
        [output = out] in
        { dy, gradients in
            let found = attentionGradients(
                dy: dy, output: output, queries: queries, keys: keys, values: values,
                segments: segments, shape: shape, on: gradients.device)
            gradients.add(found.queries, to: queries.source)
            gradients.add(found.keys, to: keys.source)
            gradients.add(found.values, to: values.source)
        }
    }
    return out
}

extension SequenceSegment {
    /// The end of the prefix that lies in a block together with this segment's own first rows.
    fileprivate var copiedPrefix: SequenceSegment? {
        let copied = firstPosition % KeyValueLayout.blockTokens
        guard let prefix, copied > 0 else { return nil }
        return SequenceSegment(
            rows: prefix.suffix(copied), firstPosition: firstPosition - copied, blocks: blocks)
    }
}

private func floats(_ bytes: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<Float> {
    UnsafeMutableRawPointer(bytes).assumingMemoryBound(to: Float.self)
}

/// Lends the slopes of the heads from number `head` on.
func withSlopes<R>(
    _ slopes: [Float]?, from head: Int, _ body: (UnsafePointer<Float>?) -> R
) -> R {
    guard let slopes else { return body(nil) }
    return slopes.withUnsafeBufferPointer { body($0.baseAddress.map { $0 + head }) }
}
