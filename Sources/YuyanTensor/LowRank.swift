import CYuyanKernels

/// `x * factor`, element by element, one rounding each.
package func scaled(_ x: Tensor, by factor: Float, on device: Device) -> Tensor {
    var out = Tensor(uninitialized: x.shape)
    let (from, destination) = (x.pointer, out.pointer)
    for index in 0..<x.count { destination[index] = from[index] * factor }
    device.record("scaled", &out, from: [x.source]) { [source = x.source] in
        { dy, gradients in
            gradients.add(scaled(dy, by: factor, on: gradients.device), to: source)
        }
    }
    return out
}

/// DoRA's factor of each output, `m / ‖W + s B A‖`.
package struct ColumnGain: Sendable {
    /// `[C]`, as computed when the matrices were loaded or last changed.
    package let factors: Tensor
    /// What is trained of it: `m`, with `1 / ‖W + s B A‖` `[C]`, which counts as constant.
    package let trained: (magnitude: Parameter, inverseLengths: Tensor)?

    package init(
        factors: Tensor, trained: (magnitude: Parameter, inverseLengths: Tensor)? = nil
    ) {
        self.factors = factors
        self.trained = trained
    }
}

extension Tensor {
    /// Adds the rows of `update` `[n, C]` to rows of this `[T, C]`, then multiplies them by `gain`.
    ///
    /// Each element is `y + u`, or `(y + u) * gain`, with one rounding per operation.
    ///
    /// - Parameters:
    ///   - rows: For each row of `update`, the row of this that it belongs to, none twice; nil if
    ///     they are all rows in order.
    ///   - gain: One factor per column, `[C]`.
    package mutating func add(
        _ update: Tensor, at rows: [Int]?, gain: ColumnGain?, on device: Device
    ) {
        precondition(
            update.width == width && update.rowCount == rows?.count ?? rowCount,
            "\(update.shape) does not update \(rows?.count ?? rowCount) rows of \(shape)")
        precondition(
            gain.map { $0.factors.count == width } ?? true, "gain of another width than \(shape)")
        makeUnique()
        recipe = nil
        let before = source
        // The magnitudes' gradient is a sum over what they multiply.
        let multiplied =
            device.keepsRecipes && gain?.trained != nil
            ? Tensor(uninitialized: update.shape) : nil
        let (columns, target, added) = (width, pointer, update.pointer)
        let kernel = device.kernels.table.pointee.add
        forEachRow(update.rowCount, width: columns, on: device) { index in
            let y = target + (rows.map { $0[index] } ?? index) * columns
            kernel?(y, added + index * columns, columns, y)
            if let multiplied {
                (multiplied.pointer + index * columns).update(from: y, count: columns)
            }
            if let factors = gain?.factors.pointer {
                for column in 0..<columns { y[column] *= factors[column] }
            }
        }
        source = nil
        device.record(
            "lowRankUpdate", &self,
            from: [before, update.source, gain?.trained.map { .parameter($0.magnitude) }]
        ) {
            updateBackward(before, update.source, at: rows, gain: gain, multiplied: multiplied)
        }
    }
}

extension Tensor {
    /// Puts the rows of `other` `[n, C]` in the place of rows of this `[T, C]`.
    ///
    /// - Parameter rows: As for `add`.
    package mutating func replace(_ rows: [Int]?, with other: Tensor) {
        precondition(
            other.width == width && other.rowCount == rows?.count ?? rowCount,
            "\(other.shape) does not replace \(rows?.count ?? rowCount) rows of \(shape)")
        guard let rows else {
            self = other
            return
        }
        makeUnique()
        for (index, row) in rows.enumerated() {
            (pointer + row * width).update(from: other.pointer + index * width, count: width)
        }
    }
}

/// What a low-rank update does to one row of one of several products.
package struct RowUpdate {
    /// Which product.
    let target: Int
    /// Row of the input and of the product.
    let row: Int
    let down: PackedMatrix
    let up: PackedMatrix
    let scale: Float
    let gain: Tensor?

    package init(
        target: Int, row: Int, down: PackedMatrix, up: PackedMatrix, scale: Float, gain: Tensor?
    ) {
        self.target = target
        self.row = row
        self.down = down
        self.up = up
        self.scale = scale
        self.gain = gain
    }
}

/// Updates single rows, whatever adapters they are of, in two passes over the threads.
///
/// The same bits as `linear` with `down`, `scaled`, `linear` with `up` and `add`; those suit many
/// rows of one adapter, this suits a row or two of each.
///
/// - Parameters:
///   - products: `[T, out]` each.
///   - x: The products' input, `[T, in]`.
package func updateRows(
    _ products: inout [Tensor], _ updates: [RowUpdate], input x: Tensor, on device: Device
) {
    let kernels = device.kernels.table.pointee
    let panelRows = Int(YK_PANEL)
    for update in updates {
        precondition(
            update.down.columns == x.width && update.up.columns == update.down.rows
                && update.up.rows == products[update.target].width,
            "[\(update.up.rows), \(update.up.columns)] [\(update.down.rows), "
                + "\(update.down.columns)] does not update \(products[update.target].shape)")
    }
    for target in products.indices where updates.contains(where: { $0.target == target }) {
        products[target].makeUnique()
    }
    let targets = products.map { Unchecked($0.pointer) }
    // A place for each update's inner product, as wide as the largest and in whole panels.
    let stride = updates.reduce(0) { max($0, $1.down.panelCount) } * panelRows
    let inner = Tensor(uninitialized: [updates.count, stride])
    device.pool.parallel(updates.count) { index, _ in
        let update = updates[index]
        let u = inner.pointer + index * stride
        kernels.matvec_float(
            update.down.format, update.down.panels, update.down.panelCount, update.down.columns,
            x.pointer + update.row * x.width, u)
        for j in 0..<update.down.rows { u[j] *= update.scale }
    }
    let pieces = outputPieces(updates)
    device.pool.parallel(pieces.count) { index, _ in
        let piece = pieces[index]
        let update = updates[piece.update]
        let first = piece.panels.lowerBound * panelRows
        let count = min(piece.panels.count * panelRows, update.up.rows - first)
        let y = targets[update.target].value + update.row * update.up.rows + first
        withUnsafeTemporaryAllocation(
            byteCount: piece.panels.count * panelRows * MemoryLayout<Float>.stride, alignment: 64
        ) { bytes in
            guard let v = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
            kernels.matvec_float(
                update.up.format,
                update.up.panels + piece.panels.lowerBound * update.up.panelBytes,
                piece.panels.count, update.up.columns, inner.pointer + piece.update * stride, v)
            kernels.add(y, v, count, y)
            if let gain = update.gain?.pointer {
                for column in 0..<count { y[column] *= gain[first + column] }
            }
        }
    }
}

/// Panels of one update's `up`: few enough to keep their products on the stack.
private func outputPieces(_ updates: [RowUpdate]) -> [(update: Int, panels: Range<Int>)] {
    let panelsEach = 64
    return updates.enumerated().flatMap { index, update in
        stride(from: 0, to: update.up.panelCount, by: panelsEach).map { first in
            (index, first..<min(first + panelsEach, update.up.panelCount))
        }
    }
}

extension PackedMatrix {
    /// Length of each row of this `[out, in]` plus `scale` times the product of two matrices.
    ///
    /// Row `o` of `W + scale * up * down` is built in float32: from the widened weights, for each
    /// rank `j` in order, `w[k] = w[k] + (scale * up[o, j]) * down[j, k]`; its squares are summed
    /// in float64 in index order, and the root is rounded to float32.
    ///
    /// - Parameters:
    ///   - down: `[r, in]`.
    ///   - up: `[out, r]`.
    /// - Returns: `[out]`.
    package func rowLengths(
        adding down: Tensor, _ up: Tensor, scale: Float, on device: Device
    ) -> [Float] {
        let (rank, columns) = (down.rowCount, columns)
        precondition(
            down.width == columns && up.shape == [rows, rank],
            "\(up.shape) times \(down.shape) is no update of [\(rows), \(columns)]")
        let factors = up.pointer
        let lengths = Tensor(uninitialized: [rows])
        forEachRow(rows, width: columns * (rank + 1), on: device) { o in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { row in
                guard let w = row.baseAddress else { return }
                unpack(row: o, into: w)
                for j in 0..<rank {
                    let factor = scale * factors[o * rank + j]
                    let a = down.pointer + j * columns
                    for k in 0..<columns { w[k] += factor * a[k] }
                }
                var sum = 0.0
                for k in 0..<columns { sum += Double(w[k]) * Double(w[k]) }
                lengths.pointer[o] = Float(sum.squareRoot())
            }
        }
        return lengths.values
    }
}
