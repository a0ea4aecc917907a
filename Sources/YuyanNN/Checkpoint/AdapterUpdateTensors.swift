import YuyanFormats
import YuyanTensor

/// The tensors of one update in an adapter's file, checked.
struct AdapterUpdateTensors {
    let scale: Float
    let down: TensorEntry
    let up: TensorEntry
    let magnitude: TensorEntry?

    /// Packs them as an update of a projection with this weight `[out, in]`.
    ///
    /// - Parameter weight: Only DoRA looks at it; nil if its numbers cannot be had.
    /// - Throws: `AdapterError` if DoRA's gains are no numbers.
    func update(of weight: PackedMatrix?, on device: Device) throws -> LowRankAdapter.Update {
        LowRankAdapter.Update(
            down: try PackedMatrix(down, on: device), up: try PackedMatrix(up, on: device),
            scale: scale,
            gain: try gain {
                try weight?.rowLengths(
                    adding: Tensor(down), Tensor(up), scale: scale, on: device)
            })
    }

    /// Packs them as an update of an embedding table `[V, C]`, with A transposed.
    func tableUpdate(of table: PackedMatrix, on device: Device) throws -> LowRankAdapter.Update {
        let (rank, tokens) = (down.shape[0], down.shape[1])
        let stored = try Tensor(down).values
        let turned = (0..<tokens * rank).map { stored[$0 % rank * tokens + $0 / rank] }
        let update = LowRankAdapter.Update(
            down: try PackedMatrix(
                .values(turned, shape: [tokens, rank], name: down.name), on: device),
            up: try PackedMatrix(up, on: device), scale: scale, gain: nil)
        let factors = try gain { TableUpdate(update).columnLengths(of: table) }
        return LowRankAdapter.Update(down: update.down, up: update.up, scale: scale, gain: factors)
    }

    /// `m / ‖W + s B A‖` for each output.
    private func gain(_ lengths: () throws -> [Float]?) throws -> ColumnGain? {
        guard let entry = magnitude else { return nil }
        guard let lengths = try lengths() else {
            throw AdapterError.unusedTensor(
                name: entry.name, file: entry.file.path,
                reason: "the lengths of this model's weights cannot be computed")
        }
        let magnitudes = try Tensor(entry).values
        let gains = zip(magnitudes, lengths).map { $0 / $1 }
        if let row = gains.firstIndex(where: { !$0.isFinite }) {
            throw AdapterError.notFinite(
                name: entry.name, file: entry.file.path, element: row,
                found: "\(magnitudes[row]) over the weight's length \(lengths[row])")
        }
        return ColumnGain(factors: Tensor(gains, shape: [gains.count]))
    }
}

extension TableUpdate {
    /// Length of each column of a table with this update added, `[C]`: what DoRA divides by.
    func columnLengths(of table: PackedMatrix) -> [Float] {
        var sums = [Double](repeating: 0, count: table.columns)
        for token in 0..<table.rows {
            var row = table.row(token)
            add(to: &row, tokens: token..<token + 1)
            for (c, value) in row.enumerated() { sums[c] += Double(value) * Double(value) }
        }
        return sums.map { Float($0.squareRoot()) }
    }
}
