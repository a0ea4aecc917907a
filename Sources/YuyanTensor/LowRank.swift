import CYuyanKernels

/// `x * factor`, element by element, one rounding each.
package func scaled(_ x: Tensor, by factor: Float) -> Tensor {
    let out = Tensor(uninitialized: x.shape)
    let (source, destination) = (x.pointer, out.pointer)
    for index in 0..<x.count { destination[index] = source[index] * factor }
    return out
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
        _ update: Tensor, at rows: [Int]?, gain: Tensor?, on device: Device
    ) {
        precondition(
            update.width == width && update.rowCount == rows?.count ?? rowCount,
            "\(update.shape) does not update \(rows?.count ?? rowCount) rows of \(shape)")
        precondition(gain.map { $0.count == width } ?? true, "gain of another width than \(shape)")
        makeUnique()
        let (columns, target, source) = (width, pointer, update.pointer)
        let kernel = device.kernels.table.pointee.add
        forEachRow(update.rowCount, width: columns, on: device) { index in
            let y = target + (rows.map { $0[index] } ?? index) * columns
            kernel?(y, source + index * columns, columns, y)
            if let factors = gain?.pointer {
                for column in 0..<columns { y[column] *= factors[column] }
            }
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
    package func rowLengths(adding down: Tensor, _ up: Tensor, scale: Float) -> [Float] {
        let (rank, columns) = (down.rowCount, columns)
        precondition(
            down.width == columns && up.shape == [rows, rank],
            "\(up.shape) times \(down.shape) is no update of [\(rows), \(columns)]")
        let factors = up.pointer
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { row in
            guard let w = row.baseAddress else { return [] }
            return (0..<rows).map { o in
                unpack(row: o, into: w)
                for j in 0..<rank {
                    let factor = scale * factors[o * rank + j]
                    let a = down.pointer + j * columns
                    for k in 0..<columns { w[k] += factor * a[k] }
                }
                var sum = 0.0
                for k in 0..<columns { sum += Double(w[k]) * Double(w[k]) }
                return Float(sum.squareRoot())
            }
        }
    }
}
