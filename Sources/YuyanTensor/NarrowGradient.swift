import CYuyanKernels

// Gradients of matrices with few inputs or few outputs, as adapters have them: `B` `[out, r]` and `A`
// `[r, in]`. The wide factor is read where it lies, because copying it, as for other weights
// (LinearGradient.swift), would take longer than the sums. Elements are the same chains over the rows.

/// Columns up to which a factor counts as narrow.
private let narrowWidth = 64

func isNarrow(_ x: Tensor) -> Bool { x.width <= narrowWidth }
func hasWholePanels(_ x: Tensor) -> Bool { x.width % Int(YK_PANEL) == 0 }

/// Adds `dYᵢᵀ X` with narrow `x` and `dYᵢ` of whole panels: gradients `[panels of 16 outputs][in][16]`.
func addToNarrow(
    _ dys: [Tensor], _ x: Tensor, into gradients: [UnsafeMutablePointer<Float>], resume: Bool,
    on device: Device
) {
    for (dy, gradient) in zip(dys, gradients) {
        let target = Unchecked(gradient)
        forEachPanels(of: dy, on: device) { panels in
            var job = yk_product_across(
                x: dy.pointer + panels.lowerBound * Int(YK_PANEL), x_stride: dy.width,
                panels: panels.count, z: x.pointer, z_stride: x.width, columns: x.width,
                rows: x.rowCount, resume: resume ? 1 : 0,
                y: target.value + panels.lowerBound * Int(YK_PANEL) * x.width,
                y_stride: Int(YK_PANEL), y_panel_stride: Int(YK_PANEL) * x.width)
            device.kernels.table.pointee.product_across(&job)
        }
    }
}

/// Adds `dYᵢᵀ X` with narrow `dYᵢ` and `x` of whole panels.
///
/// Sums `[panels of 16 inputs][outᵢ][16]` are turned, 16 by 16, from and into the gradients.
func addToFlat(
    _ dys: [Tensor], _ x: Tensor, into gradients: [UnsafeMutablePointer<Float>], resume: Bool,
    on device: Device
) {
    let kernels = device.kernels.table.pointee
    let lanes = Int(YK_PANEL)
    let targets = gradients.map { Unchecked($0) }
    let widest = dys.reduce(0) { max($0, $1.width) }
    forEachPanels(of: x, on: device) { panels in
        withUnsafeTemporaryAllocation(
            byteCount: panels.count * widest * lanes * MemoryLayout<Float>.stride, alignment: 64
        ) { bytes in
            guard let sums = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
            for (dy, target) in zip(dys, targets) {
                func forEachBlock(
                    _ body: (
                        _ sums: UnsafeMutablePointer<Float>,
                        _ gradient: UnsafeMutablePointer<Float>,
                        _ outputs: Int
                    ) -> Void
                ) {
                    for (index, panel) in panels.enumerated() {
                        for first in stride(from: 0, to: dy.width, by: lanes) {
                            body(
                                sums + (index * dy.width + first) * lanes,
                                target.value + (first * x.width + panel * lanes * lanes),
                                min(lanes, dy.width - first))
                        }
                    }
                }
                if resume {
                    forEachBlock { kernels.panel_transpose($1, lanes, $2, $0) }
                }
                var job = yk_product_across(
                    x: x.pointer + panels.lowerBound * lanes, x_stride: x.width,
                    panels: panels.count, z: dy.pointer, z_stride: dy.width, columns: dy.width,
                    rows: x.rowCount, resume: resume ? 1 : 0, y: sums, y_stride: lanes,
                    y_panel_stride: dy.width * lanes)
                kernels.product_across(&job)
                forEachBlock { kernels.panel_transpose($0, $2, lanes, $1) }
            }
        }
    }
}

/// Calls `body` for stretches of a tensor's panels of 16 columns, in parallel.
private func forEachPanels(
    of x: Tensor, on device: Device, _ body: (Range<Int>) -> Void
) {
    let size = device.panelsInRegisters
    let count = x.width / Int(YK_PANEL)
    device.pool.parallel((count + size - 1) / size) { index, _ in
        body(index * size..<min((index + 1) * size, count))
    }
}
