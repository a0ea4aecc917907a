import YuyanFormats
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension LowRankAdapter {
    /// Loads what PEFT's `save_pretrained` wrote: `adapter_config.json`, `adapter_model.safetensors`.
    ///
    /// Every tensor of the file must find its module and its other half, and every module that the
    /// configuration names must find its tensors. Loading computes on the calling thread only, so
    /// it may run beside a forward pass.
    ///
    /// - Parameters:
    ///   - name: What requests call it.
    ///   - directory: Holds the two files.
    ///   - model: Whose projections it updates; DoRA's lengths come from its weights.
    ///   - device: The one that the model runs on.
    ///   - limitBytes: Most memory that its matrices may take.
    /// - Throws: `AdapterError` or `FormatError`, naming file and tensor or key.
    public convenience init(
        name: String, directory: String, for model: Decoder, on device: Device,
        limitBytes: Int = .max
    ) throws {
        let files = try AdapterFiles(directory: directory)
        let weights = try SafetensorsFile(file: files.weights)
        let parts = try AdapterParts(weights, try files.configuration(), model: model)
        let byteCount = parts.byteCount
        guard byteCount <= limitBytes else {
            throw AdapterError.tooLarge(
                directory: directory, bytes: byteCount, limit: limitBytes)
        }
        let packing = Device(packingFor: device, pieceBytes: byteCount)
        self.init(
            name: name, version: files.contentHash, byteCount: byteCount,
            updates: try parts.updates(on: packing))
    }
}

/// The two files of an adapter, mapped.
private struct AdapterFiles {
    let settings: MappedFile
    let weights: MappedFile
    /// Far above any real configuration; it is parsed whole.
    private static let largestConfiguration = 4 << 20

    init(directory: String) throws {
        func path(_ file: String) -> String {
            directory.hasSuffix("/") ? directory + file : directory + "/" + file
        }
        func has(_ file: String) -> Bool { access(path(file), F_OK) == 0 }
        for file in ["adapter_config.json", "adapter_model.safetensors"] where !has(file) {
            let hint =
                has("adapter_model.bin") && has("adapter_config.json")
                ? "adapter_model.bin is a pickle; load it with PEFT and save_pretrained it again"
                : "give a directory that PEFT's save_pretrained wrote"
            throw AdapterError.notAnAdapter(directory: directory, missing: file, hint: hint)
        }
        settings = try MappedFile(path: path("adapter_config.json"))
        weights = try MappedFile(path: path("adapter_model.safetensors"))
    }

    func configuration() throws -> AdapterConfiguration {
        guard settings.count <= Self.largestConfiguration else {
            throw AdapterError.configuration(
                file: settings.path, key: "the file", found: "\(settings.count) bytes",
                expected: "at most \(Self.largestConfiguration)")
        }
        let bytes = settings.withUnsafeBytes(in: 0..<settings.count) { Array($0) }
        return try AdapterConfiguration(JSONDocument(bytes: bytes, name: settings.path))
    }

    /// The standard library's keyed hash: whoever writes an adapter cannot aim at another's.
    var contentHash: UInt64 {
        var hasher = Hasher()
        for file in [settings, weights] {
            hasher.combine(file.count)
            file.withUnsafeBytes(in: 0..<file.count) { hasher.combine(bytes: $0) }
        }
        // 0 stands for no adapter in the keys of cached prefixes.
        return max(1, UInt64(bitPattern: Int64(hasher.finalize())))
    }
}

/// The checked tensors of an adapter, each with the module that it updates.
private struct AdapterParts {
    private struct Part {
        let projection: any Projection
        let scale: Float
        let down: TensorEntry
        let up: TensorEntry
        let magnitude: TensorEntry?
    }

    private static let prefix = "base_model.model."
    private let parts: [Part?]
    let byteCount: Int

    init(_ file: SafetensorsFile, _ configuration: AdapterConfiguration, model: Decoder) throws {
        var found = try Self.tensorsByModule(file, model: model, configuration)
        parts = try model.projections.map { projection in
            guard let module = projection.module else { return nil }
            let isNamed = try configuration.names(module.path)
            guard let tensors = found.removeValue(forKey: module.path) else {
                guard isNamed else { return nil }
                throw AdapterError.missingTensor(
                    name: Self.prefix + module.path + Half.down.suffix, file: file.file.path,
                    reason: "'target_modules' names its module; was the adapter saved whole?")
            }
            let checked = Self.Checker(
                file: file.file.path, tensors: tensors, projection: projection, path: module.path)
            guard isNamed else {
                throw checked.unused(
                    "its module is not among those of 'target_modules' less 'exclude_modules', in "
                        + "'layers_to_transform', of \(configuration.file)")
            }
            return try checked.part(configuration)
        }
        var bytes = 0
        for case let part? in parts {
            for entry in [part.down, part.up] {
                let size =
                    entry.elementType.packedByteCount(
                        rows: entry.shape[0], columns: entry.shape[1]) ?? .max
                let (sum, overflow) = bytes.addingReportingOverflow(size)
                guard !overflow else {
                    throw FormatError.overflow(file: file.file.path, what: "the adapter")
                }
                // The device rounds pieces up to whole cache lines.
                bytes = (sum + 63) & ~63
            }
            bytes += (part.magnitude?.elementCount ?? 0) * MemoryLayout<Float>.stride
        }
        byteCount = bytes
    }

    /// Packs and, for DoRA, measures the updated weights.
    func updates(on device: Device) throws -> [LowRankAdapter.Update?] {
        try parts.map { part in
            guard let part else { return nil }
            return LowRankAdapter.Update(
                down: try PackedMatrix(part.down, on: device),
                up: try PackedMatrix(part.up, on: device), scale: part.scale,
                gain: try gain(part, on: device))
        }
    }

    /// `m / ‖W + s B A‖` for each output row.
    private func gain(_ part: Part, on device: Device) throws -> ColumnGain? {
        guard let entry = part.magnitude else { return nil }
        guard let weight = part.projection.packedWeight else {
            throw AdapterError.unusedTensor(
                name: entry.name, file: entry.file.path,
                reason: "the lengths of this model's weights cannot be computed")
        }
        let magnitudes = try Tensor(entry).values
        let lengths = weight.rowLengths(
            adding: try Tensor(part.down), try Tensor(part.up), scale: part.scale, on: device)
        let gains = zip(magnitudes, lengths).map { $0 / $1 }
        if let row = gains.firstIndex(where: { !$0.isFinite }) {
            throw AdapterError.notFinite(
                name: entry.name, file: entry.file.path, element: row,
                found: "\(magnitudes[row]) over the weight's length \(lengths[row])")
        }
        return ColumnGain(factors: Tensor(gains, shape: [gains.count]))
    }

    /// What a tensor's name ends in.
    enum Half: CaseIterable {
        case down, up, magnitude

        var suffix: String {
            switch self {
            case .down: ".lora_A.weight"
            case .up: ".lora_B.weight"
            case .magnitude: ".lora_magnitude_vector"
            }
        }
    }

    private static func tensorsByModule(
        _ file: SafetensorsFile, model: Decoder, _ configuration: AdapterConfiguration
    ) throws -> [String: [Half: TensorEntry]] {
        let paths = Set(model.projections.compactMap { $0.module?.path })
        var found: [String: [Half: TensorEntry]] = [:]
        for entry in file.tensors {
            let (module, half) = try split(entry.name, file: file.file.path)
            guard paths.contains(module) else {
                throw AdapterError.unknownModule(
                    name: entry.name, file: file.file.path, module: module,
                    nearest: nearestNames(to: module, in: paths.sorted()))
            }
            guard half != .magnitude || configuration.hasMagnitudes else {
                throw AdapterError.unusedTensor(
                    name: entry.name, file: file.file.path,
                    reason: "'use_dora' is not true in \(configuration.file)")
            }
            found[module, default: [:]][half] = entry
        }
        return found
    }

    private static func split(
        _ name: String, file: String
    ) throws(AdapterError) -> (module: String, half: Half) {
        func unused(_ reason: String) -> AdapterError {
            .unusedTensor(name: name, file: file, reason: reason)
        }
        guard name.hasPrefix(prefix) else {
            throw unused("names of LoRA's tensors begin with '\(prefix)'")
        }
        for half in Half.allCases where name.hasSuffix(half.suffix) {
            return (String(name.dropFirst(prefix.count).dropLast(half.suffix.count)), half)
        }
        if name.contains(".lora_embedding_") {
            throw unused("updates of embeddings are not supported; leave them out of the targets")
        }
        if name.hasSuffix(".lora_B.bias") {
            throw unused("updates with a bias are not supported; train without lora_bias")
        }
        if name.contains("lora_") {
            let endings = Half.allCases.map { "'\($0.suffix)'" }.joined(separator: ", ")
            throw unused("expected a name that ends in \(endings)")
        }
        throw unused(
            "weights of the model itself cannot be replaced; save with "
                + "save_embedding_layers=False and without modules_to_save")
    }

    /// Checks the tensors of one module against its projection and the configuration.
    private struct Checker {
        let file: String
        let tensors: [Half: TensorEntry]
        let projection: any Projection
        let path: String

        func part(_ configuration: AdapterConfiguration) throws -> Part {
            let (rank, scale) = try configuration.rankAndScale(of: path)
            let ranked = "rank \(rank) by 'r' and 'rank_pattern' of \(configuration.file)"
            return Part(
                projection: projection, scale: scale,
                down: try tensor(.down, [rank, projection.inputWidth], ranked),
                up: try tensor(.up, [projection.outputWidth, rank], ranked),
                magnitude: configuration.hasMagnitudes
                    ? try tensor(.magnitude, [projection.outputWidth], "one for each output") : nil)
        }

        func unused(_ reason: String) -> AdapterError {
            .unusedTensor(
                name: tensors.values.map(\.name).min() ?? path, file: file, reason: reason)
        }

        private func tensor(_ half: Half, _ shape: [Int], _ reason: String) throws -> TensorEntry {
            guard let entry = tensors[half] else {
                throw AdapterError.missingTensor(
                    name: AdapterParts.prefix + path + half.suffix, file: file,
                    reason: "its other half is there; was the adapter saved whole?")
            }
            guard [.f32, .f16, .bf16].contains(entry.elementType) else {
                throw AdapterError.elementType(
                    name: entry.name, file: file, found: entry.elementType.name)
            }
            guard entry.shape == shape else {
                throw AdapterError.shape(
                    name: entry.name, file: file, expected: shape, found: entry.shape,
                    reason: reason + "; is the adapter for this model?")
            }
            let values = try Tensor(entry).values
            if let element = values.firstIndex(where: { !$0.isFinite }) {
                throw AdapterError.notFinite(
                    name: entry.name, file: file, element: element, found: "\(values[element])")
            }
            return entry
        }
    }
}
