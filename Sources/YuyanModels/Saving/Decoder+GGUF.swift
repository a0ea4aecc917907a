import YuyanFormats
import YuyanNN
import YuyanTensor

extension Decoder {
    /// Saves the model as a GGUF file of floats, for llama.cpp and Yuyan.
    ///
    /// Matrices are stored as `type`, norms and biases in float32, as GGUF's converters do it.
    ///
    /// - Parameters:
    ///   - path: The file to create or replace.
    ///   - type: f32, f16 or bf16.
    ///   - adapter: Merged into the weights; loaded for this model.
    ///   - source: Where the model came from; metadata of a GGUF file is kept.
    ///   - vocabulary: The `tokenizer.*` entries, for a source that is no GGUF file.
    ///   - name: `general.name`, unless the source has one.
    ///   - device: Whose threads compute merged weights.
    /// - Throws: `FormatError` if the file cannot be written or `type` cannot hold a number,
    ///   `CheckpointError.configuration` if GGUF cannot express the model.
    public func writeGGUF(
        to path: String, as type: ElementType, adding adapter: LowRankAdapter? = nil,
        source: Checkpoint, vocabulary: [(key: String, value: GGUFOutput)] = [],
        name: String = "model", on device: Device
    ) throws {
        let family = try Families.family(of: shape)
        var writer: GGUFWriter
        var divisors: TensorSource?
        var interleaved = family.interleavesGGUFRows
        if case .gguf(let file) = source.source {
            writer = GGUFWriter(copying: file)
            divisors = file.tensors.first { $0.name == "rope_freqs.weight" }.map {
                TensorSource(copying: $0)
            }
            let architecture = try file.string("general.architecture")
            interleaved =
                Families.all.first { $0.architectures.contains(architecture) }?
                .interleavesGGUFRows ?? interleaved
        } else {
            writer = GGUFWriter()
            writer["general.architecture"] = .string(family.writtenArchitecture)
            writer["general.type"] = .string("model")
            writer["general.name"] = .string(name)
            let prefix = family.writtenArchitecture
            for (key, value) in try shape.metadata { writer["\(prefix).\(key)"] = value }
            if case .llama3 = shape.rotaryScaling {
                divisors = TensorSource(
                    name: "rope_freqs.weight", shape: [shape.rotaryDimension / 2],
                    values: shape.rotaryDivisors(of: shape.rotaryScaling))
            }
            for (key, value) in vocabulary { writer[key] = value }
        }
        writer["general.file_type"] = .uint32(type.fileTypeCode)
        writer["general.quantization_version"] = .uint32(2)
        var tensors = weights(adding: adapter, on: device).map { weight in
            var order: [Int]?
            let module = weight.name.split(separator: ".").dropLast().joined(separator: ".")
            if interleaved, let heads = shape.rotatedHeads(of: module) {
                order = shape.pairsFromHalves(heads: heads)
            }
            return weight.source(
                as: weight.isMatrix ? type : .f32, fileName: ggufName(of: weight.name),
                rowOrder: order)
        }
        if let divisors { tensors.insert(divisors, at: 0) }
        try writer.write(tensors, to: path)
    }
}

extension GGUFWriter {
    /// Everything that a file says, but for how it is laid out and how its tensors were made.
    fileprivate init(copying file: GGUFFile) {
        self.init(alignment: max(8, file.alignment))
        for key in file.keys {
            guard key != "general.alignment", !key.hasPrefix("split."),
                !key.hasPrefix("quantize.imatrix.")
            else { continue }
            self[key] = file.output(of: key)
        }
    }
}

extension ElementType {
    /// `general.file_type` of a file whose matrices are of this type.
    fileprivate var fileTypeCode: UInt32 {
        switch self {
        case .f32: 0
        case .f16: 1
        case .bf16: 32
        default: preconditionFailure("weights are not saved as \(name)")
        }
    }
}

extension ModelShape {
    /// The sizes as GGUF keys, without the architecture in front.
    fileprivate var metadata: [(key: String, value: GGUFOutput)] {
        get throws(CheckpointError) {
            func size(_ value: Int) -> GGUFOutput { .uint32(UInt32(clamping: value)) }
            if let window = windows.lazy.compactMap({ $0 }).first, window < contextLength {
                throw .configuration(
                    file: "the model", key: "sliding_window", found: "\(window)",
                    expected: "none: GGUF has no windows for this family; write a Hugging Face "
                        + "directory instead")
            }
            let entries: [(key: String, value: GGUFOutput)] = [
                ("vocab_size", size(vocabularySize)),
                ("context_length", size(maximumPositions)),
                ("embedding_length", size(width)),
                ("block_count", size(layerCount)),
                ("feed_forward_length", size(hiddenWidth)),
                ("attention.head_count", size(heads)),
                ("attention.head_count_kv", size(keyValueHeads)),
                ("attention.key_length", size(headDimension)),
                ("attention.value_length", size(headDimension)),
                ("attention.layer_norm_rms_epsilon", .float32(Float(normEpsilon))),
                ("rope.dimension_count", size(rotaryDimension)),
                ("rope.freq_base", .float32(Float(ropeTheta))),
            ]
            return entries + (try rotaryMetadata())
        }
    }

    private func rotaryMetadata() throws(CheckpointError) -> [(key: String, value: GGUFOutput)] {
        func number(_ value: Double) -> GGUFOutput { .float32(Float(value)) }
        switch rotaryScaling {
        case .none, .llama3, .divisors:
            return []
        case .linear(let factor):
            return [
                ("rope.scaling.type", .string("linear")), ("rope.scaling.factor", number(factor)),
            ]
        case .yarn(let yarn):
            guard yarn.mscale == nil, yarn.mscaleAllDimensions == nil, yarn.truncate else {
                throw .configuration(
                    file: "the model", key: "rope_scaling", found: "yarn with mscale or truncate",
                    expected: "plain YaRN, all that GGUF can say")
            }
            var entries: [(key: String, value: GGUFOutput)] = [
                ("rope.scaling.type", .string("yarn")),
                ("rope.scaling.factor", number(yarn.factor)),
                (
                    "rope.scaling.original_context_length",
                    .uint32(UInt32(clamping: yarn.trainedLength))
                ),
                ("rope.scaling.yarn_beta_fast", number(yarn.betaFast)),
                ("rope.scaling.yarn_beta_slow", number(yarn.betaSlow)),
            ]
            if let factor = yarn.attentionFactor {
                entries.append(("rope.scaling.yarn_attn_factor", number(factor)))
            }
            return entries
        case .dynamicNTK:
            throw .configuration(
                file: "the model", key: "rope_scaling", found: "dynamic",
                expected: "a scaling that GGUF knows: linear, yarn or llama3")
        }
    }
}
