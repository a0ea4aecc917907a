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
        let tiles16 = rounds.contains(true) ? packedTiles16(x, on: device) : nil
        let tiles = rounds.contains(false) ? packedTiles(x, on: device) : nil
        multiplyTiles(tiles16, tiles, weights, rounds: rounds, into: outputs, on: device)
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

// MARK: - Many tokens: expand some panels once, meet every tile of tokens

/// Multiplies packed rows with some weights, those that round their input with `tiles16`.
///
/// - Parameter added: What is added to each weight's product; none for those that round.
func multiplyTiles(
    _ tiles16: Tile16Buffer?, _ tilesFloat: FloatTiles?, _ weights: [PackedMatrix],
    rounds: [Bool], adding added: [AddedProduct?] = [], into outputs: [Tensor], on device: Device
) {
    // Panels that need no widening are taken by several times of what registers hold.
    let isReady = weights.allSatisfy { $0.format == YK_F32 }
    let together =
        isReady
        ? device.panelsTogether(
            weights.reduce(0) { $0 + $1.panelCount }, blocks: tilesFloat?.blocks.count ?? 1)
        : device.panelsInRegisters
    var parts: [(range: PanelRange, tiles: Range<Int>)] = []
    for (index, weight) in weights.enumerated() {
        let size = rounds[index] ? 2 : together
        for block in (rounds[index] ? tiles16?.blocks : tilesFloat?.blocks) ?? [] {
            for first in stride(from: 0, to: weight.panelCount, by: size) {
                let count = min(size, weight.panelCount - first)
                parts.append((PanelRange(weight: index, first: first, count: count), block))
            }
        }
    }
    device.pool.parallel(parts.count) { index, worker in
        let (range, block) = parts[index]
        let weight = weights[range.weight]
        let target = PanelTarget(
            outputs[range.weight], first: range.first * Int(YK_PANEL), panels: range.count)
        if rounds[range.weight], let tiles16 {
            let expanded = expandedPanels(weight, range, worker: worker, on: device)
            multiply(weight, expanded, by: tiles16, block, into: target, on: device)
        } else if let tilesFloat {
            let panels = widenedPanels(weight, range, worker: worker, on: device)
            let added = added.isEmpty ? nil : added[range.weight]?.from(range.first)
            device.multiply(
                panels, by: tilesFloat, block, adding: added, into: target, worker: worker)
        }
    }
}

private func multiply(
    _ weight: PackedMatrix, _ panels: yk_expanded16, by tiles: Tile16Buffer, _ block: Range<Int>,
    into target: PanelTarget, on device: Device
) {
    guard let kernel = device.kernels.table.pointee.matmul_int16 else { return }
    let limit = device.kernels.table.pointee.columns_int16
    let scales = weight.format == YK_Q6_K ? 2 : 1
    forEachPiece(of: weight.columns, limit: limit) { columns in
        let first = columns.lowerBound / Int(YK_BLOCK)
        let piece = yk_expanded16(
            codes: panels.codes + columns.lowerBound * Int(YK_PANEL),
            scale: panels.scale + first * scales * Int(YK_PANEL),
            minimum: panels.minimum + first * Int(YK_PANEL), panel_bytes: panels.panel_bytes)
        let goesOn = columns.lowerBound > 0
        for tile in block {
            let count = tiles.count(tile)
            target.write(first: tile * tiles.stride, count: count, resume: goesOn) {
                y, stride, _ in
                kernel(
                    weight.format, piece, target.panels, columns.count,
                    tiles.tile(tile, from: columns.lowerBound), tiles.stride, count,
                    goesOn ? 1 : 0, y, stride)
            }
        }
    }
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
    /// Stretches of tiles that fit a second-level cache.
    var blocks: [Range<Int>] { evenBlocks(tileCount, bytesEach: tileBytes) }

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

/// Panels of a range in float32: the weight's own, or widened in the worker's scratch memory.
private func widenedPanels(
    _ weight: PackedMatrix, _ range: PanelRange, worker: Int, on device: Device
) -> FloatPanels {
    let panels = weight.panels + range.first * weight.panelBytes
    let size = weight.columns * Int(YK_PANEL)
    if weight.format == YK_F32 {
        return FloatPanels(
            start: UnsafeRawPointer(panels).assumingMemoryBound(to: Float.self), stride: size,
            length: weight.columns)
    }
    let start = device.scratch.bytes(range.count * size * 4, worker: worker)
        .assumingMemoryBound(to: Float.self)
    for index in 0..<range.count {
        device.kernels.table.pointee.expand_float(
            weight.format, panels + index * weight.panelBytes, weight.columns, start + index * size)
    }
    return FloatPanels(start: UnsafePointer(start), stride: size, length: weight.columns)
}
