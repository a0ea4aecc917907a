/// Writes GGUF files of version 3: metadata, tensor infos, then aligned tensors.
///
/// A file appears whole or not at all.
public struct GGUFWriter {
    /// Keys and values in the order of the file; `general.architecture` is expected first.
    ///
    /// The alignment is the writer's own entry and must not be among them.
    public var metadata: [(key: String, value: GGUFOutput)]
    /// Tensors begin at multiples of this, a power of two.
    public let alignment: Int

    /// - Parameter alignment: 32 is the default of every reader.
    public init(metadata: [(key: String, value: GGUFOutput)] = [], alignment: Int = 32) {
        precondition(
            alignment.nonzeroBitCount == 1 && alignment >= 8
                && alignment <= Int(GGUFScanner.maximumAlignment), "an alignment of \(alignment)")
        self.metadata = metadata
        self.alignment = alignment
    }

    /// The value of a key, which is replaced in place or appended; nil removes it.
    public subscript(key: String) -> GGUFOutput? {
        get { metadata.last { $0.key == key }?.value }
        set {
            guard let newValue else { return metadata.removeAll { $0.key == key } }
            if let index = metadata.firstIndex(where: { $0.key == key }) {
                metadata[index].value = newValue
            } else {
                metadata.append((key, newValue))
            }
        }
    }

    /// Writes the file.
    ///
    /// - Parameter tensors: In the order of the file; names of at most 64 bytes are safe.
    /// - Throws: `.duplicate` or `.badValue` on names, ranks and types that the format does not
    ///   allow, `.cannotWrite` with the system's reason; then nothing is changed.
    public func write(_ tensors: [TensorSource], to path: String) throws {
        let head = try head(tensors, path: path)
        try writeAtomically(path) { sink in
            try sink.write(head)
            for tensor in tensors {
                try sink.write(padding(after: sink.count))
                try tensor.write(to: &sink)
            }
            try sink.write(padding(after: sink.count))
        }
    }

    private func head(_ tensors: [TensorSource], path: String) throws(FormatError) -> [UInt8] {
        var entries = metadata
        if alignment != 32 {
            entries.append(("general.alignment", .uint32(UInt32(alignment))))
        }
        var keys: Set<String> = []
        for (key, _) in entries {
            guard keys.insert(key).inserted else { throw .duplicate(file: path, name: key) }
            guard (1...GGUFScanner.maximumKeyBytes).contains(key.utf8.count) else {
                throw .badValue(
                    file: path, key: key, found: "\(key.utf8.count) bytes",
                    expected: "1 to \(GGUFScanner.maximumKeyBytes)")
            }
        }
        var bytes = Array("GGUF".utf8) + little(UInt32(3))
        bytes += little(UInt64(tensors.count)) + little(UInt64(entries.count))
        for (key, value) in entries {
            bytes += little(UInt64(key.utf8.count)) + Array(key.utf8)
            bytes += little(value.type.rawValue) + value.bytes
        }
        var names: Set<String> = []
        var offset = 0
        for tensor in tensors {
            guard names.insert(tensor.name).inserted else {
                throw .duplicate(file: path, name: tensor.name)
            }
            bytes += try info(tensor, offset: offset, path: path)
            offset = (offset + tensor.byteCount + alignment - 1) & ~(alignment - 1)
        }
        return bytes
    }

    private func info(
        _ tensor: TensorSource, offset: Int, path: String
    ) throws(FormatError) -> [UInt8] {
        func bad(_ found: String, _ expected: String) -> FormatError {
            .badValue(file: path, key: tensor.name, found: found, expected: expected)
        }
        guard let code = tensor.elementType.ggufCode else {
            throw bad(tensor.elementType.name, "a type of GGUF")
        }
        guard (1...4).contains(tensor.shape.count) else {
            throw bad("of \(tensor.shape.count) dimensions", "1 to 4")
        }
        guard (1...GGUFScanner.maximumNameBytes).contains(tensor.name.utf8.count) else {
            throw bad("\(tensor.name.utf8.count) bytes", "1 to \(GGUFScanner.maximumNameBytes)")
        }
        return little(UInt64(tensor.name.utf8.count)) + Array(tensor.name.utf8)
            + little(UInt32(tensor.shape.count))
            + tensor.shape.reversed().flatMap { little(UInt64($0)) }
            + little(code) + little(UInt64(offset))
    }

    private func padding(after count: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: (alignment - count % alignment) % alignment)
    }

    private func little(_ value: some FixedWidthInteger) -> [UInt8] { GGUFOutput.little(value) }
}
