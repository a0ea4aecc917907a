/// Writes safetensors files: a JSON header, then the tensors without gaps.
///
/// Tensors of wide elements come first, otherwise the order is kept: so every tensor is aligned to
/// its elements, as the format's own library does it. A file appears whole or not at all.
public struct SafetensorsWriter {
    /// The text entries under `__metadata__`; transformers refuses files without the format.
    public var metadata: [(key: String, value: String)]

    /// - Parameter metadata: By default what PyTorch's side writes.
    public init(metadata: [(key: String, value: String)] = [("format", "pt")]) {
        self.metadata = metadata
    }

    /// Writes one file.
    ///
    /// - Throws: `.duplicate` or `.badValue` on names and types that the format does not allow,
    ///   `.cannotWrite` with the system's reason; then nothing is changed.
    public func write(_ tensors: [TensorSource], to path: String) throws {
        let ordered = try Self.ordered(tensors, path: path)
        let header = try header(ordered, path: path)
        try writeAtomically(path) { sink in
            try sink.write(withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) })
            try sink.write(header)
            for tensor in ordered { try tensor.write(to: &sink) }
        }
    }

    /// Writes a model as Hugging Face does: one file, or shards and their index.
    ///
    /// Files of an earlier model in the folder that would shadow the new one are removed once the
    /// new one is whole.
    ///
    /// - Parameters:
    ///   - directory: An existing folder.
    ///   - stem: `model`; shards are called `model-00001-of-00002.safetensors`.
    ///   - maximumShardBytes: A tensor that is larger gets a shard of its own.
    /// - Returns: The names of the files with tensors.
    /// - Throws: As `write`.
    @discardableResult
    public func writeModel(
        _ tensors: [TensorSource], to directory: String, stem: String = "model",
        maximumShardBytes: Int = 5_000_000_000
    ) throws -> [String] {
        precondition(maximumShardBytes > 0, "shards of \(maximumShardBytes) bytes")
        func place(_ name: String) -> String {
            directory.hasSuffix("/") ? directory + name : directory + "/" + name
        }
        let whole = stem + ".safetensors"
        let index = whole + ".index.json"
        // Names must be unique across shards too.
        try Self.checkNames(tensors, path: place(index))
        let shards = Self.shards(tensors, maximumBytes: maximumShardBytes)
        guard shards.count > 1 else {
            try write(tensors, to: place(whole))
            try removeFile(place(index))
            return [whole]
        }
        var files: [String] = []
        var map: [(key: String, value: JSONOutput)] = []
        for (number, shard) in shards.enumerated() {
            let name =
                "\(stem)-\(padded(number + 1))-of-\(padded(shards.count)).safetensors"
            try write(shard, to: place(name))
            files.append(name)
            map += shard.map { ($0.name, .string(name)) }
        }
        let size = tensors.reduce(0) { $0 + $1.byteCount }
        let document: JSONOutput = [
            "metadata": ["total_size": .integer(size)],
            "weight_map": .object(map.sorted { $0.key < $1.key }),
        ]
        try writeAtomically(place(index)) { try $0.write(document.indented + "\n") }
        try removeFile(place(whole))
        return files
    }

    /// Consecutive tensors, as many to a shard as fit.
    private static func shards(
        _ tensors: [TensorSource], maximumBytes: Int
    ) -> [[TensorSource]] {
        var shards: [[TensorSource]] = [[]]
        var used = 0
        for tensor in tensors {
            if used > 0, used + tensor.byteCount > maximumBytes {
                shards.append([])
                used = 0
            }
            shards[shards.count - 1].append(tensor)
            used += tensor.byteCount
        }
        return shards
    }

    private static func ordered(
        _ tensors: [TensorSource], path: String
    ) throws(FormatError) -> [TensorSource] {
        try checkNames(tensors, path: path)
        // Swift's sort is stable, which keeps the caller's order among equals.
        return tensors.sorted { $0.elementType.bytesPerBlock > $1.elementType.bytesPerBlock }
    }

    private static func checkNames(
        _ tensors: [TensorSource], path: String
    ) throws(FormatError) {
        var names: Set<String> = ["__metadata__"]
        for tensor in tensors where !names.insert(tensor.name).inserted {
            throw .duplicate(file: path, name: tensor.name)
        }
    }

    /// The JSON text, padded with spaces so that tensors begin at a multiple of eight.
    private func header(
        _ tensors: [TensorSource], path: String
    ) throws(FormatError) -> [UInt8] {
        var entries: [(key: String, value: JSONOutput)] = []
        if !metadata.isEmpty {
            entries.append(
                ("__metadata__", .object(metadata.map { ($0.key, .string($0.value)) })))
        }
        var end = 0
        for tensor in tensors {
            guard let type = tensor.elementType.safetensorsName else {
                throw .badValue(
                    file: path, key: tensor.name, found: tensor.elementType.name,
                    expected: "a type of safetensors; widen it first")
            }
            let start = end
            end += tensor.byteCount
            entries.append(
                (
                    tensor.name,
                    [
                        "dtype": .string(type),
                        "shape": .array(tensor.shape.map { .integer($0) }),
                        "data_offsets": [.integer(start), .integer(end)],
                    ]
                ))
        }
        var bytes = Array(JSONOutput.object(entries).description.utf8)
        bytes += [UInt8](repeating: UInt8(ascii: " "), count: (8 - bytes.count % 8) % 8)
        guard bytes.count <= SafetensorsFile.maximumHeaderBytes else {
            throw .badValue(
                file: path, key: "the header", found: "\(bytes.count) bytes",
                expected: "at most \(SafetensorsFile.maximumHeaderBytes); use shards")
        }
        return bytes
    }

    private func padded(_ number: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
}
