extension TensorEntry {
    /// A tensor of zeros in memory, for measuring what does not depend on values.
    package static func zeros(_ elementType: ElementType, shape: [Int], name: String) -> Self {
        let count = shape.reduce(1, *)
        precondition(
            count.isMultiple(of: elementType.elementsPerBlock),
            "\(shape) is no whole number of \(elementType.name) blocks")
        let bytes = count / elementType.elementsPerBlock * elementType.bytesPerBlock
        let file = MappedFile(bytes: [UInt8](repeating: 0, count: bytes), name: name)
        return TensorEntry(
            name: name, elementType: elementType, shape: shape, file: file, byteRange: 0..<bytes)
    }

    /// A float32 tensor in memory, row after row, for readers of tensors in files.
    package static func values(_ values: [Float], shape: [Int], name: String) -> Self {
        precondition(values.count == shape.reduce(1, *), "\(values.count) values of \(shape)")
        let bytes = values.withUnsafeBytes { Array($0) }
        return TensorEntry(
            name: name, elementType: .f32, shape: shape,
            file: MappedFile(bytes: bytes, name: name), byteRange: 0..<bytes.count)
    }
}
