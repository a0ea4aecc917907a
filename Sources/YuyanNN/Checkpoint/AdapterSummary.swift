import YuyanFormats
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the files of an adapter hold, read without the model that it is for.
public struct AdapterSummary: Sendable {
    /// One updated or replaced module.
    public struct Part: Sendable {
        /// Path in the Hugging Face layout, or the tensor's name in GGUF.
        public let path: String
        /// Rank of the update; nil for a whole weight.
        public let rank: Int?
        /// What the product of the matrices is multiplied by.
        public let scale: Double?
        /// Numbers stored for it.
        public let parameters: Int
        /// Frobenius norm of `s B A`: how far the update moves the weight; nil for a whole weight.
        public let norm: Double?
        /// Whether it has DoRA's lengths.
        public let hasMagnitude: Bool
    }

    /// `PEFT` or `GGUF`.
    public let format: String
    /// The model that the files name, if they do.
    public let baseModel: String?
    /// How numbers are stored, with how many tensors each.
    public let elementTypes: [ElementType: Int]
    /// Sorted by path, numbers in paths by value.
    public let parts: [Part]
    /// Bytes of the file with the numbers.
    public let byteCount: Int

    /// - Parameter path: A PEFT directory or a GGUF adapter.
    /// - Throws: `AdapterError` or `FormatError`, naming file and tensor or key.
    public init(path: String) throws {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
            try self.init(gguf: GGUFFile(path: path))
        } else {
            try self.init(files: AdapterFiles(directory: path))
        }
    }

    private init(files: AdapterFiles) throws {
        let configuration = try files.configuration()
        let file = try SafetensorsFile(file: files.weights)
        var found: [String: [AdapterTensorKind: TensorEntry]] = [:]
        for entry in file.tensors {
            let name = try AdapterTensorName(entry.name, file: file.file.path)
            found[name.module, default: [:]][name.kind] = entry
        }
        var parts: [Part] = []
        for (path, tensors) in found {
            for kind in [AdapterTensorKind.whole, .baseLayer] {
                guard let entry = tensors[kind] else { continue }
                parts.append(Part(whole: entry, path: path))
            }
            let down = tensors[.down] ?? tensors[.embeddingDown]
            let up = tensors[.up] ?? tensors[.embeddingUp]
            guard down != nil || up != nil || tensors[.magnitude] != nil else { continue }
            guard let down, let up else {
                throw AdapterError.missingTensor(
                    name: AdapterTensorName(module: path, kind: down == nil ? .down : .up).text,
                    file: file.file.path, reason: "its other half is there")
            }
            let (rank, scale) = try configuration.rankAndScale(of: path)
            parts.append(
                try Part(
                    path: path, rank: rank, scale: scale, down: down, up: up,
                    magnitude: tensors[.magnitude]))
        }
        self.init(
            format: "PEFT", baseModel: configuration.baseModel, entries: file.tensors,
            parts: parts, byteCount: files.weights.count)
    }

    private init(gguf file: GGUFFile) throws {
        let alpha = try file.optionalDouble("adapter.lora.alpha") ?? 0
        var parts: [Part] = []
        for down in file.tensors where down.name.hasSuffix(".lora_a") {
            let name = String(down.name.dropLast(".lora_a".count))
            let up = try file.tensor(name + ".lora_b")
            let rank = up.shape.last ?? 0
            guard rank > 0 else {
                throw AdapterError.shape(
                    name: up.name, file: file.file.path, expected: [1, 1], found: up.shape,
                    reason: "a rank of at least 1")
            }
            parts.append(
                try Part(
                    path: name, rank: rank,
                    scale: alpha == 0 ? 1 : Float(alpha / Double(rank)), down: down, up: up,
                    magnitude: nil, isTransposed: name.hasPrefix("token_embd.")))
        }
        self.init(
            format: "GGUF", baseModel: try file.optionalString("general.name"),
            entries: file.tensors, parts: parts, byteCount: file.file.count)
    }

    private init(
        format: String, baseModel: String?, entries: [TensorEntry], parts: [Part],
        byteCount: Int
    ) {
        self.format = format
        self.baseModel = baseModel
        self.byteCount = byteCount
        elementTypes = entries.reduce(into: [:]) { $0[$1.elementType, default: 0] += 1 }
        self.parts = parts.sorted { Self.key($0.path).lexicographicallyPrecedes(Self.key($1.path)) }
    }

    /// The parts of a path, with numbers padded so that layer 10 follows layer 9.
    private static func key(_ path: String) -> [String] {
        path.split(separator: ".").map { part in
            Int(part) == nil
                ? String(part) : String(repeating: "0", count: max(0, 8 - part.count)) + part
        }
    }

    /// Numbers of all parts.
    public var parameters: Int { parts.reduce(0) { $0 + $1.parameters } }
}

extension AdapterSummary.Part {
    fileprivate init(whole entry: TensorEntry, path: String) {
        self.init(
            path: path, rank: nil, scale: nil, parameters: entry.elementCount, norm: nil,
            hasMagnitude: false)
    }

    fileprivate init(
        path: String, rank: Int, scale: Float, down: TensorEntry, up: TensorEntry,
        magnitude: TensorEntry?, isTransposed: Bool = false
    ) throws {
        let file = down.file.path
        for (entry, axis) in [(down, isTransposed ? 1 : 0), (up, 1)] {
            guard [.f32, .f16, .bf16].contains(entry.elementType) else {
                throw AdapterError.elementType(
                    name: entry.name, file: file, found: entry.elementType.name)
            }
            guard entry.shape.count == 2, entry.shape[axis] == rank else {
                var expected = entry.shape.count == 2 ? entry.shape : [0, 0]
                expected[axis] = rank
                throw AdapterError.shape(
                    name: entry.name, file: file, expected: expected, found: entry.shape,
                    reason: "rank \(rank)")
            }
        }
        var values = try Tensor(down).values
        if isTransposed {
            let (stored, width) = (values, down.shape[0])
            values = (0..<stored.count).map { stored[$0 % width * rank + $0 / width] }
        }
        let update = MatrixUpdate(
            rank: rank, down: values, up: try Tensor(up).values, scale: scale)
        self.init(
            path: path, rank: rank, scale: Double(scale),
            parameters: down.elementCount + up.elementCount + (magnitude?.elementCount ?? 0),
            norm: update.norm, hasMagnitude: magnitude != nil)
    }
}
