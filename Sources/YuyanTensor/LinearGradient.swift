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

/// Adds a product's weight gradient `dYᵀ X` to `gradient`: see `accumulateWeightGradients`.
package func accumulateWeightGradient(
    _ dy: Tensor, _ x: Tensor, into gradient: UnsafeMutablePointer<Float>, outputs: Int,
    resume: Bool, on device: Device
) {
    precondition(dy.width == outputs, "\(dy.shape) for \(outputs) outputs")
    accumulateWeightGradients([dy], x, into: [gradient], resume: resume, on: device)
}

/// Adds the weight gradients `dYᵢᵀ X` of products that share their input to `gradients`.
///
/// `dYᵢ` is `[T, outᵢ]`, `x` `[T, in]`, a gradient in the layout of a float32 `PackedMatrix`: `[panels of
/// 16 outputs][in][16]`, padding lanes zero. Each element is a chain over the rows in order that goes
/// on from what is there, so a batch in one call or in many leaves the same bits.
///
/// - Parameter resume: False to start from zero, whatever the gradients hold.
package func accumulateWeightGradients(
    _ dys: [Tensor], _ x: Tensor, into gradients: [UnsafeMutablePointer<Float>], resume: Bool,
    on device: Device
) {
    precondition(dys.count == gradients.count, "\(dys.count), \(gradients.count)")
    for dy in dys { precondition(dy.rowCount == x.rowCount, "\(dy.shape)ᵀ times \(x.shape)") }
    if x.rowCount > 0 {
        if isNarrow(x), dys.allSatisfy(hasWholePanels) {
            return addToNarrow(dys, x, into: gradients, resume: resume, on: device)
        }
        if dys.allSatisfy(isNarrow), hasWholePanels(x) {
            return addToFlat(dys, x, into: gradients, resume: resume, on: device)
        }
    }
    let panels = dys.indices.flatMap { index -> [GradientPanel] in
        stride(from: 0, to: dys[index].width, by: Int(YK_PANEL)).map { first in
            GradientPanel(
                dy: dys[index].pointer + first, dyWidth: dys[index].width,
                width: min(Int(YK_PANEL), dys[index].width - first),
                gradient: gradients[index] + first * x.width,
                isLast: first + Int(YK_PANEL) >= dys[index].width)
        }
    }
    if x.rowCount == 0 && !resume {
        for panel in panels { panel.gradient.update(repeating: 0, count: x.width * Int(YK_PANEL)) }
    }
    withExtendedLifetime(dys) {
        for first in stride(from: 0, to: x.rowCount, by: tokenPiece) {
            let rows = first..<min(first + tokenPiece, x.rowCount)
            addWeightGradients(panels, x, rows, resume: resume || first > 0, on: device)
        }
    }
}

/// Sixteen outputs of one product. Addresses only: workers take copies by the thousand, and counting
/// references to tensors was a twentieth of a training step.
///
/// Unchecked: each panel of a gradient is written by the worker that computes it.
private struct GradientPanel: @unchecked Sendable {
    /// The first row's first element of these outputs; the caller keeps the tensor.
    let dy: UnsafePointer<Float>
    let dyWidth: Int
    /// Outputs that exist.
    let width: Int
    let gradient: UnsafeMutablePointer<Float>
    /// Whether no panel of the same product follows.
    let isLast: Bool
}

private func addWeightGradients(
    _ panels: [GradientPanel], _ x: Tensor, _ rows: Range<Int>, resume: Bool, on device: Device
) {
    let lanes = Int(YK_PANEL)
    let inputs = x.width
    guard let pack = device.kernels.table.pointee.strip_pack else { return }
    let copies = Storage(
        byteCount: panels.count * lanes * rows.count * MemoryLayout<Float>.stride)
    let start = copies.start.assumingMemoryBound(to: Float.self)
    let tiles = FloatTiles(
        count: inputs, length: rows.count, stride: device.kernels.table.pointee.tile_float)
    // Some rows at a time, whose lines stay in the first-level cache for neighbouring strips.
    let rowsEach = 16
    device.pool.parallel((rows.count + rowsEach - 1) / rowsEach) { index, _ in
        let at = index * rowsEach
        let (row, count) = (rows.lowerBound + at, min(rowsEach, rows.count - at))
        for (number, panel) in panels.enumerated() {
            pack(
                panel.dy + row * panel.dyWidth, panel.dyWidth, count, panel.width, lanes,
                start + (number * rows.count + at) * lanes)
        }
        for tile in 0..<tiles.tileCount {
            pack(
                x.pointer + row * inputs + tile * tiles.stride, inputs, count, tiles.rows(tile),
                tiles.stride, tiles.tile(tile) + at * tiles.stride)
        }
    }
    // As many panels of a product at a time as the kernels keep in registers.
    var groups: [Range<Int>] = []
    for panel in panels.indices {
        if let last = groups.last, last.count < device.panelsInRegisters,
            !panels[panel - 1].isLast
        {
            groups[groups.count - 1] = last.lowerBound..<panel + 1
        } else {
            groups.append(panel..<panel + 1)
        }
    }
    let blocks = tiles.blocks
    device.pool.parallel(blocks.count * groups.count) { index, worker in
        let group = groups[index % groups.count]
        let panel = group.lowerBound
        device.multiply(
            FloatPanels(
                start: start + panel * lanes * rows.count, stride: lanes * rows.count,
                length: rows.count), by: tiles, blocks[index / groups.count], resume: resume,
            into: PanelTarget(gradient: panels[panel].gradient, rows: inputs, panels: group.count),
            worker: worker)
    }
}

/// Token rows that a weight's gradient takes at a time, so that their copies stay in a cache.
private let tokenPiece = 1024

/// Output features that the gradient of an input takes at a time, so that the transposed weights
/// stay in a cache: multiples of a panel.
private let outputPiece = 1024

/// Neighbouring outputs of several weights.
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
    let together = device.panelsTogether(panels.count, blocks: blocks.count)
    let parts = (panels.count + together - 1) / together
    let all = panels.panels
    device.pool.parallel(blocks.count * parts) { index, worker in
        let panel = index % parts * together
        device.multiply(
            all.from(panel), by: tiles, blocks[index / parts], resume: resume,
            into: PanelTarget(
                dx, first: panel * Int(YK_PANEL), panels: min(together, panels.count - panel)),
            worker: worker)
    }
}
