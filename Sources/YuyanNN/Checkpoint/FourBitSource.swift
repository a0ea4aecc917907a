import YuyanFormats
import YuyanTensor

/// A checkpoint whose projections are rounded to 4 bits as they are loaded: QLoRA's frozen base.
///
/// Embedding, norms and output head stay as they are stored, and so do the weights that are trained;
/// what bitsandbytes has rounded already is taken as it is.
package struct FourBitSource: WeightSource {
    private let checkpoint: Checkpoint
    private let elementType: ElementType
    private let doubleQuantized: Bool
    private let isKept: (String) -> Bool

    /// - Parameters:
    ///   - elementType: `.nf4` or `.fp4`.
    ///   - doubleQuantized: Whether scales are rounded to 8 bits too.
    ///   - isKept: Whether the weight of this name is to stay as it is stored.
    package init(
        _ checkpoint: Checkpoint, as elementType: ElementType, doubleQuantized: Bool,
        keeping isKept: @escaping (String) -> Bool
    ) {
        self.checkpoint = checkpoint
        self.elementType = elementType
        self.doubleQuantized = doubleQuantized
        self.isKept = isKept
    }

    package func matrix(
        _ name: String, rows: Int, columns: Int, rowOrder: [Int]?, on device: Device
    ) throws -> PackedMatrix {
        let isStored = try checkpoint.fourBitWeight(name, rows: rows, columns: columns) != nil
        guard !isStored, name.hasPrefix("model.layers."), !isKept(name) else {
            return try checkpoint.matrix(
                name, rows: rows, columns: columns, rowOrder: rowOrder, on: device)
        }
        return try PackedMatrix(
            quantizing: checkpoint.entry(name, shape: [rows, columns]), as: elementType,
            doubleQuantized: doubleQuantized, rowOrder: rowOrder, on: device)
    }

    package func vector(_ name: String, count: Int, rowOrder: [Int]?) throws -> Tensor {
        try checkpoint.vector(name, count: count, rowOrder: rowOrder)
    }
}

extension Checkpoint {
    /// The weight under a name if it is stored in bitsandbytes' 4-bit tensors, else nil.
    ///
    /// - Throws: `FormatError` on parts that do not fit together, `CheckpointError.shape`.
    package func fourBitWeight(
        _ name: String, rows: Int, columns: Int
    ) throws -> FourBitWeight? {
        guard !isGGUF, let entry = optionalEntry(name), entry.elementType == .u8,
            let weight = try FourBitWeight(entry, find: { optionalEntry($0) })
        else { return nil }
        guard weight.rows == rows, weight.columns == columns else {
            throw CheckpointError.shape(
                name: name, file: path, expected: [rows, columns],
                found: [weight.rows, weight.columns])
        }
        return weight
    }
}
