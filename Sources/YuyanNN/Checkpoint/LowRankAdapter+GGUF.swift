import YuyanFormats
import YuyanTensor

extension LowRankAdapter {
    /// Loads an adapter that is a GGUF file, as llama.cpp's `convert_lora_to_gguf.py` writes it.
    ///
    /// - Parameters:
    ///   - name: What requests call it.
    ///   - file: Its tensors are called like the model's, with `.lora_a` and `.lora_b` behind.
    ///   - model: Whose projections it updates.
    ///   - device: The one that the model runs on.
    ///   - limitBytes: Most memory that its matrices may take.
    ///   - rowOrder: For each row of B of the module at a path, the row of the file that it is; nil
    ///     if the file has them in order.
    /// - Throws: `AdapterError` or `FormatError`, naming file and tensor or key.
    package convenience init(
        name: String, gguf file: GGUFFile, for model: Decoder, on device: Device,
        limitBytes: Int = .max, rowOrder: (_ path: String) -> [Int]?
    ) throws {
        let reader = try GGUFAdapterReader(file: file, model: model)
        let byteCount = reader.byteCount
        guard byteCount <= limitBytes else {
            throw AdapterError.tooLarge(
                directory: file.file.path, bytes: byteCount, limit: limitBytes)
        }
        let packing = Device(packingFor: device, pieceBytes: byteCount)
        self.init(
            name: name, version: contentHash(of: [file.file]), byteCount: byteCount,
            parts: try reader.packed(on: packing, rowOrder: rowOrder))
    }
}

/// Finds and checks the tensors of an adapter in a GGUF file.
private struct GGUFAdapterReader {
    private struct Pair {
        var down: TensorEntry?
        var up: TensorEntry?
    }

    private let file: GGUFFile
    private let model: Decoder
    private let alpha: Double
    private var pairs: [String: Pair] = [:]
    private static let table = "token_embd.weight"

    init(file: GGUFFile, model: Decoder) throws {
        self.file = file
        self.model = model
        let path = file.file.path
        for (key, expected) in [("general.type", "adapter"), ("adapter.type", "lora")] {
            let found = try file.string(key)
            guard found == expected else {
                throw AdapterError.configuration(
                    file: path, key: key, found: "'\(found)'", expected: "'\(expected)'")
            }
        }
        alpha = try file.optionalDouble("adapter.lora.alpha") ?? 0
        guard alpha.isFinite else {
            throw AdapterError.configuration(
                file: path, key: "adapter.lora.alpha", found: "\(alpha)",
                expected: "a finite number")
        }
        if file["adapter.alora.invocation_tokens"] != nil {
            throw AdapterError.unsupported(
                file: path, key: "adapter.alora.invocation_tokens", found: "present",
                expected: "an update of the whole sequence")
        }
        let weights = Set(names.map(\.weight) + [Self.table])
        for entry in file.tensors {
            guard let (weight, isDown) = Self.split(entry.name) else {
                throw AdapterError.unusedTensor(
                    name: entry.name, file: path,
                    reason: "expected a name that ends in '.lora_a' or '.lora_b'")
            }
            guard weights.contains(weight) else {
                throw AdapterError.unknownModule(
                    name: entry.name, file: path, module: weight,
                    nearest: nearestNames(to: weight, in: weights.sorted()))
            }
            if isDown {
                pairs[weight, default: Pair()].down = entry
            } else {
                pairs[weight, default: Pair()].up = entry
            }
        }
        for (weight, pair) in pairs { try check(pair, weight) }
    }

    /// The projections with the names of their weights in the file.
    private var names: [(projection: any Projection, path: String, weight: String)] {
        model.projections.compactMap { projection in
            projection.module.map {
                (projection, $0.path, ggufName(of: $0.path + ".weight"))
            }
        }
    }

    private static func split(_ name: String) -> (weight: String, isDown: Bool)? {
        for (suffix, isDown) in [(".lora_a", true), (".lora_b", false)]
        where name.hasSuffix(suffix) {
            return (String(name.dropLast(suffix.count)), isDown)
        }
        return nil
    }

    private func check(_ pair: Pair, _ weight: String) throws {
        let path = file.file.path
        guard let down = pair.down, let up = pair.up else {
            throw AdapterError.missingTensor(
                name: weight + (pair.down == nil ? ".lora_a" : ".lora_b"), file: path,
                reason: "its other half is there; was the adapter saved whole?")
        }
        let found = names.first { $0.weight == weight }?.projection
        let isTable = weight == Self.table
        let outputWidth = isTable ? model.embeddingTable.columns : found?.outputWidth ?? 0
        let inputWidth = isTable ? model.embeddingTable.rows : found?.inputWidth ?? 0
        let rank = up.shape.last ?? 0
        guard rank > 0, rank <= 1 << 20 else {
            throw AdapterError.shape(
                name: up.name, file: path, expected: [outputWidth, 1], found: up.shape,
                reason: "a rank of at least 1")
        }
        let expected = isTable ? [inputWidth, rank] : [rank, inputWidth]
        for (entry, shape) in [(up, [outputWidth, rank]), (down, expected)] {
            guard entry.shape == shape else {
                throw AdapterError.shape(
                    name: entry.name, file: path, expected: shape, found: entry.shape,
                    reason: "rank \(rank); is the adapter for this model?")
            }
            guard [.f32, .f16, .bf16].contains(entry.elementType) else {
                throw AdapterError.elementType(
                    name: entry.name, file: path, found: entry.elementType.name)
            }
            let values = try Tensor(entry).values
            if let element = values.firstIndex(where: { !$0.isFinite }) {
                throw AdapterError.notFinite(
                    name: entry.name, file: path, element: element, found: "\(values[element])")
            }
        }
    }

    var byteCount: Int {
        pairs.values.reduce(0) { sum, pair in
            [pair.down, pair.up].compactMap { $0 }.reduce(sum) { sum, entry in
                let size =
                    entry.elementType.packedByteCount(
                        rows: entry.shape[0], columns: entry.shape[1]) ?? 0
                return (sum + size + 63) & ~63
            }
        }
    }

    func packed(
        on device: Device, rowOrder: (_ path: String) -> [Int]?
    ) throws -> LowRankAdapter.Parts {
        func update(_ weight: String, _ order: [Int]?) throws -> LowRankAdapter.Update? {
            guard let down = pairs[weight]?.down, let up = pairs[weight]?.up else { return nil }
            return LowRankAdapter.Update(
                down: try PackedMatrix(down, on: device),
                up: try PackedMatrix(up, rowOrder: order, on: device),
                scale: alpha == 0 ? 1 : Float(alpha / Double(up.shape[1])), gain: nil)
        }
        var parts = LowRankAdapter.Parts()
        parts.updates = try names.map { try update($0.weight, rowOrder($0.path)) }
        if let update = try update(Self.table, nil) {
            parts.embedding = LowRankAdapter.Embedding(update: update)
        }
        return parts
    }
}
