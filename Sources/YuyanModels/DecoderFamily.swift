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
    /// The class of transformers that reads a directory of this family.
    public let huggingFaceClass: String
    /// The `general.architecture` that GGUF files are written with.
    public let writtenArchitecture: String
    /// Whether GGUF files store q and k rows in pairs `(2i, 2i + 1)` instead of halves.
    public let interleavesGGUFRows: Bool
    /// Sets the family's switches from `config.json`.
    let adjust: @Sendable (inout ModelShape, JSONCursor, _ file: String) throws -> Void
    /// The family's switches, for `config.json`: what `adjust` reads.
    let switches: @Sendable (ModelShape) -> [(key: String, value: JSONOutput)]
}

extension DecoderFamily {
    /// Qwen's entries for windows.
    static func windowSwitches(_ shape: ModelShape) -> [(key: String, value: JSONOutput)] {
        let size = shape.windows.lazy.compactMap { $0 }.first
        return [
            ("use_sliding_window", .bool(size != nil)),
            ("sliding_window", size.map { .integer($0) } ?? .null),
            (
                "max_window_layers",
                .integer(shape.windows.firstIndex { $0 != nil } ?? shape.layerCount)
            ),
            (
                "layer_types",
                .array(
                    shape.windows.map { $0 == nil ? "full_attention" : "sliding_attention" })
            ),
        ]
    }
}

extension ModelShape {
    /// Undoes GGUF's reordering of llama's q and k rows: for each row, where the file has it.
    ///
    /// Pairs `(2i, 2i + 1)` of a head become its halves.
    package func halvesFromPairs(heads: Int) -> [Int] {
        let D = headDimension
        return (0..<heads * D).map { row in
            let (head, i) = (row / D * D, row % D)
            return head + (i < D / 2 ? 2 * i : 2 * (i - D / 2) + 1)
        }
    }

    /// The reordering itself: for each row of the file, the row in halves that it is.
    package func pairsFromHalves(heads: Int) -> [Int] {
        let D = headDimension
        return (0..<heads * D).map { row in
            let (head, i) = (row / D * D, row % D)
            return head + (i.isMultiple(of: 2) ? i / 2 : D / 2 + i / 2)
        }
    }

    /// The heads of a module whose rows GGUF reorders, or nil for all other modules.
    package func rotatedHeads(of path: String) -> Int? {
        if path.hasSuffix(".self_attn.q_proj") { return heads }
        if path.hasSuffix(".self_attn.k_proj") { return keyValueHeads }
        return nil
    }
}
