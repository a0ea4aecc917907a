import YuyanFormats
import YuyanNN

extension AdapterContents {
    /// Writes a GGUF file that llama.cpp's `--lora` and Yuyan load.
    ///
    /// The format has one alpha for all updates. Those whose factor differs from the commonest get
    /// the difference multiplied into B; the numbers of all others stay as they are.
    ///
    /// - Parameters:
    ///   - shape: Of the model that the adapter is for.
    ///   - type: f32, f16 or bf16, of all tensors.
    /// - Throws: `AdapterError.unsupported` for what the format cannot say (DoRA, whole weights, an
    ///   update of a head that shares the embedding's weight), or `FormatError`.
    public func writeGGUF(
        to path: String, for shape: ModelShape, as type: ElementType = .f32
    ) throws {
        let family = try Families.family(of: shape)
        try refuseInexpressible(path, shape)
        let factors = updates.map { factor(of: $0) * Double($0.rank) }
        let alpha = Self.commonest(factors) ?? 1
        var writer = GGUFWriter()
        writer["general.architecture"] = .string(family.writtenArchitecture)
        writer["general.type"] = .string("adapter")
        writer["adapter.type"] = .string("lora")
        writer["adapter.lora.alpha"] = .float32(Float(alpha))
        if let baseModel { writer["general.name"] = .string(baseModel) }
        var tensors: [TensorSource] = []
        for (update, own) in zip(updates, factors) {
            tensors += update.tensors(
                as: type, multiplyingUp: own == alpha ? nil : Float(own / alpha), shape: shape,
                interleaved: family.interleavesGGUFRows)
        }
        try writer.write(tensors, to: path)
    }

    private func factor(of update: Update) -> Double {
        let rank = Double(update.rank)
        return update.alpha / (usesRootScale ? rank.squareRoot() : rank)
    }

    private func refuseInexpressible(_ path: String, _ shape: ModelShape) throws(AdapterError) {
        func refused(_ key: String, _ found: String) -> AdapterError {
            .unsupported(
                file: path, key: key, found: found,
                expected: "plain LoRA, all that GGUF adapters hold; merge the adapter instead")
        }
        if updates.contains(where: { $0.magnitude != nil }) { throw refused("use_dora", "true") }
        if let weight = saved.first { throw refused("modules_to_save", weight.name) }
        if shape.tiedEmbeddings, updates.contains(where: { $0.path == "lm_head" }) {
            throw refused("target_modules", "lm_head, which has no weight of its own")
        }
    }

    private static func commonest(_ values: [Double]) -> Double? {
        Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
            .max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }
}

extension AdapterContents.Update {
    fileprivate func tensors(
        as type: ElementType, multiplyingUp factor: Float?, shape: ModelShape, interleaved: Bool
    ) -> [TensorSource] {
        let name = ggufName(of: path + ".weight")
        var up = self.up
        if let factor { up = up.map { $0 * factor } }
        if interleaved, let heads = shape.rotatedHeads(of: path) {
            up = shape.pairsFromHalves(heads: heads).flatMap {
                up[$0 * rank..<($0 + 1) * rank]
            }
        }
        // ggml looks rows of an embedding's A up by token, so it lies transposed.
        let downShape = isEmbedding ? [inputWidth, rank] : [rank, inputWidth]
        let stored = self.down
        let down =
            isEmbedding
            ? (0..<stored.count).map { stored[$0 % rank * inputWidth + $0 / rank] } : stored
        return [
            TensorSource(name: name + ".lora_a", shape: downShape, values: down, as: type),
            TensorSource(name: name + ".lora_b", shape: [outputWidth, rank], values: up, as: type),
        ]
    }
}
