import YuyanFormats

/// One weight of a model under its Hugging Face name, widened when it is asked for.
public struct NamedWeight: Sendable {
    /// Such as `model.layers.0.mlp.up_proj.weight`.
    public let name: String
    /// `[out, in]`, or `[n]` for norms and biases.
    public let shape: [Int]
    /// The rows of a range in float32; a vector is one row.
    package let rows: @Sendable (Range<Int>) -> [Float]

    package init(
        name: String, shape: [Int], rows: @escaping @Sendable (Range<Int>) -> [Float]
    ) {
        self.name = name
        self.shape = shape
        self.rows = rows
    }

    /// A vector that is in memory.
    package init(name: String, values: [Float]) {
        self.init(name: name, shape: [values.count]) { _ in values }
    }

    /// Whether it is a matrix: the rest are short vectors, which GGUF keeps in float32.
    public var isMatrix: Bool { shape.count == 2 }

    /// The weight on its way into a file.
    ///
    /// - Parameters:
    ///   - type: f32, f16 or bf16.
    ///   - fileName: What the file calls it; the Hugging Face name by default.
    ///   - rowOrder: For each row of the file, the row of this weight that it is.
    public func source(
        as type: ElementType, fileName: String? = nil, rowOrder: [Int]? = nil
    ) -> TensorSource {
        let width = shape.last ?? 1
        let rowCount = shape.dropLast().reduce(1, *)
        // A few megabytes at a time: enough for all threads, little beside the model.
        let step = max(1, (1 << 20) / max(width, 1))
        let (name, shape, rows) = (name, shape, rows)
        return TensorSource(
            name: fileName ?? name, elementType: type, shape: shape
        ) { sink in
            if let rowOrder, shape.count == 1 {
                // The rows of a bias are its elements.
                let values = rows(0..<1)
                return try sink.write(rowOrder.map { values[$0] }, as: type, of: name)
            }
            for start in stride(from: 0, to: rowCount, by: step) {
                let range = start..<min(start + step, rowCount)
                guard let rowOrder else {
                    try sink.write(rows(range), as: type, of: name)
                    continue
                }
                for row in range {
                    try sink.write(
                        rows(rowOrder[row]..<rowOrder[row] + 1), as: type, of: name)
                }
            }
        }
    }
}
