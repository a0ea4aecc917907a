import TestSupport
import YuyanFormats
import YuyanNN

/// A random llama in GGUF, small, with block-quantised weights, built in memory and on disk.
struct SyntheticModel {
    var width = 64
    var hiddenWidth = 96
    var heads = 4
    var keyValueHeads = 2
    var headDimension = 16
    var layers = 2
    var vocabulary = 70
    var contextLength = 1024
    /// Types of the matrices, taken in turn.
    var types: [ElementType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0]
    /// Written over the keys of the same name.
    var keys: [(String, GGUFValueType, [UInt8])] = []
    /// Keys and tensors to leave out.
    var without: Set<String> = []
    /// Tensors with other sizes (innermost first) or types than they should have.
    var sizes: [String: [UInt64]] = [:]
    var otherTypes: [String: ElementType] = [:]

    /// With the super-blocks of 256 that need wider rows.
    static var superBlocks: SyntheticModel {
        SyntheticModel(
            width: 256, hiddenWidth: 512, heads: 4, keyValueHeads: 1, headDimension: 64,
            types: [.q4_K, .q5_K, .q6_K])
    }

    static let small = SyntheticModel()

    /// The file, in memory.
    func image(seed: UInt64 = 1) -> GGUFImage {
        var random = SeededGenerator(seed: seed)
        var image = GGUFImage()
        for (name, type, value) in metadata where !without.contains(name) {
            image.key(name, type, value)
        }
        var turn = 0
        func append(_ name: String, _ shape: [UInt64]) {
            guard !without.contains(name) else { return }
            let shape = sizes[name] ?? shape
            let isMatrix = shape.count == 2
            let type = otherTypes[name] ?? (isMatrix ? types[turn % types.count] : .f32)
            if isMatrix { turn += 1 }
            image.tensor(
                name, shape, type: type.ggufCode ?? 0, offset: UInt64(image.data.count))
            image.data += Self.values(type, shape, &random)
            image.data += [UInt8](repeating: 0, count: (32 - image.data.count % 32) % 32)
        }
        let (C, F) = (UInt64(width), UInt64(hiddenWidth))
        let (Q, K) = (UInt64(heads * headDimension), UInt64(keyValueHeads * headDimension))
        append("token_embd.weight", [C, UInt64(vocabulary)])
        append("output.weight", [C, UInt64(vocabulary)])
        append("output_norm.weight", [C])
        for layer in 0..<layers {
            let prefix = "blk.\(layer)."
            append(prefix + "attn_norm.weight", [C])
            append(prefix + "attn_q.weight", [C, Q])
            append(prefix + "attn_k.weight", [C, K])
            append(prefix + "attn_v.weight", [C, K])
            append(prefix + "attn_output.weight", [Q, C])
            append(prefix + "ffn_norm.weight", [C])
            append(prefix + "ffn_gate.weight", [C, F])
            append(prefix + "ffn_up.weight", [C, F])
            append(prefix + "ffn_down.weight", [F, C])
        }
        return image
    }

    private var metadata: [(String, GGUFValueType, [UInt8])] {
        func count(_ name: String, _ value: Int) -> (String, GGUFValueType, [UInt8]) {
            ("llama." + name, .uint32, little(UInt32(value)))
        }
        let usual = [
            ("general.architecture", .string, GGUFImage.string(Array("llama".utf8))),
            count("embedding_length", width), count("feed_forward_length", hiddenWidth),
            count("block_count", layers), count("context_length", contextLength),
            count("attention.head_count", heads), count("attention.head_count_kv", keyValueHeads),
            count("attention.key_length", headDimension),
            count("attention.value_length", headDimension),
            (
                "llama.attention.layer_norm_rms_epsilon", GGUFValueType.float32,
                little(Float(1e-5).bitPattern)
            ),
        ]
        let replaced = Set(keys.map(\.0))
        return usual.filter { !replaced.contains($0.0) } + keys
    }

    /// Random bytes of a type: floats near one for norms, blocks with scales that keep products
    /// of the model's width moderate.
    private static func values(
        _ type: ElementType, _ sizes: [UInt64], _ random: inout SeededGenerator
    ) -> [UInt8] {
        let count = Int(sizes.reduce(1, *))
        if type == .f32 {
            return (0..<count).flatMap { _ in
                little(Float.random(in: 0.5..<1.5, using: &random).bitPattern)
            }
        }
        let (width, size) = (type.elementsPerBlock, type.bytesPerBlock)
        var bytes = (0..<count / width * size).map { _ in
            UInt8.random(in: .min ... .max, using: &random)
        }
        // The codes' spread differs by type; this brings weights to about a tenth.
        let (offsets, scale): ([Int], Float) =
            switch type {
            case .q4_0: ([0], 0.02)
            case .q4_1: ([0, 2], 0.02)
            case .q5_0: ([0], 0.01)
            case .q5_1: ([0, 2], 0.01)
            case .q8_0: ([0], 0.001)
            case .q4_K: ([0, 2], 0.0003)
            case .q5_K: ([0, 2], 0.0002)
            case .q6_K: ([208], 0.00005)
            default: ([], 0)
            }
        for block in 0..<count / width {
            for (index, offset) in offsets.enumerated() {
                // A minimum opposite to the scale, so that weights are centred.
                let centre: Float = type == .q4_1 ? -7.5 : type == .q5_1 ? -15.5 : 1
                let value = scale * .random(in: 0.5..<1, using: &random) * (index == 1 ? centre : 1)
                let half = little(Float16(value).bitPattern)
                bytes.replaceSubrange(block * size + offset..<block * size + offset + 2, with: half)
            }
        }
        return bytes
    }

    /// Opens the file, written to a folder that may go away afterwards.
    func checkpoint(seed: UInt64 = 1) throws -> Checkpoint {
        let folder = TemporaryFolder()
        return try withExtendedLifetime(folder) {
            try Checkpoint(path: folder.file("model.gguf", image(seed: seed).bytes))
        }
    }

    /// Token ids of a prompt.
    func tokens(_ count: Int, seed: UInt64 = 7) -> [Int32] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
    }
}
