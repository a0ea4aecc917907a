import CYuyanKernels

/// Products of one activation with several weights, in one pass over the thread pool.
///
/// `y = x Wᵀ` for each weight: `x` is `[T, in]`, the results `[T, out]`. Each output element is
/// reduced over `in` in index order in one chain, by itself: it does not depend on `T`, on the other
/// weights, or on threads (docs/numerics.md, "Products").
public func linear(_ x: Tensor, _ weights: [PackedMatrix], on device: Device) -> [Tensor] {
    for weight in weights {
        precondition(
            x.width == weight.columns, "\(x.shape) times [\(weight.rows), \(weight.columns)]ᵀ")
    }
    let tokens = x.rowCount
    var outputs = weights.map { Tensor(uninitialized: [tokens, $0.rows]) }
    guard tokens > 0 else { return outputs }
    let rounds = weights.map { $0.isBlockQuantised && device.precision == .int16 }
    if tokens == 1 {
        multiplyOneToken(x, weights, rounds: rounds, into: outputs, on: device)
    } else if tokens <= fewTokens, weights.allSatisfy({ device.multipliesFew($0) }) {
        multiplyFewTokens(x, weights, rounds: rounds, into: outputs, on: device)
    } else {
        multiplyTiles(x, weights, rounds: rounds, into: outputs, on: device)
    }
    device.record(
        "linear", &outputs, from: [x.source] + weights.map { $0.parameter.map { .parameter($0) } }
    ) { linearBackward(x, weights) }
    return outputs
}

/// `y = x Wᵀ`: see `linear(_:_:on:)`.
public func linear(_ x: Tensor, _ weight: PackedMatrix, on device: Device) -> Tensor {
    linear(x, [weight], on: device)[0]
}

// MARK: - One token: stream the panels

/// A stretch of panels of one weight, the unit that a worker takes.
struct PanelRange {
    let weight: Int
    let first: Int
    let count: Int
}

func panelRanges(_ weights: [PackedMatrix], bytesEach: Int, multiple: Int) -> [PanelRange] {
    var ranges: [PanelRange] = []
    for (index, weight) in weights.enumerated() {
        let wanted = max(1, bytesEach / max(weight.panelBytes, 1))
        let step = (wanted + multiple - 1) / multiple * multiple
        for first in stride(from: 0, to: weight.panelCount, by: step) {
            ranges.append(
                PanelRange(weight: index, first: first, count: min(step, weight.panelCount - first))
            )
        }
    }
    return ranges
}

/// Small enough that two workers finish together, large enough that the hand-out does not show.
func streamedRanges(_ weights: [PackedMatrix], on device: Device) -> [PanelRange] {
    let total = weights.reduce(0) { $0 + $1.byteCount }
    let share = total / (device.pool.threadCount * 4)
    let bytesEach =
        device.pool.threadCount == 1 ? Int.max / 2 : max(16 << 10, min(share, 256 << 10))
    return panelRanges(weights, bytesEach: bytesEach, multiple: 4)
}

private func multiplyOneToken(
    _ x: Tensor, _ weights: [PackedMatrix], rounds: [Bool], into outputs: [Tensor],
    on device: Device
) {
    let kernels = device.kernels.table.pointee
    let tile = rounds.contains(true) ? Tile16Buffer(columns: x.width, tokens: 1, stride: 1) : nil
    if let tile { kernels.tile_int16_pack(x.pointer, x.width, 1, x.width, 1, tile.tile(0)) }
    let ranges = streamedRanges(weights, on: device)
    device.pool.parallel(ranges.count) { index, _ in
        let range = ranges[index]
        let weight = weights[range.weight]
        // The last panel's padding falls into the output's own padding to 64 bytes.
        let y = outputs[range.weight].pointer + range.first * Int(YK_PANEL)
        let panels = weight.panels + range.first * weight.panelBytes
        if rounds[range.weight], let tile {
            kernels.matvec_int16(
                weight.format, panels, range.count, weight.columns, tile.tile(0), y)
        } else {
            kernels.matvec_float(
                weight.format, panels, range.count, weight.columns, x.pointer, y)
        }
    }
}

// MARK: - Many tokens: expand a pair of panels once, meet every tile of tokens

private func multiplyTiles(
    _ x: Tensor, _ weights: [PackedMatrix], rounds: [Bool], into outputs: [Tensor],
    on device: Device
) {
    let tiles16 = rounds.contains(true) ? packedTiles16(x, on: device) : nil
    let tilesFloat = rounds.contains(false) ? packedTilesFloat(x, on: device) : nil
    // Two panels at a time: the kernels keep both in registers.
    let ranges = panelRanges(weights, bytesEach: 0, multiple: 2)
    device.pool.parallel(ranges.count) { index, worker in
        let range = ranges[index]
        let weight = weights[range.weight]
        let target = PanelTarget(
            outputs[range.weight], row: range.first * Int(YK_PANEL), panels: range.count)
        if rounds[range.weight], let tiles16 {
            let expanded = expandedPanels(weight, range, worker: worker, on: device)
            multiply(weight, expanded, by: tiles16, into: target, on: device)
        } else if let tilesFloat {
            let panels = widenedPanels(weight, range, worker: worker, on: device)
            multiply(weight, panels, by: tilesFloat, into: target, on: device)
        }
    }
}

private func multiply(
    _ weight: PackedMatrix, _ panels: yk_expanded16, by tiles: Tile16Buffer,
    into target: PanelTarget, on device: Device
) {
    guard let kernel = device.kernels.table.pointee.matmul_int16 else { return }
    let limit = device.kernels.table.pointee.columns_int16
    let scales = weight.format == YK_Q6_K ? 2 : 1
    target.forEachPiece(columns: weight.columns, limit: limit) { columns in
        let block = columns.lowerBound / Int(YK_BLOCK)
        let piece = yk_expanded16(
            codes: panels.codes + columns.lowerBound * Int(YK_PANEL),
            scale: panels.scale + block * scales * Int(YK_PANEL),
            minimum: panels.minimum + block * Int(YK_PANEL), panel_bytes: panels.panel_bytes)
        for tile in 0..<tiles.tileCount {
            let count = tiles.count(tile)
            target.write(token: tile * tiles.stride, count: count) { y, stride in
                kernel(
                    weight.format, piece, target.panels, columns.count,
                    tiles.tile(tile, from: columns.lowerBound), tiles.stride, count,
                    columns.lowerBound > 0 ? 1 : 0, y, stride)
            }
        }
    }
}

private func multiply(
    _ weight: PackedMatrix, _ panels: UnsafePointer<Float>, by tiles: FloatTiles,
    into target: PanelTarget, on device: Device
) {
    guard let kernel = device.kernels.table.pointee.matmul_float else { return }
    let limit = device.kernels.table.pointee.columns_float
    target.forEachPiece(columns: weight.columns, limit: limit) { columns in
        for tile in 0..<tiles.tileCount {
            let count = tiles.count(tile)
            target.write(token: tile * tiles.stride, count: count) { y, stride in
                kernel(
                    panels + columns.lowerBound * Int(YK_PANEL), weight.columns * Int(YK_PANEL),
                    target.panels, columns.count,
                    tiles.tile(tile) + columns.lowerBound * tiles.stride, tiles.stride, count,
                    columns.lowerBound > 0 ? 1 : 0, y, stride)
            }
        }
    }
}

/// Where a kernel's rows of 16 outputs go; a padded last panel goes through a side buffer.
struct PanelTarget {
    let start: UnsafeMutablePointer<Float>
    let stride: Int
    let panels: Int
    /// Outputs that exist of the panels' rows.
    let width: Int
    private var isPadded: Bool { width < panels * Int(YK_PANEL) }

    init(_ output: Tensor, row: Int, panels: Int) {
        start = output.pointer + row
        stride = output.width
        self.panels = panels
        width = min(panels * Int(YK_PANEL), output.width - row)
    }

    /// Calls `body` for even pieces of columns that stay in the first-level cache while every tile
    /// of tokens meets them; a padded panel has no place to keep its sums in between.
    func forEachPiece(columns: Int, limit: Int, _ body: (Range<Int>) -> Void) {
        let pieces = isPadded ? 1 : (columns + limit - 1) / limit
        let even = (columns + pieces - 1) / pieces
        let size = min((even + Int(YK_BLOCK) - 1) / Int(YK_BLOCK) * Int(YK_BLOCK), columns)
        for first in Swift.stride(from: 0, to: columns, by: size) {
            body(first..<min(first + size, columns))
        }
    }

    func write(token: Int, count: Int, _ body: (UnsafeMutablePointer<Float>, Int) -> Void) {
        let first = start + token * stride
        if !isPadded { return body(first, stride) }
        let whole = panels * Int(YK_PANEL)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: whole * count) { side in
            guard let base = side.baseAddress else { return }
            body(base, whole)
            for i in 0..<count {
                (first + i * stride).update(from: base + i * whole, count: width)
            }
        }
    }
}

/// Float tiles `[tiles][columns][stride]` of an activation.
private struct FloatTiles {
    let storage: Storage
    let columns: Int
    let tokens: Int
    let stride: Int
    var tileCount: Int { (tokens + stride - 1) / stride }
    func count(_ tile: Int) -> Int { min(stride, tokens - tile * stride) }
    func tile(_ index: Int) -> UnsafeMutablePointer<Float> {
        storage.start.assumingMemoryBound(to: Float.self) + index * columns * stride
    }
}

private func packedTilesFloat(_ x: Tensor, on device: Device) -> FloatTiles {
    let kernels = device.kernels.table.pointee
    let stride = kernels.tile_float
    let count = (x.rowCount + stride - 1) / stride
    let tiles = FloatTiles(
        storage: Storage(byteCount: count * x.width * stride * MemoryLayout<Float>.stride),
        columns: x.width, tokens: x.rowCount, stride: stride)
    device.pool.parallel(tiles.tileCount) { tile, _ in
        kernels.tile_float_pack(
            x.pointer + tile * stride * x.width, x.width, tiles.count(tile), x.width, stride,
            tiles.tile(tile))
    }
    return tiles
}

/// Activations rounded to 16 bits: codes, scales and sums of every tile.
struct Tile16Buffer {
    let storage: Storage
    let columns: Int
    let tokens: Int
    let stride: Int
    var tileCount: Int { (tokens + stride - 1) / stride }
    func count(_ tile: Int) -> Int { min(stride, tokens - tile * stride) }

    private var codeBytes: Int { columns / 2 * stride * 4 }
    private var scaleBytes: Int { (columns / Int(YK_BLOCK) * stride * 4 + 63) & ~63 }
    private var tileBytes: Int { codeBytes + 3 * scaleBytes }

    init(columns: Int, tokens: Int, stride: Int) {
        self.columns = columns
        self.tokens = tokens
        self.stride = stride
        let scaleBytes = (columns / Int(YK_BLOCK) * stride * 4 + 63) & ~63
        let tiles = (tokens + stride - 1) / stride
        storage = Storage(byteCount: tiles * (columns / 2 * stride * 4 + 3 * scaleBytes))
    }

    /// One tile, or the part of it from a column on, a multiple of the block size.
    func tile(_ index: Int, from column: Int = 0) -> yk_tile16 {
        let start = storage.start + index * tileBytes
        let block = column / Int(YK_BLOCK) * stride
        let scales = start + codeBytes
        return yk_tile16(
            codes: start.assumingMemoryBound(to: Int32.self) + column / 2 * stride,
            scale: scales.assumingMemoryBound(to: Float.self) + block,
            sum: (scales + scaleBytes).assumingMemoryBound(to: Float.self) + block,
            code_sum: (scales + 2 * scaleBytes).assumingMemoryBound(to: Int32.self) + block)
    }
}

private func packedTiles16(_ x: Tensor, on device: Device) -> Tile16Buffer {
    let kernels = device.kernels.table.pointee
    let stride = kernels.tile_int16
    let tiles = Tile16Buffer(columns: x.width, tokens: x.rowCount, stride: stride)
    device.pool.parallel(tiles.tileCount) { tile, _ in
        kernels.tile_int16_pack(
            x.pointer + tile * stride * x.width, x.width, tiles.count(tile), x.width, stride,
            tiles.tile(tile))
    }
    return tiles
}

private func expandedPanels(
    _ weight: PackedMatrix, _ range: PanelRange, worker: Int, on device: Device
) -> yk_expanded16 {
    let blocks = weight.columns / Int(YK_BLOCK)
    let codeBytes = weight.columns * Int(YK_PANEL) * 2
    let scaleBytes = blocks * 2 * Int(YK_PANEL) * 4
    let panelBytes = codeBytes + 2 * scaleBytes
    let start = device.scratch.bytes(range.count * panelBytes, worker: worker)
    func panel(_ index: Int) -> yk_expanded16 {
        let start = start + index * panelBytes
        return yk_expanded16(
            codes: start.assumingMemoryBound(to: Int16.self),
            scale: (start + codeBytes).assumingMemoryBound(to: Float.self),
            minimum: (start + codeBytes + scaleBytes).assumingMemoryBound(to: Float.self),
            panel_bytes: panelBytes)
    }
    for index in 0..<range.count {
        device.kernels.table.pointee.expand_int16(
            weight.format, weight.panels + (range.first + index) * weight.panelBytes,
            weight.columns, panel(index))
    }
    return panel(0)
}

private func widenedPanels(
    _ weight: PackedMatrix, _ range: PanelRange, worker: Int, on device: Device
) -> UnsafePointer<Float> {
    let panels = weight.panels + range.first * weight.panelBytes
    let size = weight.columns * Int(YK_PANEL)
    if weight.format == YK_F32 {
        return UnsafeRawPointer(panels).assumingMemoryBound(to: Float.self)
    }
    let start = device.scratch.bytes(range.count * size * 4, worker: worker)
        .assumingMemoryBound(to: Float.self)
    for index in 0..<range.count {
        device.kernels.table.pointee.expand_float(
            weight.format, panels + index * weight.panelBytes, weight.columns, start + index * size)
    }
    return UnsafePointer(start)
}
