import YuyanFormats
import YuyanNN
import YuyanTensor
import YuyanText

extension ModelSummary {
    /// The object that `inspect --json` prints.
    func json(tensors withTensors: Bool, metadata withMetadata: Bool) -> JSONOutput {
        var entries: [(key: String, value: JSONOutput)] = [
            ("file", .string(checkpoint.path)),
            ("name", name.map { .string($0) } ?? .null),
            ("format", checkpoint.isGGUF ? "gguf" : "huggingface"),
            ("file_bytes", .integer(fileBytes)),
            ("tensor_bytes", .integer(tensorBytes)),
            ("tensor_count", .integer(checkpoint.tensors.count)),
            ("architecture", architecture.map { .string($0) } ?? .null),
            ("family", shape.map { .string($0.family) } ?? .null),
            ("shape", shape?.json ?? .null),
            ("rope", shape?.ropeJSON ?? .null),
            ("parameters", parameterJSON),
            ("bits_per_weight", .double(bitsPerWeight)),
            ("formats", .array(formats.map(\.json))),
            ("tokenizer", tokenizer.map(tokenizerJSON) ?? .null),
        ]
        if let shape, let memory {
            let types = KeyValueType.allCases
            entries.append(
                (
                    "kv_bytes_per_token",
                    .object(
                        types.map { ($0.rawValue, .integer(shape.keyValueBytesPerToken($0))) })
                ))
            entries.append(("memory", memory.json))
        }
        if withTensors { entries.append(("tensors", .array(checkpoint.tensors.map(\.json)))) }
        if withMetadata { entries.append(("metadata", .object(metadata))) }
        return .object(entries)
    }

    private var parameterJSON: JSONOutput {
        .object(
            [(key: "total", value: .integer(parameterCount))]
                + ModelPart.allCases.map {
                    (key: $0.rawValue, value: .integer(parameters[$0] ?? 0))
                })
    }

    private func tokenizerJSON(_ tokenizer: Tokenizer) -> JSONOutput {
        func id(_ id: Int32?) -> JSONOutput { id.map { .integer(Int($0)) } ?? .null }
        return [
            "entries": .integer(tokenizer.vocabularySize),
            "bos": id(tokenizer.beginningOfSequence),
            "eos": id(tokenizer.endOfSequence),
            "padding": id(tokenizer.padding),
            "end_of_generation": .array(
                tokenizer.endOfGeneration.sorted().map { .integer(Int($0)) }),
            "adds_bos": .bool(tokenizer.addsBeginningOfSequence),
            "chat_template": .bool(tokenizer.chatTemplate != nil),
        ]
    }

    /// Metadata of GGUF, or the entries of `config.json`; arrays beyond eight elements are cut.
    var metadata: [(key: String, value: JSONOutput)] {
        switch checkpoint.source {
        case .gguf(let file):
            file.keys.compactMap { key in file[key].map { (key, $0.json) } }
        case .huggingFace(_, let configuration):
            (configuration.root.entries ?? []).map { ($0.key, JSONOutput(abbreviating: $0.value)) }
        }
    }
}

extension ModelSummary.Format {
    fileprivate var json: JSONOutput {
        [
            "type": .string(type.name), "tensors": .integer(tensors),
            "parameters": .integer(parameters), "bytes": .integer(bytes),
            "bits_per_weight": .double(bitsPerWeight),
        ]
    }
}

extension MemoryEstimate {
    fileprivate var json: JSONOutput {
        [
            "context": .integer(context), "chunk": .integer(chunk),
            "weights": .integer(weights), "activations": .integer(activations),
            "program": .integer(program),
            "kv": .object(
                KeyValueType.allCases.map { ($0.rawValue, .integer(keyValueBytes($0))) }),
            "total": .object(KeyValueType.allCases.map { ($0.rawValue, .integer(total($0))) }),
        ]
    }
}

extension TensorEntry {
    fileprivate var json: JSONOutput {
        [
            "name": .string(name), "type": .string(elementType.name),
            "shape": .array(shape.map { .integer($0) }), "bytes": .integer(byteRange.count),
        ]
    }
}

extension ModelShape {
    fileprivate var json: JSONOutput {
        [
            "layers": .integer(layerCount), "width": .integer(width),
            "hidden_width": .integer(hiddenWidth), "heads": .integer(heads),
            "kv_heads": .integer(keyValueHeads), "head_dimension": .integer(headDimension),
            "vocabulary": .integer(vocabularySize), "context": .integer(maximumPositions),
            "tied_embeddings": .bool(tiedEmbeddings), "qkv_bias": .bool(queryKeyValueBias),
            "output_bias": .bool(outputBias), "feed_forward_bias": .bool(feedForwardBias),
            "qk_norm": .bool(queryKeyNorm), "norm_epsilon": .double(normEpsilon),
            "windows": .array(windows.map { $0.map { .integer($0) } ?? .null }),
        ]
    }

    fileprivate var ropeJSON: JSONOutput {
        let scaling: [(key: String, value: JSONOutput)] =
            switch rotaryScaling {
            case .none: [("type", "none")]
            case .linear(let factor): [("type", "linear"), ("factor", .double(factor))]
            case .dynamicNTK(let factor, let length):
                [
                    ("type", "dynamic"), ("factor", .double(factor)),
                    ("trained_length", .integer(length)),
                ]
            case .yarn(let yarn):
                [
                    ("type", "yarn"), ("factor", .double(yarn.factor)),
                    ("trained_length", .integer(yarn.trainedLength)),
                    ("beta_fast", .double(yarn.betaFast)), ("beta_slow", .double(yarn.betaSlow)),
                ]
            case .llama3(let factor, let low, let high, let length):
                [
                    ("type", "llama3"), ("factor", .double(factor)),
                    ("low_frequency_factor", .double(low)),
                    ("high_frequency_factor", .double(high)), ("trained_length", .integer(length)),
                ]
            case .divisors(let divisors):
                [("type", "divisors"), ("divisors", .array(divisors.map { .float($0) }))]
            }
        return [
            "theta": .double(ropeTheta), "dimension": .integer(rotaryDimension),
            "scaling": .object(scaling),
        ]
    }
}

/// Elements of an array that are shown.
private let shownElements = 8

extension GGUFValue {
    /// The value; an array as its type, count and first elements.
    fileprivate var json: JSONOutput {
        switch self {
        case .unsigned(let number):
            Int(exactly: number).map { .integer($0) } ?? .string("\(number)")
        case .signed(let number): .integer(Int(number))
        case .float(let number): .double(number)
        case .bool(let flag): .bool(flag)
        case .string(let text): .string(text)
        case .array(let array): array.json
        }
    }
}

extension GGUFArray {
    fileprivate var json: JSONOutput {
        [
            "type": .string("\(elementType)"), "count": .integer(count),
            "first": .array(first),
        ]
    }

    private var first: [JSONOutput] {
        struct Enough: Error {}
        switch elementType {
        case .string:
            var result: [JSONOutput] = []
            // Leaving by an error: a vocabulary is long.
            try? forEachStringBytes { (bytes: RawSpan) throws(Enough) in
                guard result.count < shownElements else { throw Enough() }
                let text = (0..<bytes.byteCount).map {
                    bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self)
                }
                result.append(.string(String(decoding: text, as: UTF8.self)))
            }
            return result
        case .float32, .float64:
            return ((try? floats()) ?? []).prefix(shownElements).map { .double($0) }
        case .bool: return ((try? bools()) ?? []).prefix(shownElements).map { .bool($0) }
        case .array: return ((try? arrays()) ?? []).prefix(shownElements).map(\.json)
        default:
            return ((try? integers()) ?? []).prefix(shownElements).map { .integer(Int($0)) }
        }
    }
}

extension JSONOutput {
    /// A value of a configuration file, arrays cut after eight elements.
    fileprivate init(abbreviating json: JSONCursor) {
        switch json.kind {
        case .null: self = .null
        case .bool: self = .bool(json.bool ?? false)
        case .number:
            self =
                json.isInteger
                ? json.int.map { .integer($0) } ?? .null : .double(json.double ?? 0)
        case .string: self = .string(json.string ?? "")
        case .array:
            let first = (json.array.map { Array($0.prefix(shownElements)) } ?? [])
            let shown = first.map { JSONOutput(abbreviating: $0) }
            self =
                json.count <= shownElements
                ? .array(shown)
                : ["count": .integer(json.count), "first": .array(shown)]
        case .object:
            self = .object(
                (json.entries ?? []).map { ($0.key, JSONOutput(abbreviating: $0.value)) })
        }
    }
}
