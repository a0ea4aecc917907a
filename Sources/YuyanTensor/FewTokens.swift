import CYuyanKernels

/// Most tokens that are multiplied straight from packed panels.
///
/// Beyond it the panels are expanded once and meet every tile, which then costs less than decoding
/// a panel anew for each tile.
let fewTokens = 32

extension Device {
    /// Whether a weight has kernels for a few tokens: all do, but block formats without rounding.
    func multipliesFew(_ weight: PackedMatrix) -> Bool {
        !weight.isBlockQuantised || precision == .int16
    }
}

/// Products of 2 to `fewTokens` tokens: a decode step of several sequences.
///
/// A pair of panels streams through once for each tile of tokens; while it is in the first-level
/// cache, every tile meets it.
func multiplyFewTokens(
    _ x: Tensor, _ weights: [PackedMatrix], rounds: [Bool], into outputs: [Tensor],
    on device: Device
) {
    let kernels = device.kernels.table.pointee
    let rounded = rounds.contains(true) ? FewRounded(x, on: device) : nil
    let floats = rounds.contains(false) ? FewFloats(x, on: device) : nil
    let ranges = streamedRanges(weights, on: device)
    device.pool.parallel(ranges.count) { index, _ in
        let range = ranges[index]
        let weight = weights[range.weight]
        for first in stride(from: range.first, to: range.first + range.count, by: 2) {
            let panels = weight.panels + first * weight.panelBytes
            let target = PanelTarget(
                outputs[range.weight], first: first * Int(YK_PANEL),
                panels: min(2, range.first + range.count - first))
            if rounds[range.weight], let rounded {
                rounded.cut.forEach { tile, token, count in
                    target.write(first: token, count: count, resume: false) { y, stride, _ in
                        kernels.few_int16(
                            weight.format, panels, target.panels, weight.columns,
                            rounded.tiles.tile(tile), rounded.cut.stride, count, y, stride)
                    }
                }
            } else if let floats {
                floats.cut.forEach { tile, token, count in
                    target.write(first: token, count: count, resume: false) { y, stride, _ in
                        kernels.few_float(
                            weight.format, panels, target.panels, weight.columns,
                            floats.tile(tile), floats.cut.stride, count, y, stride)
                    }
                }
            }
        }
    }
}

/// How tokens are shared out to tiles, as evenly as can be.
private struct TileCut {
    let tokens: Int
    let stride: Int
    var tileCount: Int { (tokens + stride - 1) / stride }

    init(tokens: Int, most: Int) {
        self.tokens = tokens
        let tiles = (tokens + most - 1) / most
        stride = (tokens + tiles - 1) / tiles
    }

    func forEach(_ body: (_ tile: Int, _ token: Int, _ count: Int) -> Void) {
        for tile in 0..<tileCount {
            body(tile, tile * stride, min(stride, tokens - tile * stride))
        }
    }
}

/// Tiles of activations rounded to 16 bits.
private struct FewRounded {
    let cut: TileCut
    let tiles: Tile16Buffer

    init(_ x: Tensor, on device: Device) {
        let kernels = device.kernels.table.pointee
        let cut = TileCut(tokens: x.rowCount, most: kernels.few_tokens_int16)
        let tiles = Tile16Buffer(columns: x.width, tokens: x.rowCount, stride: cut.stride)
        cut.forEach { tile, token, count in
            kernels.few_int16_pack(
                x.pointer + token * x.width, x.width, count, x.width, cut.stride,
                tiles.tile(tile))
        }
        self.cut = cut
        self.tiles = tiles
    }
}

/// Tiles of activations in float32, `[tiles][columns / 16][stride][16]`.
private struct FewFloats {
    let cut: TileCut
    private let storage: Storage
    private let tileSize: Int

    init(_ x: Tensor, on device: Device) {
        let kernels = device.kernels.table.pointee
        cut = TileCut(tokens: x.rowCount, most: kernels.few_tokens_float)
        let panel = Int(YK_PANEL)
        tileSize = (x.width + panel - 1) / panel * panel * cut.stride
        storage = Storage(byteCount: cut.tileCount * tileSize * MemoryLayout<Float>.stride)
        cut.forEach { tile, token, count in
            kernels.few_float_pack(
                x.pointer + token * x.width, x.width, count, x.width, cut.stride,
                self.tile(tile))
        }
    }

    func tile(_ index: Int) -> UnsafeMutablePointer<Float> {
        storage.start.assumingMemoryBound(to: Float.self) + index * tileSize
    }
}
