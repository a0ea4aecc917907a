import YuyanTensor

/// The weights of a decoder with an adapter added to them: what another adapter is trained over.
///
/// What the adapter changes is in float32, the numbers of `Decoder.weights(adding:)`, so nothing is
/// rounded. What it leaves alone is the decoder's own matrix, in its stored format and without a copy.
package struct MergedWeights: WeightSource {
    /// The decoder's, but that a head which the adapter parts from the embedding is no longer tied to it.
    package let shape: ModelShape
    private let weights: [String: NamedWeight]
    private let kept: [String: PackedMatrix]

    /// - Parameters:
    ///   - decoder: Nothing of it is trained.
    ///   - adapter: Loaded for this decoder, to be merged.
    ///   - device: Whose threads compute the sums.
    package init(_ decoder: Decoder, adding adapter: LowRankAdapter, on device: Device) {
        var shape = decoder.shape
        shape.tiedEmbeddings = decoder.isTied(adding: adapter)
        self.shape = shape
        weights = Dictionary(
            uniqueKeysWithValues: decoder.weights(adding: adapter, on: device).map { ($0.name, $0) }
        )
        var kept: [String: PackedMatrix] = [:]
        for projection in decoder.projections {
            guard let module = projection.module, !adapter.changes(module) else { continue }
            kept[module.path + ".weight"] = projection.packedWeight
        }
        if adapter.embedding == nil { kept["model.embed_tokens.weight"] = decoder.embeddingTable }
        self.kept = kept
    }

    package func matrix(
        _ name: String, rows: Int, columns: Int, rowOrder: [Int]?, on device: Device
    ) throws -> PackedMatrix {
        precondition(rowOrder == nil, "'\(name)': a decoder's rows are in their order already")
        if let matrix = kept[name] {
            precondition(
                matrix.rows == rows && matrix.columns == columns,
                "'\(name)' is [\(matrix.rows), \(matrix.columns)], not [\(rows), \(columns)]")
            return matrix
        }
        let weight = weight(name, shape: [rows, columns])
        return PackedMatrix(
            rows: rows, columns: columns, parameter: nil, on: device
        ) { row, values in
            for (column, value) in weight.rows(row..<row + 1).enumerated() {
                values[column] = value
            }
        }
    }

    package func vector(_ name: String, count: Int, rowOrder: [Int]?) throws -> Tensor {
        precondition(rowOrder == nil, "'\(name)': a decoder's rows are in their order already")
        return Tensor(weight(name, shape: [count]).rows(0..<1), shape: [count])
    }

    private func weight(_ name: String, shape: [Int]) -> NamedWeight {
        guard let weight = weights[name], weight.shape == shape else {
            preconditionFailure(
                "'\(name)' is \(weights[name].map { "\($0.shape)" } ?? "missing"), not \(shape)")
        }
        return weight
    }
}
