import YuyanFormats
import YuyanTensor

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
    ///   - merging: Whether it is only to be merged: then it may bring norms of its own, which
    ///     cannot be switched by request.
    /// - Throws: `AdapterError` or `FormatError`, naming file and tensor or key.
    public convenience init(
        name: String, directory: String, for model: Decoder, on device: Device,
        limitBytes: Int = .max, merging: Bool = false
    ) throws {
        let files = try AdapterFiles(directory: directory)
        let weights = try SafetensorsFile(file: files.weights)
        let parts = try AdapterParts(
            weights, try files.configuration(), model: model, merging: merging)
        let byteCount = parts.byteCount
        guard byteCount <= limitBytes else {
            throw AdapterError.tooLarge(
                directory: directory, bytes: byteCount, limit: limitBytes)
        }
        let packing = Device(packingFor: device, pieceBytes: byteCount)
        self.init(
            name: name, version: files.hash, byteCount: byteCount,
            parts: try parts.packed(on: packing))
    }
}

/// The checked tensors of an adapter, each with the module that it is for.
private struct AdapterParts {
    static let embedding = "model.embed_tokens"
    /// What transformers calls the head of its sequence classification.
    static let score = "score"
    private typealias Tensors = [AdapterTensorKind: TensorEntry]

    private let model: Decoder
    private let file: String
    private let configuration: AdapterConfiguration
    private var updates: [AdapterUpdateTensors?] = []
    private var replacements: [Int: TensorEntry] = [:]
    private var table: TensorEntry?
    private var tableUpdate: AdapterUpdateTensors?
    private var norms: [TensorEntry] = []
    private var score: TensorEntry?

    init(
        _ file: SafetensorsFile, _ configuration: AdapterConfiguration, model: Decoder,
        merging: Bool
    ) throws {
        self.model = model
        self.file = file.file.path
        self.configuration = configuration
        var found: [String: Tensors] = [:]
        for entry in file.tensors {
            let name = try AdapterTensorName(entry.name, file: file.file.path)
            found[name.module, default: [:]][name.kind] = entry
        }
        let byEmbedding = found.removeValue(forKey: Self.embedding) ?? [:]
        for projection in model.projections {
            guard let module = projection.module else { continue }
            try add(found.removeValue(forKey: module.path) ?? [:], projection, module)
        }
        try addEmbedding(byEmbedding)
        try addScore(found.removeValue(forKey: Self.score) ?? [:])
        for (path, tensors) in found.sorted(by: { $0.key < $1.key }) {
            try addNorm(tensors, path: path, merging: merging)
        }
        for norm in model.normWeights {
            let path = String(norm.name.dropLast(AdapterTensorKind.whole.suffix.count))
            if configuration.saves(path), found[path] == nil { throw missingWhole(path) }
        }
    }

    // MARK: - Projections

    private mutating func add(
        _ tensors: Tensors, _ projection: any Projection, _ module: Module
    ) throws {
        var tensors = tensors
        let shape = [projection.outputWidth, projection.inputWidth]
        if let entry = tensors.removeValue(forKey: .whole) {
            try checkSaved(entry, module.path)
            guard (projection as? Linear)?.bias == nil else {
                throw AdapterError.unusedTensor(
                    name: entry.name, file: file,
                    reason: "whole modules with a bias cannot be put in the place of the model's")
            }
            try check(entry, shape, "the model's own weight")
            replacements[module.number] = entry
        } else if configuration.saves(module.path) {
            throw missingWhole(module.path)
        }
        if let entry = tensors.removeValue(forKey: .baseLayer) {
            try check(entry, shape, "the model's own weight")
            if try !isModels(entry, projection.packedWeight) { replacements[module.number] = entry }
        }
        let isNamed = try configuration.names(module.path)
        guard !tensors.isEmpty else {
            guard !isNamed || replacements[module.number] != nil else {
                throw missing(module.path, .down)
            }
            return updates.append(nil)
        }
        if let entry = tensors[.embeddingDown] ?? tensors[.embeddingUp] {
            throw AdapterError.unusedTensor(
                name: entry.name, file: file, reason: "'\(module.path)' is no embedding")
        }
        guard isNamed else { throw unnamed(tensors) }
        updates.append(
            try update(
                tensors, (.down, .up), path: module.path, inputWidth: projection.inputWidth,
                outputWidth: projection.outputWidth))
    }

    private func update(
        _ tensors: Tensors, _ kinds: (down: AdapterTensorKind, up: AdapterTensorKind),
        path: String, inputWidth: Int, outputWidth: Int
    ) throws -> AdapterUpdateTensors {
        let (rank, scale) = try configuration.rankAndScale(of: path)
        let ranked = "rank \(rank) by 'r' and 'rank_pattern' of \(configuration.file)"
        func tensor(
            _ kind: AdapterTensorKind, _ shape: [Int], _ reason: String
        ) throws -> TensorEntry {
            guard let entry = tensors[kind] else {
                throw AdapterError.missingTensor(
                    name: AdapterTensorName(module: path, kind: kind).text, file: file,
                    reason: "its other half is there; was the adapter saved whole?")
            }
            try check(entry, shape, reason)
            return entry
        }
        if let entry = tensors[.magnitude], !configuration.hasMagnitudes {
            throw AdapterError.unusedTensor(
                name: entry.name, file: file,
                reason: "'use_dora' is not true in \(configuration.file)")
        }
        return AdapterUpdateTensors(
            scale: scale, down: try tensor(kinds.down, [rank, inputWidth], ranked),
            up: try tensor(kinds.up, [outputWidth, rank], ranked),
            magnitude: configuration.hasMagnitudes
                ? try tensor(.magnitude, [outputWidth], "one for each output") : nil)
    }

    // MARK: - Embedding and norms

    private mutating func addEmbedding(_ tensors: Tensors) throws {
        var tensors = tensors
        let hasNoTable = tensors[.whole] == nil
        let shape = [model.embeddingTable.rows, model.embeddingTable.columns]
        for kind in [AdapterTensorKind.whole, .baseLayer] {
            guard let entry = tensors.removeValue(forKey: kind) else { continue }
            let isSaved = configuration.saves(Self.embedding)
            try check(entry, shape, "the model's embedding; was the vocabulary resized?")
            guard try !isModels(entry, model.embeddingTable) else { continue }
            table = entry
            // What is not a module of its own is the model's weight, which a tied head shares.
            if !isSaved, model.shape.tiedEmbeddings, let head = model.head.module {
                if replacements[head.number] == nil { replacements[head.number] = entry }
            }
        }
        if configuration.saves(Self.embedding), hasNoTable { throw missingWhole(Self.embedding) }
        let isNamed = try configuration.namesEmbedding(Self.embedding)
        guard !tensors.isEmpty else {
            guard !isNamed || configuration.saves(Self.embedding) else {
                throw missing(Self.embedding, .embeddingDown)
            }
            return
        }
        guard isNamed else { throw unnamed(tensors) }
        if let entry = tensors[.down] ?? tensors[.up] {
            throw AdapterError.unusedTensor(
                name: entry.name, file: file,
                reason: "updates of an embedding are called lora_embedding_A and lora_embedding_B")
        }
        tableUpdate = try update(
            tensors, (.embeddingDown, .embeddingUp), path: Self.embedding, inputWidth: shape[0],
            outputWidth: shape[1])
    }

    /// The head of a reward model, which scores texts instead of predicting tokens.
    private mutating func addScore(_ tensors: Tensors) throws {
        guard let entry = tensors[.whole], tensors.count == 1 else {
            if let other = tensors.values.min(by: { $0.name < $1.name }) {
                throw AdapterError.unusedTensor(
                    name: other.name, file: file, reason: "the head of a reward model has no update"
                )
            }
            return
        }
        try checkSaved(entry, Self.score)
        try check(entry, [1, model.shape.width], "one score for each text")
        score = entry
    }

    private mutating func addNorm(_ tensors: Tensors, path: String, merging: Bool) throws {
        guard let entry = tensors.values.min(by: { $0.name < $1.name }) else { return }
        guard tensors.count == 1, let norm = tensors[.whole],
            let own = model.normWeights.first(where: { $0.name == path + ".weight" })
        else {
            let paths = [Self.embedding] + model.projections.compactMap { $0.module?.path }
            throw AdapterError.unknownModule(
                name: entry.name, file: file, module: path,
                nearest: nearestNames(to: path, in: paths.sorted()))
        }
        try checkSaved(norm, path)
        guard merging else {
            throw AdapterError.unusedTensor(
                name: norm.name, file: file,
                reason: "norms cannot be switched by request; merge the adapter into the model "
                    + "with `yuyan adapter merge`")
        }
        try check(norm, own.shape, "the model's own weight")
        norms.append(norm)
    }

    // MARK: - Checks

    private func missingWhole(_ path: String) -> AdapterError {
        .missingTensor(
            name: AdapterTensorName(module: path, kind: .whole).text, file: file,
            reason: "'modules_to_save' names its module; was the adapter saved whole?")
    }

    private func missing(_ path: String, _ kind: AdapterTensorKind) -> AdapterError {
        .missingTensor(
            name: AdapterTensorName(module: path, kind: kind).text, file: file,
            reason: "'target_modules' names its module; was the adapter saved whole?")
    }

    private func unnamed(_ tensors: Tensors) -> AdapterError {
        .unusedTensor(
            name: tensors.values.map(\.name).min() ?? "", file: file,
            reason: "its module is not among those of 'target_modules' less 'exclude_modules', in "
                + "'layers_to_transform', of \(configuration.file)")
    }

    private func checkSaved(_ entry: TensorEntry, _ path: String) throws(AdapterError) {
        // PEFT saves embedding and head by itself too, if it thinks that they changed.
        guard configuration.saves(path) || path == model.head.module?.path else {
            throw .unusedTensor(
                name: entry.name, file: file,
                reason: "its module is not among those of 'modules_to_save' of "
                    + configuration.file)
        }
    }

    private func check(_ entry: TensorEntry, _ shape: [Int], _ reason: String) throws {
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
    }

    /// Whether a saved base weight is the very one that the model has.
    private func isModels(_ entry: TensorEntry, _ weight: PackedMatrix?) throws -> Bool {
        guard let weight else { return false }
        let stored = try Tensor(entry)
        return (0..<weight.rows).allSatisfy { weight.row($0) == stored.row($0) }
    }

    // MARK: - Memory

    var byteCount: Int {
        var bytes = 0
        func add(_ entry: TensorEntry, _ shape: [Int]) {
            let size = entry.elementType.packedByteCount(rows: shape[0], columns: shape[1])
            let (sum, overflow) = bytes.addingReportingOverflow(size ?? .max)
            // The device rounds pieces up to whole cache lines.
            bytes = overflow || sum > .max - 63 ? .max - 63 : (sum + 63) & ~63
        }
        for case let part? in updates + [tableUpdate] {
            // An embedding's A is packed transposed.
            let isTable = part.down.name == tableUpdate?.down.name
            add(part.down, isTable ? part.down.shape.reversed() : part.down.shape)
            add(part.up, part.up.shape)
            bytes += (part.magnitude?.elementCount ?? 0) * MemoryLayout<Float>.stride
        }
        for entry in Array(replacements.values) + [table].compactMap({ $0 }) {
            add(entry, entry.shape)
        }
        return bytes
    }

    /// Packs and, for DoRA, measures the updated weights.
    func packed(on device: Device) throws -> LowRankAdapter.Parts {
        var parts = LowRankAdapter.Parts()
        parts.replacements = try replacements.mapValues { try PackedMatrix($0, on: device) }
        parts.updates = try zip(updates, model.projections).map { tensors, projection in
            guard let tensors else { return nil }
            let weight =
                projection.module.flatMap { parts.replacements[$0.number] }
                ?? projection.packedWeight
            return try tensors.update(of: weight, on: device)
        }
        if table != nil || tableUpdate != nil {
            let packedTable = try table.map { try PackedMatrix($0, on: device) }
            parts.embedding = LowRankAdapter.Embedding(
                table: packedTable,
                update: try tableUpdate?.tableUpdate(
                    of: packedTable ?? model.embeddingTable, on: device))
        }
        parts.score = try score.map { try Tensor($0).values }
        for norm in norms {
            let name = String(norm.name.dropFirst(AdapterTensorName.prefix.count))
            parts.norms[name] = try Tensor(norm).values
        }
        return parts
    }
}
