import Synchronization
import YuyanTensor

/// Low-rank updates of a model's projections, as one value that a segment of a batch can carry.
///
/// A projection `W x` becomes `(W + s B A) x` with `A` `[r, in]`, `B` `[out, r]` and `s` `alpha / r`:
/// Hu et al., "LoRA", arXiv:2106.09685; or `alpha / sqrt(r)`: Kalajdzievski, "A Rank Stabilization
/// Scaling Factor for Fine-Tuning with LoRA", arXiv:2312.03732. With magnitudes `m` `[out]` it is
/// `m / ‖W + s B A‖ (W + s B A) x`, lengths by row: Liu et al., "DoRA", arXiv:2402.09353.
///
/// Beside updates it may bring whole weights of its own (PEFT's `modules_to_save`), which stand in
/// the place of the model's, and it may do either to the embedding table.
public final class LowRankAdapter: Sendable {
    /// The update of one projection.
    struct Update: Sendable {
        let down: PackedMatrix  // A, [r, in]
        let up: PackedMatrix  // B, [out, r]
        /// Multiplies what `down` gives.
        let scale: Float
        /// Multiplies the updated product, `[out]`: DoRA's `m / ‖W + s B A‖`.
        let gain: ColumnGain?
        /// Probability that an element of what `down` takes is dropped, in training.
        var dropout: Float = 0
        /// Which random numbers decide that: the number of the module.
        var stream: UInt64 = 0
    }

    /// What becomes of the embedding table.
    struct Embedding: Sendable {
        /// In the place of the model's, `[V, C]`.
        var table: PackedMatrix?
        /// Added to the rows of either; `down` is A transposed, `[V, r]`.
        var update: Update?
    }

    /// Everything that it does, by the number of the module.
    struct Parts: Sendable {
        /// Nil where there is nothing to update.
        var updates: [Update?] = []
        /// Weights in the place of the model's.
        var replacements: [Int: PackedMatrix] = [:]
        var embedding: Embedding?
        /// The head `[C]` of a reward model.
        var score: [Float]?
        /// Norms in the place of the model's, by name; only for merging.
        var norms: [String: [Float]] = [:]
    }

    /// The name that requests use.
    public let name: String
    /// Equal for equal files, and only for those, within a process: a key for cached prefixes.
    public let version: UInt64
    /// Memory of its matrices.
    public let byteCount: Int
    private let parts: Parts

    init(name: String, version: UInt64, byteCount: Int, parts: Parts) {
        self.name = name
        self.version = version
        self.byteCount = byteCount
        self.parts = parts
    }

    /// A version that no other adapter of this process has, but for one in 2^64 files.
    static func freshVersion() -> UInt64 {
        UInt64(bitPattern: Int64(versions.wrappingAdd(1, ordering: .relaxed).newValue))
    }

    private static let versions = Atomic<Int>(0)

    func update(of module: Module) -> Update? {
        precondition(
            parts.updates.indices.contains(module.number),
            "adapter '\(name)' was loaded for another model than that of \(module.path)")
        return parts.updates[module.number]
    }

    func replacement(of module: Module) -> PackedMatrix? { parts.replacements[module.number] }

    /// Whether the product of this module is another than the model's own.
    func changes(_ module: Module) -> Bool {
        update(of: module) != nil || replacement(of: module) != nil
    }

    var embedding: Embedding? { parts.embedding }

    var norms: [String: [Float]] { parts.norms }

    /// The head `[C]` of a reward model: its product with a text's last hidden state is the score.
    public var score: [Float]? { parts.score }

    /// Whether it brings norms of its own, which only a merged model has.
    public var replacesNorms: Bool { !parts.norms.isEmpty }

    /// How many of the model's projections it updates.
    public var updatedModuleCount: Int { parts.updates.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }
}
