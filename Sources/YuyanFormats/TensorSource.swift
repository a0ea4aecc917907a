/// A tensor on its way into a file: what the file says of it, and where its bytes come from.
///
/// Bytes are asked for when they are written, so that a model is saved without a second copy.
public struct TensorSource {
    /// The name in the file.
    public let name: String
    /// How the numbers are stored.
    public let elementType: ElementType
    /// The sizes, outermost first.
    public let shape: [Int]
    /// The bytes that `write` gives.
    public let byteCount: Int
    private let write: (inout FileSink) throws -> Void

    /// - Parameters:
    ///   - shape: A whole number of blocks of `elementType`, none across two rows.
    ///   - write: Gives exactly the tensor's bytes, little-endian, row after row.
    public init(
        name: String, elementType: ElementType, shape: [Int],
        write: @escaping (inout FileSink) throws -> Void
    ) {
        let count = checkedProduct(shape).flatMap(elementType.byteCount)
        guard let count, (shape.last ?? 1).isMultiple(of: elementType.elementsPerBlock) else {
            preconditionFailure("'\(name)' \(shape) is no whole number of \(elementType) blocks")
        }
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.write = write
        byteCount = count
    }

    /// A tensor whose bytes are in memory.
    public init(name: String, elementType: ElementType, shape: [Int], bytes: [UInt8]) {
        self.init(name: name, elementType: elementType, shape: shape) { try $0.write(bytes) }
        precondition(bytes.count == byteCount, "'\(name)' \(shape) of \(bytes.count) bytes")
    }

    /// Float32 numbers in row-major order, stored as f32, f16 or bf16.
    public init(
        name: String, shape: [Int], values: [Float], as elementType: ElementType = .f32
    ) {
        precondition(values.count == shape.reduce(1, *), "'\(name)' \(shape), \(values.count)")
        self.init(name: name, elementType: elementType, shape: shape) { sink in
            try sink.write(values, as: elementType, of: name)
        }
    }

    /// Rows of float32 numbers, asked for one after the other and stored as f32, f16 or bf16.
    ///
    /// - Parameters:
    ///   - shape: At least one axis; the last is a row.
    ///   - row: Gives the row of an index, `shape.last` numbers.
    public init(
        name: String, shape: [Int], as elementType: ElementType,
        row: @escaping (Int) throws -> [Float]
    ) {
        self.init(name: name, elementType: elementType, shape: shape) { sink in
            for index in 0..<shape.dropLast().reduce(1, *) {
                try sink.write(row(index), as: elementType, of: name)
            }
        }
    }

    /// A tensor of another file, byte by byte.
    public init(copying entry: TensorEntry, name: String? = nil) {
        self.init(
            name: name ?? entry.name, elementType: entry.elementType, shape: entry.shape
        ) { sink in
            // In pieces whose pages are let go of, or copying a model would hold all of it.
            let piece = 16 << 20
            for start in stride(
                from: entry.byteRange.lowerBound, to: entry.byteRange.upperBound, by: piece)
            {
                let range = start..<min(start + piece, entry.byteRange.upperBound)
                try entry.file.withUnsafeBytes(in: range) { try sink.write($0.bytes) }
                entry.file.release(range)
            }
        }
    }

    /// Writes the bytes.
    ///
    /// - Throws: What the source or the sink throws.
    /// - Precondition: The source gives as many bytes as it should.
    func write(to sink: inout FileSink) throws {
        let start = sink.count
        try write(&sink)
        precondition(
            sink.count - start == byteCount,
            "'\(name)' gave \(sink.count - start) bytes, expected \(byteCount)")
    }
}

extension FileSink {
    /// Appends float32 numbers as f32, f16 or bf16, rounded to the nearest, ties to even.
    ///
    /// - Parameter name: The tensor that they are of, for errors.
    /// - Throws: `.cannotWrite`; `.badValue` if a finite number is beyond the type's largest.
    public mutating func write(
        _ values: [Float], as elementType: ElementType, of name: String
    ) throws(FormatError) {
        switch elementType {
        case .f32:
            try write(littleEndianBytes(values) { $0.bitPattern })
        case .f16:
            try write(littleEndianBytes(values) { Float16($0).bitPattern })
            // Halfway between the largest float16 and the power of two above it.
            try refuseOverflow(values, from: 65520, "F16", name)
        case .bf16:
            try write(littleEndianBytes(values, bfloat16Bits))
            try refuseOverflow(values, from: Float(bitPattern: 0x7F7F_8000), "BF16", name)
        default:
            preconditionFailure("'\(name)': floats are not written as \(elementType.name)")
        }
    }

    /// `limit` is the least magnitude that rounds to infinity.
    private func refuseOverflow(
        _ values: [Float], from limit: Float, _ type: String, _ name: String
    ) throws(FormatError) {
        guard let value = values.first(where: { $0.isFinite && $0.magnitude >= limit }) else {
            return
        }
        throw .badValue(
            file: path, key: name, found: "\(value)",
            expected: "what \(type) can hold; save as f32")
    }
}

/// The bytes of integers made from floats, least significant first.
private func littleEndianBytes<Bits: FixedWidthInteger>(
    _ values: [Float], _ bits: (Float) -> Bits
) -> [UInt8] {
    let width = MemoryLayout<Bits>.size
    return [UInt8](unsafeUninitializedCapacity: values.count * width) { bytes, count in
        for (index, value) in values.enumerated() {
            let number = bits(value).littleEndian
            withUnsafeBytes(of: number) { stored in
                for offset in 0..<width {
                    bytes.initializeElement(at: index * width + offset, to: stored[offset])
                }
            }
        }
        count = values.count * width
    }
}

/// The upper half of a float32, rounded to nearest, ties to even; NaN stays NaN.
package func bfloat16Bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
}
