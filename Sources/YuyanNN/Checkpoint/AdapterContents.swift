import YuyanTensor

/// A low-rank adapter as numbers and names: what the writers of adapter files take.
public struct AdapterContents: Sendable {
    /// The update of one module.
    public struct Update: Sendable {
        /// Path of the module, such as `model.layers.3.self_attn.q_proj`.
        public var path: String
        /// Rank r.
        public var rank: Int
        /// Over the rank (or its root) it is the factor of the product.
        public var alpha: Double
        /// A `[r, in]`, row after row; of an embedding `[r, V]`.
        public var down: [Float]
        /// B `[out, r]`, row after row; of an embedding `[C, r]`.
        public var up: [Float]
        /// DoRA's lengths `[out]`; nil for plain LoRA. All updates have them, or none.
        public var magnitude: [Float]?
        /// Whether the module is the embedding table, whose tensors have other names.
        public var isEmbedding: Bool

        /// - Parameters:
        ///   - down: `[r, in]`.
        ///   - up: `[out, r]`.
        public init(
            path: String, rank: Int, alpha: Double, down: [Float], up: [Float],
            magnitude: [Float]? = nil, isEmbedding: Bool = false
        ) {
            precondition(
                rank > 0 && down.count.isMultiple(of: rank) && up.count.isMultiple(of: rank),
                "'\(path)': \(down.count) and \(up.count) numbers are no matrices of rank \(rank)")
            self.path = path
            self.rank = rank
            self.alpha = alpha
            self.down = down
            self.up = up
            self.magnitude = magnitude
            self.isEmbedding = isEmbedding
        }

        /// Columns of the updated weight.
        public var inputWidth: Int { down.count / rank }
        /// Rows of the updated weight.
        public var outputWidth: Int { up.count / rank }
    }

    /// One for each updated module, in any order.
    public var updates: [Update]
    /// Whole weights under their Hugging Face names, which stand in the place of the model's.
    public var saved: [NamedWeight] = []
    /// Whether it is a reward model's, whose head is among `saved`.
    public var scoresSequences = false
    /// Whether factors are `alpha / sqrt(r)` (rsLoRA) instead of `alpha / r`.
    public var usesRootScale = false
    /// The probability with which training dropped inputs of A; only noted.
    public var dropout = 0.0
    /// What the user named as targets; nil to derive names from the updates.
    public var targetModules: [String]?
    /// Paths of all modules that could be updated, so that targets can be named by their ends.
    public var knownModules: [String] = []
    /// The model that the adapter is for, as a user would name it.
    public var baseModel: String?

    /// Plain values, for adapters that were just trained.
    public init(updates: [Update]) { self.updates = updates }
}

extension AdapterContents {
    /// What a loaded adapter holds.
    ///
    /// - Throws: `AdapterError.unsupported` for DoRA, of which only the gains are in memory.
    public init(_ adapter: LowRankAdapter, of model: Decoder, device: Device) throws(AdapterError) {
        var updates: [Update] = []
        var saved: [NamedWeight] = []
        func contents(
            _ update: LowRankAdapter.Update, path: String, isEmbedding: Bool
        ) throws(AdapterError) -> Update {
            guard update.gain == nil else {
                throw .unsupported(
                    file: adapter.name, key: "use_dora", found: "true",
                    expected: "an adapter without magnitudes; merge this one instead")
            }
            let rank = update.up.columns
            var down = update.down.values
            if isEmbedding {
                // In memory A is transposed.
                let (tokens, stored) = (update.down.rows, down)
                down = (0..<stored.count).map { stored[$0 % tokens * rank + $0 / tokens] }
            }
            return Update(
                path: path, rank: rank, alpha: Self.alpha(scale: update.scale, rank: rank),
                down: down, up: update.up.values, isEmbedding: isEmbedding)
        }
        if let embedding = adapter.embedding {
            if let table = embedding.table {
                saved.append(table.named("model.embed_tokens.weight", on: device))
            }
            if let update = embedding.update {
                updates.append(
                    try contents(update, path: "model.embed_tokens", isEmbedding: true))
            }
        }
        for module in model.projections.compactMap(\.module) {
            if let weight = adapter.replacement(of: module) {
                saved.append(weight.named(module.path + ".weight", on: device))
            }
            if let update = adapter.update(of: module) {
                updates.append(try contents(update, path: module.path, isEmbedding: false))
            }
        }
        for (name, values) in adapter.norms.sorted(by: { $0.key < $1.key }) {
            saved.append(NamedWeight(name: name, values: values))
        }
        self.init(updates: updates)
        self.saved = saved
        knownModules = model.projections.compactMap { $0.module?.path }
    }

    /// The shortest alpha that gives this factor: files hold alpha, memory the quotient.
    ///
    /// - Parameter usesRoot: Whether the factor is `alpha / sqrt(r)`.
    static func alpha(scale: Float, rank: Int, usesRoot: Bool = false) -> Double {
        let divisor = usesRoot ? Double(rank).squareRoot() : Double(rank)
        let exact = Double(scale) * divisor
        for digits in [1.0, 1e3, 1e6] {
            let short = (exact * digits).rounded() / digits
            if Float(short / divisor) == scale { return short }
        }
        return exact
    }
}

extension PackedMatrix {
    fileprivate func named(_ name: String, on device: Device) -> NamedWeight {
        NamedWeight(name: name, shape: [rows, columns]) { self.rows($0, on: device) }
    }
}
