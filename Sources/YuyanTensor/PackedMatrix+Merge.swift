/// A low-rank update of a matrix, widened, as merging and measuring take it.
package struct MatrixUpdate: Sendable {
    /// Rank r.
    package let rank: Int
    /// Columns of the updated matrix.
    package let inputWidth: Int
    /// Rows of the updated matrix.
    package let outputWidth: Int
    /// A, `[r, in]`.
    package let down: [Float]
    /// B, `[out, r]`.
    package let up: [Float]
    /// Multiplies B A.
    package let scale: Float
    /// Multiplies the updated rows, `[out]`: DoRA.
    package let gain: [Float]?

    /// - Parameters:
    ///   - down: `[r, in]`.
    ///   - up: `[out, r]`.
    ///   - gain: `[out]`.
    package init(down: PackedMatrix, up: PackedMatrix, scale: Float, gain: Tensor? = nil) {
        precondition(down.rows == up.columns, "rank \(down.rows) and \(up.columns)")
        self.init(
            rank: down.rows, down: down.values, up: up.values, scale: scale, gain: gain?.values)
    }

    /// The same from rows that follow each other.
    package init(rank: Int, down: [Float], up: [Float], scale: Float, gain: [Float]? = nil) {
        precondition(
            rank > 0 && down.count.isMultiple(of: rank) && up.count.isMultiple(of: rank),
            "\(down.count) and \(up.count) numbers are no matrices of rank \(rank)")
        let outputWidth = up.count / rank
        precondition(gain.map { $0.count == outputWidth } ?? true, "gain of another height")
        self.rank = rank
        inputWidth = down.count / rank
        self.outputWidth = outputWidth
        self.down = down
        self.up = up
        self.scale = scale
        self.gain = gain
    }
}

extension PackedMatrix {
    /// All rows, widened to float32, row after row.
    package var values: [Float] { (0..<rows).flatMap { row($0) } }

    /// Some rows of `gain * (W + scale * up * down)`, row after row in float32.
    ///
    /// Element `(o, k)` is a chain in rank order from the widened weight,
    /// `w = w + (scale * up[o, j]) * down[j, k]`, then multiplied by the gain: the same bits whatever
    /// the range and the threads.
    ///
    /// - Parameter update: Nil for the weights alone.
    package func rows(
        _ range: Range<Int>, adding update: MatrixUpdate? = nil, on device: Device
    ) -> [Float] {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "\(range) of \(rows) rows")
        if let update {
            precondition(
                update.outputWidth == rows && update.inputWidth == columns,
                "[\(update.outputWidth), \(update.inputWidth)] does not update [\(rows), \(columns)]"
            )
        }
        let columns = columns
        return [Float](unsafeUninitializedCapacity: range.count * columns) { buffer, count in
            count = range.count * columns
            guard let start = buffer.baseAddress else { return }
            let target = Unchecked(start)
            device.pool.parallel(range.count) { index, _ in
                let w = target.value + index * columns
                unpack(row: range.lowerBound + index, into: w)
                update?.add(toRow: range.lowerBound + index, w)
            }
        }
    }
}

extension MatrixUpdate {
    fileprivate func add(toRow o: Int, _ w: UnsafeMutablePointer<Float>) {
        down.withUnsafeBufferPointer { down in
            for j in 0..<rank {
                let factor = scale * up[o * rank + j]
                let a = UnsafeBufferPointer(rebasing: down[j * inputWidth..<(j + 1) * inputWidth])
                for k in 0..<inputWidth { w[k] += factor * a[k] }
            }
        }
        guard let gain else { return }
        for k in 0..<inputWidth { w[k] *= gain[o] }
    }

    /// Frobenius norm of `scale * up * down`, without forming it.
    ///
    /// The square is the sum over i, j of `(BᵀB)ᵢⱼ (AAᵀ)ᵢⱼ`, in float64.
    package var norm: Double {
        func gram(_ count: Int, _ element: (_ row: Int, _ i: Int) -> Float) -> [Double] {
            var result = [Double](repeating: 0, count: rank * rank)
            var row = [Double](repeating: 0, count: rank)
            for index in 0..<count {
                for i in 0..<rank { row[i] = Double(element(index, i)) }
                for i in 0..<rank {
                    for j in 0...i { result[i * rank + j] += row[i] * row[j] }
                }
            }
            return result
        }
        let upGram = gram(outputWidth) { up[$0 * rank + $1] }
        let downGram = gram(inputWidth) { down[$1 * inputWidth + $0] }
        var sum = 0.0
        for i in 0..<rank {
            for j in 0...i {
                sum += (i == j ? 1 : 2) * upGram[i * rank + j] * downGram[i * rank + j]
            }
        }
        return Double(scale.magnitude) * max(0, sum).squareRoot()
    }
}
