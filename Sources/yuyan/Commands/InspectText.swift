import YuyanFormats
import YuyanNN
import YuyanTensor
import YuyanText

extension ModelSummary {
    /// All that `inspect` prints for a person by default.
    var text: String {
        var sections = [header, parameterText, formatText]
        if let shape { sections.insert(shapeText(shape), at: 1) }
        if let tokenizer { sections.append("Tokenizer\n" + tokenizerText(tokenizer)) }
        if let shape, let memory { sections.append(memoryText(shape, memory)) }
        return sections.joined(separator: "\n")
    }

    private var header: String {
        var table = Table(left: [0, 1])
        table.add("file", checkpoint.path.printable)
        if let name { table.add("name", name.printable.abbreviated(to: 100)) }
        table.add("format", format)
        table.add("size", "\(fileBytes.memorySize) (\(fileBytes.grouped) bytes)")
        table.add("architecture", architecture.map { $0.printable.abbreviated(to: 100) } ?? "none")
        table.add("family", shape?.family ?? "none: \(unsupported?.printable ?? "")")
        return "Model\n" + table.text
    }

    private func shapeText(_ shape: ModelShape) -> String {
        var table = Table(left: [0, 1])
        table.add("layers", shape.layerCount.grouped)
        table.add("width", shape.width.grouped)
        table.add("feed-forward width", shape.hiddenWidth.grouped)
        table.add(
            "heads", "\(shape.heads), key/value \(shape.keyValueHeads), of \(shape.headDimension)")
        table.add("vocabulary", shape.vocabularySize.grouped)
        table.add("context", "\(shape.maximumPositions.grouped) tokens")
        let windows = Set(shape.windows.compactMap { $0 })
        if !windows.isEmpty {
            let layers = shape.windows.filter { $0 != nil }.count
            let sizes = windows.sorted().map(\.grouped).joined(separator: ", ")
            table.add("sliding window", "\(sizes) tokens in \(layers) layers")
        }
        table.add("embeddings", shape.tiedEmbeddings ? "shared with the head" : "separate head")
        table.add("biases", shape.biasText)
        table.add("query/key norm", shape.queryKeyNorm ? "yes" : "no")
        table.add("norm epsilon", "\(shape.normEpsilon)")
        table.add("RoPE", shape.ropeText)
        return "Shape\n" + table.text
    }

    private var parameterText: String {
        var table = Table()
        for part in ModelPart.allCases {
            let count = parameters[part] ?? 0
            if part == .head, count == 0, shape?.tiedEmbeddings == true {
                table.add("head", "shared", "")
            } else if count > 0 {
                table.add(part.title, count.grouped, share(count, of: parameterCount))
            }
        }
        table.add("total", parameterCount.grouped, "")
        return "Parameters\n" + table.text
    }

    private var formatText: String {
        var table = Table()
        table.add("", "tensors", "parameters", "size", "bits/weight")
        for format in formats {
            table.add(
                format.type.name, "\(format.tensors)", format.parameters.grouped,
                format.bytes.memorySize, format.bitsPerWeight.formatted(digits: 2))
        }
        table.add(
            "all", "\(checkpoint.tensors.count)", parameterCount.grouped, tensorBytes.memorySize,
            bitsPerWeight.formatted(digits: 2))
        return "Formats\n" + table.text
    }

    private func tokenizerText(_ tokenizer: Tokenizer) -> String {
        func named(_ id: Int32?) -> String {
            id.map { "\($0) '\(tokenizer.text(of: $0).printable.abbreviated(to: 40))'" } ?? "none"
        }
        var table = Table(left: [0, 1])
        table.add("entries", tokenizer.vocabularySize.grouped)
        table.add(
            "begins with",
            named(tokenizer.beginningOfSequence)
                + (tokenizer.addsBeginningOfSequence ? ", added to texts" : ", not added"))
        table.add(
            "ends with",
            tokenizer.endOfGeneration.sorted().prefix(8).map(named).joined(separator: ", "))
        table.add("padding", named(tokenizer.padding))
        let template = tokenizer.chatTemplate.map { "\($0.count.grouped) characters" } ?? "none"
        let others = tokenizer.namedChatTemplates.keys.sorted().joined(separator: ", ").printable
        table.add("chat template", template + (others.isEmpty ? "" : "; also \(others)"))
        return table.text
    }

    private func memoryText(_ shape: ModelShape, _ memory: MemoryEstimate) -> String {
        var table = Table()
        table.add("cache", "per token", "keys/values", "weights", "activations", "program", "total")
        for type in KeyValueType.allCases {
            table.add(
                type.rawValue, shape.keyValueBytesPerToken(type).memorySize,
                memory.keyValueBytes(type).memorySize, memory.weights.memorySize,
                memory.activations.memorySize, memory.program.memorySize,
                memory.total(type).memorySize)
        }
        return "Memory to run \(memory.context.grouped) tokens of context, "
            + "\(memory.chunk.grouped) to a prefill pass\n" + table.text
    }

    /// One line a tensor.
    var tensorText: String {
        var table = Table(left: [0, 1, 2])
        for tensor in checkpoint.tensors {
            table.add(
                tensor.name.printable.abbreviated(to: 100), tensor.elementType.name,
                "\(tensor.shape)", tensor.byteRange.count.memorySize)
        }
        return table.text
    }

    /// One line a key.
    var metadataText: String {
        var table = Table(left: [0, 1])
        for (key, value) in metadata {
            table.add(
                key.printable.abbreviated(to: 100),
                value.description.printable.abbreviated(to: 120))
        }
        return table.text
    }

    private func share(_ part: Int, of whole: Int) -> String {
        (100 * Double(part) / Double(max(whole, 1))).formatted(digits: 1) + " %"
    }
}

extension ModelPart {
    var title: String { self == .feedForward ? "feed-forward" : rawValue }
}

extension ModelShape {
    var biasText: String {
        let parts = [
            (queryKeyValueBias, "q, k, v"), (outputBias, "attention output"),
            (feedForwardBias, "feed-forward"),
        ].filter(\.0).map(\.1)
        return parts.isEmpty ? "none" : parts.joined(separator: ", ")
    }

    var ropeText: String {
        let base = "base \(ropeTheta), \(rotaryDimension) of \(headDimension) rotated"
        return switch rotaryScaling {
        case .none: base + ", not scaled"
        case .linear(let factor): base + ", linear × \(factor)"
        case .dynamicNTK(let factor, let length):
            base + ", dynamic NTK × \(factor) beyond \(length.grouped) tokens"
        case .yarn(let yarn):
            base + ", YaRN × \(yarn.factor) from \(yarn.trainedLength.grouped) tokens"
        case .llama3(let factor, _, _, let length):
            base + ", Llama 3 × \(factor) from \(length.grouped) tokens"
        case .divisors(let divisors): base + ", divided by \(divisors.count) factors of the file"
        }
    }
}
