import CYuyanKernels

/// Float32 panels `[panels][length][16]`: the vectors of a product, 16 outputs to a lane each.
struct FloatPanels {
    let start: UnsafePointer<Float>
    /// Floats from one panel to the next.
    let stride: Int
    /// Terms of each sum.
    let length: Int

    /// The panels from number `index` on.
    func from(_ index: Int) -> FloatPanels {
        FloatPanels(start: start + index * stride, stride: stride, length: length)
    }
}

/// Float32 tiles `[tiles][length][stride]`: the numbers of a product that meet whole vectors.
struct FloatTiles {
    let storage: Storage
    /// Terms of each sum.
    let length: Int
    /// Rows of the result: tokens of an activation, columns of a weight's gradient.
    let count: Int
    let stride: Int
    var tileCount: Int { (count + stride - 1) / stride }

    /// Undefined contents.
    init(count: Int, length: Int, stride: Int) {
        self.count = count
        self.length = length
        self.stride = stride
        let tiles = (count + stride - 1) / stride
        storage = Storage(byteCount: tiles * length * stride * MemoryLayout<Float>.stride)
    }

    func rows(_ tile: Int) -> Int { min(stride, count - tile * stride) }
    func tile(_ index: Int) -> UnsafeMutablePointer<Float> {
        storage.start.assumingMemoryBound(to: Float.self) + index * length * stride
    }

    /// Even stretches of tiles that fit a second-level cache beside the panels they meet.
    var blocks: [Range<Int>] { evenBlocks(tileCount, bytesEach: length * stride * 4) }
}

/// Stretches of tiles, all but the last of one size, whose bytes fit a second-level cache.
func evenBlocks(_ tiles: Int, bytesEach: Int) -> [Range<Int>] {
    let most = max(1, secondLevelBytes / max(bytesEach, 1))
    let pieces = max(1, (tiles + most - 1) / most)
    let size = max(1, (tiles + pieces - 1) / pieces)
    return stride(from: 0, to: tiles, by: size).map { $0..<min($0 + size, tiles) }
}

/// What a block of tiles may take of a second-level cache, which is 1 MiB or more.
private let secondLevelBytes = 640 << 10

/// Packs the rows of `x` `[T, C]` as tiles: tokens are the tiles' rows, columns their terms.
func packedTiles(_ x: Tensor, on device: Device) -> FloatTiles {
    let kernels = device.kernels.table.pointee
    let tiles = FloatTiles(count: x.rowCount, length: x.width, stride: kernels.tile_float)
    device.pool.parallel(tiles.tileCount) { tile, _ in
        kernels.tile_float_pack(
            x.pointer + tile * tiles.stride * x.width, x.width, tiles.rows(tile), x.width,
            tiles.stride, tiles.tile(tile))
    }
    return tiles
}

/// Where a product's rows of 16 outputs go.
///
/// Row `i` of panel `p` lies at `start + i * rowStride + p * panelStride`. Outputs that do not exist
/// in a padded last panel go through a side buffer.
struct PanelTarget {
    let start: UnsafeMutablePointer<Float>
    let rowStride: Int
    let panelStride: Int
    let panels: Int
    /// Outputs that exist of the panels' rows.
    let width: Int
    private var isPadded: Bool { width < panels * Int(YK_PANEL) }

    /// Outputs `first..<first + 16 * panels` of every row, as far as the output has them.
    init(_ output: Tensor, first: Int, panels: Int) {
        start = output.pointer + first
        rowStride = output.width
        panelStride = Int(YK_PANEL)
        self.panels = panels
        width = min(panels * Int(YK_PANEL), output.width - first)
    }

    /// Panels of a weight's gradient, `[panels][rows][16]`.
    init(gradient: UnsafeMutablePointer<Float>, rows: Int, panels: Int) {
        start = gradient
        rowStride = Int(YK_PANEL)
        panelStride = rows * Int(YK_PANEL)
        self.panels = panels
        width = panels * Int(YK_PANEL)
    }

    /// Lends the place of rows `first..<first + count`; with `resume` it holds what is there.
    func write(
        first: Int, count: Int, resume: Bool,
        _ body: (_ y: UnsafeMutablePointer<Float>, _ rowStride: Int, _ panelStride: Int) -> Void
    ) {
        let place = start + first * rowStride
        if !isPadded { return body(place, rowStride, panelStride) }
        let whole = panels * Int(YK_PANEL)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: whole * count) { side in
            guard let base = side.baseAddress else { return }
            base.initialize(repeating: 0, count: whole * count)
            if resume {
                for i in 0..<count {
                    (base + i * whole).update(from: place + i * rowStride, count: width)
                }
            }
            body(base, whole, Int(YK_PANEL))
            for i in 0..<count {
                (place + i * rowStride).update(from: base + i * whole, count: width)
            }
        }
    }
}

/// Calls `body` for even pieces of `length` terms, whole blocks each, of at most `limit` terms.
func forEachPiece(of length: Int, limit: Int, _ body: (Range<Int>) -> Void) {
    let pieces = (length + limit - 1) / limit
    guard pieces > 0 else { return }
    let even = (length + pieces - 1) / pieces
    let size = min((even + Int(YK_BLOCK) - 1) / Int(YK_BLOCK) * Int(YK_BLOCK), length)
    for first in stride(from: 0, to: length, by: size) { body(first..<min(first + size, length)) }
}

/// What a low-rank update adds to the sums of a product: a product of its own, of few terms.
struct AddedProduct {
    let panels: FloatPanels
    /// As the product's tiles, with the update's inner product.
    let tiles: FloatTiles

    /// The panels from number `index` on.
    func from(_ index: Int) -> AddedProduct {
        AddedProduct(panels: panels.from(index), tiles: tiles)
    }
}

extension Device {
    /// Some panels times some tiles; the sums in `target` go on with `resume`.
    ///
    /// - Parameter added: Summed by itself, from zero, and added to the finished sums.
    func multiply(
        _ panels: FloatPanels, by tiles: FloatTiles, _ block: Range<Int>, resume: Bool = false,
        adding added: AddedProduct? = nil, into target: PanelTarget, worker: Int
    ) {
        let first = block.lowerBound * tiles.stride
        let rows = min(block.upperBound * tiles.stride, tiles.count) - first
        let sums = sums.bytes(
            rows * panelsInRegisters * Int(YK_PANEL) * MemoryLayout<Float>.stride, worker: worker)
        var job = yk_product(
            panels: panels.start, panel_stride: panels.stride, panel_count: target.panels,
            columns: panels.length, tiles: tiles.tile(block.lowerBound), tile_rows: tiles.stride,
            rows: rows, resume: resume ? 1 : 0, y: target.start + first * target.rowStride,
            y_stride: target.rowStride, y_panel_stride: target.panelStride, width: target.width,
            added_panels: added?.panels.start, added_panel_stride: added?.panels.stride ?? 0,
            added_columns: added?.panels.length ?? 0,
            added_tiles: added.map { UnsafePointer($0.tiles.tile(block.lowerBound)) },
            sums: sums.assumingMemoryBound(to: Float.self))
        kernels.table.pointee.product_float(&job)
    }

    /// Panels that a product holds in registers together.
    var panelsInRegisters: Int { kernels.table.pointee.panels_float }

    /// How many panels a job takes of `count` for each of `blocks`: some that registers hold, so that
    /// each fetches the next, but few enough that the workers end together.
    func panelsTogether(_ count: Int, blocks: Int) -> Int {
        let groups = (count + panelsInRegisters - 1) / panelsInRegisters * blocks
        return panelsInRegisters * max(1, min(4, groups / (8 * pool.threadCount)))
    }
}
