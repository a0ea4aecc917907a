import CYuyanKernels

/// The gradient of a product's input: `dX = Σᵢ dYᵢ Wᵢ`.
///
/// `dYᵢ` is `[T, outᵢ]`, `Wᵢ` `[outᵢ, in]` of any stored type, the result `[T, in]`. Weights are
/// widened to float32 whatever the precision of the product itself. Each element is one chain over
/// the weights in order and their outputs in index order (docs/numerics.md, "Gradients").
package func inputGradient(
    _ dys: [Tensor], _ weights: [PackedMatrix], on device: Device
) -> Tensor {
    precondition(dys.count == weights.count && !dys.isEmpty, "\(dys.count), \(weights.count)")
    let (tokens, width) = (dys[0].rowCount, weights[0].columns)
    for (dy, weight) in zip(dys, weights) {
        precondition(
            dy.rowCount == tokens && dy.width == weight.rows && weight.columns == width,
            "\(dy.shape) times [\(weight.rows), \(weight.columns)]")
    }
    let dx = Tensor(uninitialized: [tokens, width])
    guard tokens > 0 else { return dx }
    var isFirst = true
    for group in outputGroups(weights) {
        let panels = transposedPanels(weights, group, on: device)
        let tiles = gradientTiles(dys, group, tokens: tokens, on: device)
        multiplyAll(panels, by: tiles, resume: !isFirst, into: dx, on: device)
        isFirst = false
    }
    return dx
}

/// Adds a product's weight gradient `dYᵀ X` to `gradient`.
///
/// `dy` is `[T, out]`, `x` `[T, in]`, the gradient in the layout of a float32 `PackedMatrix`:
/// `[panels of 16 outputs][in][16]`, padding lanes zero. Each element is a chain over the rows in
/// order that goes on from what is there, so a batch in one call or in many leaves the same bits.
///
/// - Parameter resume: False to start from zero, whatever `gradient` holds.
package func accumulateWeightGradient(
    _ dy: Tensor, _ x: Tensor, into gradient: UnsafeMutablePointer<Float>, outputs: Int,
    resume: Bool, on device: Device
) {
    precondition(
        dy.width == outputs && dy.rowCount == x.rowCount, "\(dy.shape)ᵀ times \(x.shape)")
    let lanes = Int(YK_PANEL)
    let (tokens, inputs) = (x.rowCount, x.width)
    let panelCount = (outputs + lanes - 1) / lanes
    if tokens == 0 {
        if !resume { gradient.update(repeating: 0, count: panelCount * inputs * lanes) }
        return
    }
    let kernels = device.kernels.table.pointee
    let rows = tokenPiece
    let most = min(tokens, rows)
    let panels = Storage(byteCount: panelCount * lanes * most * MemoryLayout<Float>.stride)
    let start = panels.start.assumingMemoryBound(to: Float.self)
    let tiles = FloatTiles(count: inputs, length: most, stride: kernels.tile_float)
    for first in stride(from: 0, to: tokens, by: rows) {
        let count = min(rows, tokens - first)
        let piece = FloatTiles(tiles, length: count)
        device.pool.parallel(panelCount + tiles.tileCount) { index, _ in
            if index < panelCount {
                kernels.strip_pack(
                    dy.pointer + first * outputs + index * lanes, outputs, count,
                    min(lanes, outputs - index * lanes), lanes, start + index * lanes * count)
            } else {
                let tile = index - panelCount
                kernels.strip_pack(
                    x.pointer + first * inputs + tile * tiles.stride, inputs, count,
                    tiles.rows(tile), tiles.stride, piece.tile(tile))
            }
        }
        let goesOn = resume || first > 0
        let blocks = piece.blocks
        let pairs = (panelCount + 1) / 2
        device.pool.parallel(blocks.count * pairs) { index, _ in
            let panel = index % pairs * 2
            device.multiply(
                FloatPanels(
                    start: start + panel * lanes * count, stride: lanes * count, length: count),
                by: piece, blocks[index / pairs], resume: goesOn,
                into: PanelTarget(
                    gradient: gradient + panel * inputs * lanes, rows: inputs,
                    panels: min(2, panelCount - panel)))
        }
    }
}

/// Token rows that a weight's gradient takes at a time, so that their copies stay in a cache.
private let tokenPiece = 1024

/// Output features that the gradient of an input takes at a time, so that the transposed weights
/// stay in a cache: multiples of a panel.
private let outputPiece = 1024

/// Neighbouring outputs of several weights, `[first of the weight, count]` each.
private struct OutputGroup {
    var parts: [(weight: Int, outputs: Range<Int>)] = []
    var length: Int { parts.reduce(0) { $0 + $1.outputs.count } }
}

/// Cuts the outputs of all weights, one behind another, into groups of at most `outputPiece`.
private func outputGroups(_ weights: [PackedMatrix]) -> [OutputGroup] {
    var groups: [OutputGroup] = []
    var last = OutputGroup()
    for (index, weight) in weights.enumerated() {
        var first = 0
        while first < weight.rows {
            let room = (outputPiece - last.length) / Int(YK_PANEL) * Int(YK_PANEL)
            if room == 0 {
                groups.append(last)
                last = OutputGroup()
                continue
            }
            let end = min(first + room, weight.rows)
            last.parts.append((index, first..<end))
            first = end
        }
    }
    if !last.parts.isEmpty { groups.append(last) }
    return groups
}

/// A group's weights, widened and transposed: `[panels of 16 inputs][outputs][16]`.
private struct TransposedPanels {
    let storage: Storage
    let length: Int
    let count: Int
    var start: UnsafeMutablePointer<Float> { storage.start.assumingMemoryBound(to: Float.self) }
    var panels: FloatPanels {
        FloatPanels(start: UnsafePointer(start), stride: length * Int(YK_PANEL), length: length)
    }
}

private func transposedPanels(
    _ weights: [PackedMatrix], _ group: OutputGroup, on device: Device
) -> TransposedPanels {
    let lanes = Int(YK_PANEL)
    let (inputs, length) = (weights[0].columns, group.length)
    let count = (inputs + lanes - 1) / lanes
    let panels = TransposedPanels(
        storage: Storage(byteCount: count * length * lanes * MemoryLayout<Float>.stride),
        length: length, count: count)
    // Each job widens one stored panel and turns its blocks of 16 by 16.
    var jobs: [(weight: Int, panel: Int, rows: Int, at: Int)] = []
    var at = 0
    for part in group.parts {
        for first in stride(from: part.outputs.lowerBound, to: part.outputs.upperBound, by: lanes) {
            let rows = min(lanes, part.outputs.upperBound - first)
            jobs.append((part.weight, first / lanes, rows, at))
            at += rows
        }
    }
    let kernels = device.kernels.table.pointee
    let start = panels.start
    device.pool.parallel(jobs.count) { index, worker in
        let job = jobs[index]
        let weight = weights[job.weight]
        let source = weight.floatPanel(job.panel, worker: worker, on: device)
        for block in 0..<count {
            kernels.panel_transpose(
                source + block * lanes * lanes, min(lanes, inputs - block * lanes), job.rows,
                start + (block * length + job.at) * lanes)
        }
    }
    return panels
}

extension PackedMatrix {
    /// One panel `[in][16]` in float32, its own or widened in the worker's scratch memory.
    fileprivate func floatPanel(
        _ index: Int, worker: Int, on device: Device
    ) -> UnsafePointer<Float> {
        let panel = panels + index * panelBytes
        if format == YK_F32 {
            return UnsafeRawPointer(panel).assumingMemoryBound(to: Float.self)
        }
        let wide = device.scratch.bytes(columns * Int(YK_PANEL) * 4, worker: worker)
            .assumingMemoryBound(to: Float.self)
        device.kernels.table.pointee.expand_float(format, panel, columns, wide)
        return UnsafePointer(wide)
    }
}

/// The columns of the gradients that belong to a group, as tiles of tokens.
private func gradientTiles(
    _ dys: [Tensor], _ group: OutputGroup, tokens: Int, on device: Device
) -> FloatTiles {
    let kernels = device.kernels.table.pointee
    let tiles = FloatTiles(count: tokens, length: group.length, stride: kernels.tile_float)
    device.pool.parallel(tiles.tileCount) { tile, _ in
        var out = tiles.tile(tile)
        for part in group.parts {
            let dy = dys[part.weight]
            kernels.tile_float_pack(
                dy.pointer + tile * tiles.stride * dy.width + part.outputs.lowerBound, dy.width,
                tiles.rows(tile), part.outputs.count, tiles.stride, out)
            out += part.outputs.count * tiles.stride
        }
    }
    return tiles
}

private func multiplyAll(
    _ panels: TransposedPanels, by tiles: FloatTiles, resume: Bool, into dx: Tensor,
    on device: Device
) {
    let blocks = tiles.blocks
    let pairs = (panels.count + 1) / 2
    let all = panels.panels
    device.pool.parallel(blocks.count * pairs) { index, _ in
        let panel = index % pairs * 2
        device.multiply(
            all.from(panel), by: tiles, blocks[index / pairs], resume: resume,
            into: PanelTarget(
                dx, first: panel * Int(YK_PANEL), panels: min(2, panels.count - panel)))
    }
}
