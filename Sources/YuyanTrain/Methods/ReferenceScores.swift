import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// Log-probabilities of answers under the model as it was before training.
///
/// Through a fresh adapter the reference is the base itself, and is asked when an answer first comes. A
/// model whose own weights change, or that goes on from an adapter, is asked about all answers before the
/// first step. Either way an answer is computed once, however many epochs there are, and later runs find
/// it on disk.
final class ReferenceScores {
    private let model: TrainableModel
    private let device: Device
    /// Whether the base is still the reference once training has begun.
    let isBase: Bool
    private let cache: ReferenceCache

    /// - Parameter checkpoint: Where the model came from; nil keeps nothing on disk.
    /// - Throws: `FormatError` if what an earlier run left is damaged.
    init(
        _ model: TrainableModel, recipe: Recipe, checkpoint: Checkpoint? = nil, device: Device
    ) throws {
        self.model = model
        self.device = device
        isBase = model.trainsAdapterOnly && recipe.model.startAdapter == nil
        let folder =
            switch recipe.alignment.referenceCache {
            case "none": nil as String?
            case "": recipe.run.outputFolder + "/reference"
            case let folder: folder
            }
        let hash = try folder == nil ? nil : checkpoint?.hash(of: recipe)
        cache = try ReferenceCache(folder: hash == nil ? nil : folder, reference: hash ?? 0)
    }

    /// Computes what is not known; only while the model is still the reference.
    func note(_ groups: [AnswerGroup]) throws {
        let new = groups.filter { cache.scores(of: $0) == nil }
        guard !new.isEmpty else { return }
        var options = GroupPassOptions()
        options.adapter = isBase ? .none : .trained
        for (group, found) in zip(new, model.logProbabilities(of: new, options, on: device)) {
            cache.note(found, of: group)
        }
        try cache.saveSometimes()
    }

    /// Writes what is new to disk.
    func save() throws { try cache.save() }

    /// `[group][answer][token]`.
    ///
    /// - Throws: `RunError.unknownAnswer` if the model is not the reference any more and never was asked.
    func scores(of groups: [AnswerGroup]) throws -> [[[Float]]] {
        if isBase { try note(groups) }
        var found: [[[Float]]] = []
        for group in groups {
            guard let scores = cache.scores(of: group) else { throw RunError.unknownAnswer }
            found.append(scores)
        }
        return found
    }
}

extension Checkpoint {
    /// A hash of all that decides what the model of a recipe computes before it is trained.
    fileprivate func hash(of recipe: Recipe) throws -> UInt64 {
        var hash = StableHash()
        func add(_ text: String) {
            for byte in text.utf8 { hash.add(byte) }
            hash.add(0 as UInt8)
        }
        for tensor in tensors.sorted(by: { $0.name < $1.name }) {
            add(tensor.name)
            add(tensor.elementType.name)
            tensor.withUnsafeBytes { hash.add(block: $0) }
        }
        switch source {
        case .gguf: break
        case .huggingFace(_, let configuration):
            try MappedFile(path: configuration.name).add(to: &hash)
        }
        for adapter in recipe.model.adapters {
            // One that is merged may be a GGUF file.
            let names = ["/adapter_config.json", "/adapter_model.safetensors"]
            for name in adapter.hasSuffix(".gguf") ? [""] : names {
                try MappedFile(path: adapter + name).add(to: &hash)
            }
        }
        let merged = recipe.model.mergedAdapters.count
        if merged > 0 { add("\(merged) merged") }
        let model = recipe.model
        add(model.precision.rawValue)
        if let bits = model.quantizationBits {
            add("\(bits) \(model.quantizationType.rawValue) \(model.doubleQuantization)")
        }
        return hash.value
    }
}

extension MappedFile {
    fileprivate func add(to hash: inout StableHash) {
        withUnsafeBytes(in: 0..<count) { hash.add(block: $0) }
    }
}

extension TrainableModel {
    /// Whether nothing but an adapter's matrices is trained.
    var trainsAdapterOnly: Bool {
        parameters.count == (lowRank?.parameters.count ?? 0)
    }
}
