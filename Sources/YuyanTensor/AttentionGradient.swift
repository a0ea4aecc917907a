import CYuyanKernels

/// The gradients of causal self-attention over whole sequences.
///
/// Of queries `[T, H * D]`, keys and values `[T, KVH * D]`, all after rotation; `output` is what
/// `attention` gave for them, `dy` its gradient. Each segment is a whole sequence, or one after a prefix of
/// the pass; its blocks are not looked at, because keys and values are given. Keys of a shared prefix
/// receive first what its own segment gives, then the segments behind it in order. Probabilities are computed anew tile
/// by tile, so nothing of size T × T is stored (Dao, "FlashAttention-2", arXiv:2307.08691; unlike
/// there every element is one chain in a fixed order, see docs/numerics.md, "Gradients").
package func attentionGradients(
    dy: Tensor, output: Tensor, queries: Tensor, keys: Tensor, values: Tensor,
    segments: [SequenceSegment], shape: AttentionShape, on device: Device
) -> (queries: Tensor, keys: Tensor, values: Tensor) {
    let D = shape.headDimension
    precondition(
        queries.width == shape.heads * D && output.shape == queries.shape
            && dy.shape == queries.shape && keys.width == shape.keyValueHeads * D
            && values.shape == keys.shape && keys.rowCount == queries.rowCount,
        "\(queries.shape), \(output.shape), \(dy.shape) over \(keys.shape), \(values.shape)")
    for segment in segments {
        precondition(
            segment.firstPosition == (segment.prefix?.count ?? 0)
                && segment.rows.upperBound <= queries.rowCount,
            "a gradient needs whole sequences, not \(segment.rows) at \(segment.firstPosition)")
    }
    let pass = AttentionGradientPass(
        dy: dy, output: output, queries: queries, keys: keys, values: values, segments: segments,
        shape: shape, device: device)
    pass.packTiles()
    pass.computeStatistics()
    pass.computeGradients()
    pass.addSharedGradients()
    return (pass.dq, pass.dk, pass.dv)
}

/// One call's memory and its three loops over the thread pool.
private struct AttentionGradientPass {
    let dy: Tensor
    let output: Tensor
    let queries: Tensor
    let keys: Tensor
    let values: Tensor
    let segments: [SequenceSegment]
    let shape: AttentionShape
    let device: Device
    let dq: Tensor
    let dk: Tensor
    let dv: Tensor
    /// For segments behind a prefix: keys and values of the whole sequence, and their gradients.
    private let gathered: [GatheredSequence?]
    /// `[tiles of all segments][KVH]`: see `attention_tile_pack`. A head's tiles follow each other.
    private let tiles: Tensor
    /// Largest score, reciprocal sum and dot of output and gradient of each row and head.
    private let statistics: Tensor
    /// Tiles of the segments before each.
    private let firstTile: [Int]
    private let tileFloats: Int

    private static var tileTokens: Int { Int(YK_KEY_TILE) }
    /// Tokens whose statistics, or whose share of a long sequence, are one worker's job.
    private static let jobTokens = 128

    init(
        dy: Tensor, output: Tensor, queries: Tensor, keys: Tensor, values: Tensor,
        segments: [SequenceSegment], shape: AttentionShape, device: Device
    ) {
        self.dy = dy
        self.output = output
        self.queries = queries
        self.keys = keys
        self.values = values
        self.segments = segments
        self.shape = shape
        self.device = device
        dq = Tensor(zeros: queries.shape)
        dk = Tensor(zeros: keys.shape)
        dv = Tensor(zeros: values.shape)
        tileFloats = yk_attention_gradient_tile(shape.headDimension)
        var (count, first) = (0, [Int]())
        for segment in segments {
            first.append(count)
            count += (segment.tokenCount + Self.tileTokens - 1) / Self.tileTokens
        }
        firstTile = first
        gathered = segments.map { GatheredSequence($0, keys: keys, values: values) }
        tiles = Tensor(uninitialized: [count * shape.keyValueHeads, tileFloats])
        statistics = Tensor(uninitialized: [queries.rowCount, shape.heads, 3])
    }

    private func tileCount(_ segment: Int) -> Int {
        (segments[segment].tokenCount + Self.tileTokens - 1) / Self.tileTokens
    }

    private func tileStart(_ segment: Int, head: Int) -> UnsafeMutablePointer<Float> {
        let index = firstTile[segment] * shape.keyValueHeads + head * tileCount(segment)
        return tiles.pointer + index * tileFloats
    }

    func packTiles() {
        let kernel = device.kernels.table.pointee.attention_tile_pack
        let D = shape.headDimension
        var jobs: [(segment: Int, tile: Int)] = []
        for segment in segments.indices {
            for tile in 0..<tileCount(segment) { jobs.append((segment, tile)) }
        }
        device.pool.parallel(jobs.count) { index, _ in
            let job = jobs[index]
            let segment = segments[job.segment]
            let first = job.tile * Self.tileTokens
            // Where position 0 of the sequence is.
            let (k, v, start) =
                gathered[job.segment].map { ($0.keys.pointer, $0.values.pointer, 0) }
                ?? (keys.pointer, values.pointer, segment.rows.lowerBound)
            for head in 0..<shape.keyValueHeads {
                let at = (start + first) * keys.width + head * D
                kernel?(
                    k + at, v + at, keys.width,
                    min(Self.tileTokens, segment.tokenCount - first), D,
                    tileStart(job.segment, head: head) + job.tile * tileFloats)
            }
        }
    }

    func computeStatistics() {
        guard let kernel = device.kernels.table.pointee.attention_statistics else { return }
        var jobs: [GradientJob] = []
        for (segment, head) in units {
            let tokens = segments[segment].tokenCount
            let begin = segments[segment].firstPosition
            for first in stride(from: begin, to: tokens, by: Self.jobTokens) {
                let queries = first..<min(first + Self.jobTokens, tokens)
                jobs.append(
                    GradientJob(
                        segment: segment, head: head, queries: queries,
                        keys: 0..<queries.upperBound))
            }
        }
        run(jobs, kernel)
    }

    func computeGradients() {
        guard let kernel = device.kernels.table.pointee.attention_gradient else { return }
        var jobs: [GradientJob] = []
        let units = units
        for (segment, head) in units {
            let tokens = segments[segment].tokenCount
            let begin = segments[segment].firstPosition
            if units.count >= 2 * device.pool.threadCount || tokens <= Self.jobTokens {
                jobs.append(
                    GradientJob(
                        segment: segment, head: head, queries: begin..<tokens, keys: 0..<tokens,
                        givesQueries: true, givesKeys: true))
                continue
            }
            // Too few heads for the workers: queries and keys by themselves, in the same order of
            // each element's sum, at the price of computing the probabilities twice.
            for first in stride(from: 0, to: tokens, by: Self.jobTokens) {
                let part = first..<min(first + Self.jobTokens, tokens)
                let own = part.clamped(to: begin..<tokens)
                if !own.isEmpty {
                    jobs.append(
                        GradientJob(
                            segment: segment, head: head, queries: own, keys: 0..<own.upperBound,
                            givesQueries: true))
                }
                jobs.append(
                    GradientJob(
                        segment: segment, head: head, queries: max(first, begin)..<tokens,
                        keys: part, givesKeys: true))
            }
        }
        run(jobs, kernel)
    }

    /// Passes the gradients of sequences behind a prefix on to the rows that they belong to.
    func addSharedGradients() {
        for (segment, sequence) in zip(segments, gathered) {
            guard let sequence, let prefix = segment.prefix else { continue }
            let own = prefix.count * keys.width
            for (sum, part) in [(dk, sequence.dk), (dv, sequence.dv)] {
                let shared = sum.pointer + prefix.lowerBound * keys.width
                for index in 0..<own { shared[index] += part.pointer[index] }
                (sum.pointer + segment.rows.lowerBound * keys.width).update(
                    from: part.pointer + own, count: segment.rows.count * keys.width)
            }
        }
    }

    /// Each segment's KV heads.
    private var units: [(segment: Int, head: Int)] {
        segments.indices.flatMap { segment in
            (0..<shape.keyValueHeads).map { (segment, $0) }
        }
    }

    private func run(
        _ jobs: [GradientJob],
        _ kernel: @convention(c) (UnsafePointer<yk_attention_gradient_job>?) -> Void
    ) {
        // The longest first, so that the workers end together.
        let jobs = jobs.sorted { $0.size > $1.size }
        let group = shape.heads / shape.keyValueHeads
        let D = shape.headDimension
        let scratchBytes = yk_attention_gradient_scratch(D) * MemoryLayout<Float>.stride
        device.pool.parallel(jobs.count) { index, worker in
            let job = jobs[index]
            let segment = segments[job.segment]
            // Position 0 of the sequence; behind a prefix nothing before the segment is touched.
            let row = segment.rows.lowerBound - segment.firstPosition
            let query = row * queries.width + job.head * group * D
            let (dk, dv, keyRow) =
                gathered[job.segment].map { ($0.dk.pointer, $0.dv.pointer, 0) }
                ?? (dk.pointer, dv.pointer, row)
            let key = keyRow * keys.width + job.head * D
            withSlopes(shape.slopes, from: job.head * group) { slopes in
                var arguments = yk_attention_gradient_job(
                    queries: queries.pointer + query, out: output.pointer + query,
                    out_gradient: dy.pointer + query,
                    query_gradient: job.givesQueries ? dq.pointer + query : nil,
                    query_stride: queries.width, tiles: tileStart(job.segment, head: job.head),
                    key_gradient: job.givesKeys ? dk + key : nil,
                    value_gradient: job.givesKeys ? dv + key : nil,
                    key_stride: keys.width, token_count: segment.tokenCount,
                    group: group, head_dimension: D, window: shape.window ?? 0,
                    scale: shape.scale, slopes: slopes,
                    statistics: statistics.pointer + (row * shape.heads + job.head * group) * 3,
                    statistics_stride: shape.heads * 3, first_query: job.queries.lowerBound,
                    end_query: job.queries.upperBound, first_key: job.keys.lowerBound,
                    end_key: job.keys.upperBound,
                    scratch: device.scratch.bytes(scratchBytes, worker: worker)
                        .assumingMemoryBound(to: Float.self))
                kernel(&arguments)
            }
        }
    }
}

/// A sequence whose beginning other sequences share, laid end to end.
private struct GatheredSequence {
    let keys: Tensor
    let values: Tensor
    let dk: Tensor
    let dv: Tensor

    /// Nil if the segment is a whole sequence by itself.
    init?(_ segment: SequenceSegment, keys: Tensor, values: Tensor) {
        guard let prefix = segment.prefix else { return nil }
        func whole(_ x: Tensor) -> Tensor {
            Tensor(stacking: [x.rows(prefix), x.rows(segment.rows)])
        }
        self.keys = whole(keys)
        self.values = whole(values)
        dk = Tensor(uninitialized: self.keys.shape)
        dv = Tensor(uninitialized: self.keys.shape)
    }
}

extension SequenceSegment {
    /// Tokens of the sequence up to the segment's end.
    fileprivate var tokenCount: Int { firstPosition + rows.count }
}

/// Some queries and keys of one segment and KV head.
private struct GradientJob {
    let segment: Int
    let head: Int
    let queries: Range<Int>
    let keys: Range<Int>
    var givesQueries = false
    var givesKeys = false

    var size: Int { queries.count * keys.count }
}
