import YuyanFormats
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An opened model on disk, whatever its format; tensors are asked for by Hugging Face names.
public struct Checkpoint: Sendable {
    /// The file formats that hold a model.
    public enum Source: Sendable {
        case gguf(GGUFFile)
        case huggingFace(CheckpointDirectory, configuration: JSONDocument)
    }

    /// The opened files, for what is not a tensor: metadata and configuration.
    public let source: Source
    private let entries: [String: TensorEntry]

    /// Opens a GGUF file or a Hugging Face directory; tensors are mapped, not read.
    ///
    /// - Parameter needsWeights: Whether a directory without weights is refused.
    /// - Throws: `FormatError` if the files are damaged, `CheckpointError.notACheckpoint` if the
    ///   path is neither.
    public init(path: String, needsWeights: Bool = true) throws {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw FormatError.cannotOpen(file: path, reason: String(cString: strerror(errno)))
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            let directory = try CheckpointDirectory(path: path, needsWeights: needsWeights)
            guard let configuration = try directory.json("config.json") else {
                throw CheckpointError.notACheckpoint(path: path)
            }
            self.init(.huggingFace(directory, configuration: configuration), directory.tensors)
        } else {
            let file = try GGUFFile(path: path)
            self.init(.gguf(file), file.tensors)
        }
    }

    private init(_ source: Source, _ tensors: [TensorEntry]) {
        self.source = source
        entries = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The path that errors name.
    public var path: String {
        switch source {
        case .gguf(let file): file.file.path
        case .huggingFace(let directory, _): directory.path
        }
    }

    /// All tensors, under the names in the file.
    public var tensors: [TensorEntry] {
        switch source {
        case .gguf(let file): file.tensors
        case .huggingFace(let directory, _): directory.tensors
        }
    }

    package var isGGUF: Bool { if case .gguf = source { true } else { false } }

    /// The name that this file uses for a Hugging Face tensor name.
    public func fileName(of name: String) -> String { isGGUF ? ggufName(of: name) : name }

    /// The tensor, or nil if the file does not have it.
    public func optionalEntry(_ name: String) -> TensorEntry? { entries[fileName(of: name)] }

    /// The tensor under its Hugging Face name, checked to have this shape.
    ///
    /// - Throws: `FormatError.missingTensor` with the nearest names, or `CheckpointError.shape`.
    public func entry(_ name: String, shape: [Int]) throws -> TensorEntry {
        let fileName = fileName(of: name)
        guard let entry = entries[fileName] else {
            throw FormatError.missingTensor(
                name: fileName, file: path, nearest: nearestNames(to: fileName, in: entries.keys))
        }
        guard entry.shape == shape else {
            throw CheckpointError.shape(
                name: fileName, file: path, expected: shape, found: entry.shape)
        }
        return entry
    }

    /// A one-dimensional tensor, widened to float32.
    public func vector(_ name: String, count: Int) throws -> Tensor {
        try Tensor(entry(name, shape: [count]))
    }
}

extension Checkpoint: WeightSource {
    package func matrix(
        _ name: String, rows: Int, columns: Int, rowOrder: [Int]?, on device: Device
    ) throws -> PackedMatrix {
        if rowOrder == nil, let weight = try fourBitWeight(name, rows: rows, columns: columns) {
            return PackedMatrix(weight, on: device)
        }
        return try PackedMatrix(
            entry(name, shape: [rows, columns]), rowOrder: rowOrder, on: device)
    }

    package func vector(_ name: String, count: Int, rowOrder: [Int]?) throws -> Tensor {
        let values = try vector(name, count: count)
        guard let rowOrder else { return values }
        let flat = values.values
        return Tensor(rowOrder.map { flat[$0] }, shape: [count])
    }
}
