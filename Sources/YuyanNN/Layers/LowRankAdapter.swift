import Synchronization
import YuyanTensor

/// Low-rank updates of a model's projections, as one value that a segment of a batch can carry.
///
/// A projection `W x` becomes `(W + s B A) x` with `A` `[r, in]`, `B` `[out, r]` and `s` `alpha / r`:
/// Hu et al., "LoRA", arXiv:2106.09685; or `alpha / sqrt(r)`: Kalajdzievski, "A Rank Stabilization
/// Scaling Factor for Fine-Tuning with LoRA", arXiv:2312.03732. With magnitudes `m` `[out]` it is
/// `m / ‖W + s B A‖ (W + s B A) x`, lengths by row: Liu et al., "DoRA", arXiv:2402.09353.
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

    /// The name that requests use.
    public let name: String
    /// Equal for equal files, and only for those, within a process: a key for cached prefixes.
    public let version: UInt64
    /// Memory of its matrices.
    public let byteCount: Int
    /// By the number of the module; nil where there is nothing to update.
    private let updates: [Update?]

    init(name: String, version: UInt64, byteCount: Int, updates: [Update?] = []) {
        self.name = name
        self.version = version
        self.byteCount = byteCount
        self.updates = updates
    }

    /// A version that no other adapter of this process has, but for one in 2^64 files.
    static func freshVersion() -> UInt64 {
        UInt64(bitPattern: Int64(versions.wrappingAdd(1, ordering: .relaxed).newValue))
    }

    private static let versions = Atomic<Int>(0)

    func update(of module: Module) -> Update? {
        precondition(
            updates.indices.contains(module.number),
            "adapter '\(name)' was loaded for another model than that of \(module.path)")
        return updates[module.number]
    }

    /// How many of the model's projections it updates.
    public var updatedModuleCount: Int { updates.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }
}
