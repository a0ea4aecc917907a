import YuyanFormats
import YuyanNN

/// A family of llama-like decoders: how its configuration reads and what its files do to weights.
public struct DecoderFamily: Sendable {
    /// Short name, as `inspect` prints it.
    public let name: String
    /// `model_type` values of `config.json`.
    public let modelTypes: [String]
    /// `general.architecture` values of GGUF.
    public let architectures: [String]
    /// Whether GGUF files store q and k rows in pairs `(2i, 2i + 1)` instead of halves.
    public let interleavesGGUFRows: Bool
    /// Sets the family's switches from `config.json`.
    let adjust: @Sendable (inout ModelShape, JSONCursor, _ file: String) throws -> Void
}
