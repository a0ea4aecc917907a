import YuyanFormats
import YuyanNN

/// Which of a model's weights are trained.
public enum TrainingMethod: Sendable {
    /// All of them.
    case full
    /// Some layers and weights by name; the rest is frozen.
    case freeze(FreezeRule)
    /// A low-rank adapter over a frozen model, and any weights that are trained whole beside it.
    case lowRank(LowRankConfiguration, whole: [String] = [])
    /// None: the model only answers.
    case nothing
}

/// Which weights are trained when the others are frozen.
public struct FreezeRule: Sendable, Hashable {
    /// Layers that are trained: the last `n` if positive, the first `-n` if negative, none if 0.
    public var layers: Int
    /// Parts of those layers, as names in their paths (`mlp`, `self_attn`, `q_proj`); nil for all.
    public var modules: [String]?
    /// Weights outside the layers, as names in their paths: `embed_tokens`, `norm`, `lm_head`.
    public var others: [String]

    /// Nothing but whole layers, unless told otherwise.
    public init(layers: Int, modules: [String]? = nil, others: [String] = []) {
        self.layers = layers
        self.modules = modules
        self.others = others
    }

    /// Whether the weight of this name is trained in a model of so many layers.
    func trains(_ name: String, layerCount: Int) -> Bool {
        let parts = name.split(separator: ".").map(String.init)
        guard parts.count > 3, parts[1] == "layers", let layer = Int(parts[2]) else {
            return others.contains { has(parts, $0) }
        }
        let isChosen = layers >= 0 ? layer >= layerCount - layers : layer < -layers
        return isChosen && (modules.map { $0.contains { has(parts, $0) } } ?? true)
    }

    private func has(_ parts: [String], _ name: String) -> Bool {
        Self.names(parts, name)
    }

    /// Whether a path contains the parts of a name, one after the other.
    static func names(_ parts: [String], _ name: String) -> Bool {
        let wanted = name.split(separator: ".").map(String.init)
        guard !wanted.isEmpty, wanted.count <= parts.count else { return false }
        return (0...parts.count - wanted.count).contains {
            Array(parts[$0..<$0 + wanted.count]) == wanted
        }
    }
}

/// How the weights that stay frozen are kept in memory.
public enum FrozenWeights: Sendable, Hashable {
    /// In their stored format: float types as they are, block formats for QLoRA.
    case stored
    /// Widened to float32.
    case widened
    /// Projections rounded to `.nf4` or `.fp4`, their scales perhaps to 8 bits too: QLoRA.
    case fourBit(ElementType, doubleQuantized: Bool)
}

/// A method that names what the model does not have.
public enum TrainingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No weight is trained.
    case nothingTrained(model: String, wanted: String, names: [String])

    /// What was asked for, and the names that exist.
    public var description: String {
        switch self {
        case .nothingTrained(let model, let wanted, let names):
            "\(model): \(wanted) trains no weight of the model; its weights are "
                + names.prefix(12).joined(separator: ", ") + ", …"
        }
    }
}
