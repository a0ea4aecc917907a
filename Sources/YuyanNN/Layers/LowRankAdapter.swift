/// Low-rank updates of a model's projections, as one value that a segment of a batch can carry.
public final class LowRankAdapter: Sendable {
    /// The name that requests use.
    public let name: String
    /// Differs for every load, so that cached prefixes of an older load are never taken for it.
    public let version: UInt64
    /// Memory of its matrices.
    public let byteCount: Int

    init(name: String, version: UInt64, byteCount: Int) {
        self.name = name
        self.version = version
        self.byteCount = byteCount
    }
}
