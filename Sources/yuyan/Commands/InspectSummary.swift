import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// The parts of a model that parameters are counted by.
enum ModelPart: String, CaseIterable {
    case embedding, attention
    case feedForward = "feed_forward"
    case norms, head, other

    /// The part that a tensor belongs to, by its name in GGUF or a Hugging Face file.
    init(tensor name: String) {
        let parts = name.split(separator: ".")
        self =
            if parts.contains(where: { $0.hasSuffix("norm") || $0.hasSuffix("layernorm") }) {
                .norms
            } else if parts.contains("token_embd") || parts.contains("embed_tokens") {
                .embedding
            } else if parts.first == "output" || parts.first == "lm_head" {
                .head
            } else if parts.contains("self_attn")
                || parts.contains(where: { $0.hasPrefix("attn_") })
            {
                .attention
            } else if parts.contains("mlp") || parts.contains(where: { $0.hasPrefix("ffn_") }) {
                .feedForward
            } else {
                .other
            }
    }
}

/// What `inspect` reports: read from headers and the tokenizer, never from weights.
struct ModelSummary {
    struct Format {
        let type: ElementType
        var tensors = 0
        var parameters = 0
        var bytes = 0
        var bitsPerWeight: Double { parameters > 0 ? 8 * Double(bytes) / Double(parameters) : 0 }
    }

    let checkpoint: Checkpoint
    /// Nil if no family reads this architecture; the file is described all the same.
    let shape: ModelShape?
    let unsupported: String?
    let tokenizer: Tokenizer?
    let parameters: [ModelPart: Int]
    let formats: [Format]
    let memory: MemoryEstimate?

    /// - Throws: What opening the file, its configuration or its tokenizer throws.
    init(path: String, context: Int?, chunk: Int) throws {
        checkpoint = try Checkpoint(path: path)
        do {
            shape = try Families.shape(of: checkpoint).1
            unsupported = nil
        } catch let error as CheckpointError {
            guard case .unsupportedArchitecture = error else { throw error }
            shape = nil
            unsupported = error.description
        }
        tokenizer = try Self.tokenizer(of: checkpoint)
        var parameters: [ModelPart: Int] = [:]
        var formats: [ElementType: Format] = [:]
        for tensor in checkpoint.tensors {
            let count = tensor.elementCount
            parameters[ModelPart(tensor: tensor.name), default: 0] += count
            formats[tensor.elementType, default: Format(type: tensor.elementType)].tensors += 1
            formats[tensor.elementType]?.parameters += count
            formats[tensor.elementType]?.bytes += tensor.byteRange.count
        }
        self.parameters = parameters
        self.formats = formats.values.sorted {
            ($0.bytes, $0.type.name) > ($1.bytes, $1.type.name)
        }
        let tokens = tokenizer?.vocabularySize ?? 0
        let tensors = checkpoint.tensors
        memory = shape.map {
            MemoryEstimate(
                shape: $0, tensors: tensors, context: context ?? $0.maximumPositions, chunk: chunk,
                tokenizerEntries: tokens)
        }
    }

    var parameterCount: Int { parameters.values.reduce(0, +) }
    var tensorBytes: Int { formats.reduce(0) { $0 + $1.bytes } }
    var bitsPerWeight: Double {
        parameterCount > 0 ? 8 * Double(tensorBytes) / Double(parameterCount) : 0
    }

    /// Bytes of all files that hold tensors.
    var fileBytes: Int {
        switch checkpoint.source {
        case .gguf(let file): return file.file.count
        case .huggingFace(let directory, _):
            var files: [String: Int] = [:]
            for tensor in directory.tensors { files[tensor.file.path] = tensor.file.count }
            return files.values.reduce(0, +)
        }
    }

    var format: String {
        switch checkpoint.source {
        case .gguf(let file): "GGUF v\(file.version)"
        case .huggingFace: "Hugging Face directory"
        }
    }

    /// What the file calls its architecture.
    var architecture: String? {
        switch checkpoint.source {
        case .gguf(let file):
            if case .string(let name)? = file["general.architecture"] { name } else { nil }
        case .huggingFace(_, let configuration): configuration.root["model_type"]?.string
        }
    }

    /// What the file calls the model.
    var name: String? {
        if case .gguf(let file) = checkpoint.source, case .string(let name)? = file["general.name"]
        {
            return name
        }
        return nil
    }

    private static func tokenizer(of checkpoint: Checkpoint) throws -> Tokenizer? {
        switch checkpoint.source {
        case .gguf(let file):
            file["tokenizer.ggml.model"] == nil ? nil : try Tokenizer(gguf: file)
        case .huggingFace(let directory, _):
            try directory.json("tokenizer.json") == nil
                ? nil : try Tokenizer(directory: directory.path)
        }
    }
}

extension ModelShape {
    /// Bytes of one token's keys and values in all layers.
    func keyValueBytesPerToken(_ type: KeyValueType) -> Int { layout(type).bytesPerToken }

    func layout(_ type: KeyValueType) -> KeyValueLayout {
        KeyValueLayout(
            layers: layerCount, heads: keyValueHeads, headDimension: headDimension, type: type)
    }
}

/// The memory that a model takes while it runs.
///
/// The constants are fits: with a full context of 1,024 tokens the totals were within 5 % of the
/// peak resident sizes of SmolLM2-135M and Qwen2.5-Coder-0.5B, chunks of 64 and 512, f16 and f32.
struct MemoryEstimate {
    static let formula = """
          weights      sum of the matrices as panels of 16 rows + 4 bytes per other parameter
          keys/values  context × bytes per token, in blocks of \(KeyValueLayout.blockTokens) tokens
          activations  min(chunk, context) × 4 bytes × (4 C + 3 H·D + 3 KVH·D + 4 F) + 12 V bytes
          program      14 MiB + 80 bytes per entry of the tokenizer
        with model width C, H heads and KVH key/value heads of width D, feed-forward width F, vocabulary V.
        """

    let context: Int
    let chunk: Int
    let weights: Int
    let activations: Int
    let program: Int
    private let keyValues: [KeyValueType: Int]

    init(
        shape: ModelShape, tensors: [TensorEntry], context: Int, chunk: Int, tokenizerEntries: Int
    ) {
        self.context = context
        self.chunk = min(chunk, context)
        weights = tensors.packedByteCount
        let perToken =
            4 * shape.width + 3 * shape.heads * shape.headDimension
            + 3 * shape.keyValueHeads * shape.headDimension + 4 * shape.hiddenWidth
        activations = self.chunk * 4 * perToken + 12 * shape.vocabularySize
        program = 14 << 20 + 80 * tokenizerEntries
        let blocks = (context - 1) / KeyValueLayout.blockTokens + 1
        keyValues = Dictionary(
            uniqueKeysWithValues: KeyValueType.allCases.map {
                ($0, blocks * shape.layout($0).blockBytes)
            })
    }

    func keyValueBytes(_ type: KeyValueType) -> Int { keyValues[type] ?? 0 }

    func total(_ type: KeyValueType) -> Int {
        weights + keyValueBytes(type) + activations + program
    }
}
