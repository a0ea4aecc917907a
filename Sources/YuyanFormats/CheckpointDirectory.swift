#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder as Hugging Face lays out a model: safetensors, whole or in shards, and JSON files.
///
/// Reads `model.safetensors` or, if there is none, the shards that `model.safetensors.index.json`
/// lists under `weight_map`.
public struct CheckpointDirectory: Sendable {
    /// The folder.
    public let path: String
    /// The tensors of all shards, sorted by name.
    public let tensors: [TensorEntry]

    private let tensorIndices: [String: Int]

    /// Opens and checks all weight files of a folder.
    ///
    /// - Parameter needsWeights: Whether a folder without weights is refused; what trains from random
    ///   numbers needs none.
    /// - Throws: `.cannotOpen` if weights are missing, or whatever is wrong with a file. An index
    ///   that names a tensor its shard lacks, or a shard outside the folder, is refused.
    public init(path: String, needsWeights: Bool = true) throws(FormatError) {
        self.path = path
        let single = Self.join(path, "model.safetensors")
        let index = Self.join(path, "model.safetensors.index.json")
        var found: [TensorEntry]
        if try itemExists(single) {
            found = try SafetensorsFile(path: single).tensors
        } else if try itemExists(index) {
            found = try Self.shardedTensors(index: JSONDocument(path: index), folder: path)
        } else if !needsWeights {
            found = []
        } else {
            throw .cannotOpen(
                file: path, reason: "it has neither model.safetensors nor its index.json")
        }
        found.sort { $0.name < $1.name }
        tensors = found
        tensorIndices = Dictionary(
            uniqueKeysWithValues: found.enumerated().map { ($1.name, $0) })
    }

    /// The tensor of a name, whichever shard it is in.
    ///
    /// - Throws: `.missingTensor` with the nearest names.
    public func tensor(_ name: String) throws(FormatError) -> TensorEntry {
        guard let index = tensorIndices[name] else {
            throw .missingTensor(
                name: name, file: path,
                nearest: nearestNames(to: name, in: tensors.lazy.map(\.name)))
        }
        return tensors[index]
    }

    /// A JSON file of the folder, such as `config.json`, or `nil` if there is none.
    ///
    /// - Throws: `.cannotOpen` or `.json` if it exists but cannot be read.
    /// - Precondition: `fileName` is a plain name, without folders.
    public func json(_ fileName: String) throws(FormatError) -> JSONDocument? {
        precondition(Self.isPlain(fileName), "'\(fileName)' is not a plain file name")
        let file = Self.join(path, fileName)
        return try itemExists(file) ? JSONDocument(path: file) : nil
    }

    private static func shardedTensors(
        index: JSONDocument, folder: String
    ) throws(FormatError) -> [TensorEntry] {
        guard let map = try index.root.object("weight_map").entries else { return [] }
        var shards: [String: SafetensorsFile] = [:]
        var tensors: [TensorEntry] = []
        var names: Set<String> = []
        for (name, value) in map {
            guard names.insert(name).inserted else {
                throw .duplicate(file: index.name, name: name)
            }
            guard let shard = value.string else {
                throw .wrongType(
                    file: index.name, key: name, found: "\(value.kind)", expected: "string")
            }
            // The index may come from a stranger: it must not reach out of its folder.
            guard isPlain(shard) else {
                throw .badValue(
                    file: index.name, key: name, found: "in '\(shard)'",
                    expected: "a file name without folders")
            }
            let file: SafetensorsFile
            if let opened = shards[shard] {
                file = opened
            } else {
                file = try SafetensorsFile(path: join(folder, shard))
                shards[shard] = file
            }
            tensors.append(try file.tensor(name))
        }
        return tensors
    }

    private static func join(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }

    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".."
            && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
    }
}

/// Whether something is at `path`; throws if the system cannot tell.
private func itemExists(_ path: String) throws(FormatError) -> Bool {
    var status = stat()
    if stat(path, &status) == 0 { return true }
    let code = errno
    if code == ENOENT { return false }
    throw .cannotOpen(file: path, reason: systemMessage(code))
}
