import YuyanFormats
import YuyanText

/// The fields of `/v1/completions`.
enum CompletionFields {
    static func table(_ limits: ServiceConfiguration) -> [Field] {
        let count = 1...limits.maxPrompts
        let ids = FieldKind.list(.tokenID, count: 1...(1 << 20))
        return [
            Field(
                "prompt",
                .either([.text, .list(.text, count: count), ids, .list(ids, count: count)]),
                required: true),
            Field("max_tokens", .integer(0...Int(Int32.max))), Field("echo", .boolean),
            Field("logprobs", .integer(0...100)), Field("suffix", .text),
            Field("best_of", .integer(1...limits.maxSamples)),
            Field("add_special_tokens", .boolean),
        ] + SamplingFields.table(limits) + ConstraintFields.table(limits)
    }

    /// A prompt as ids and as text.
    struct Prompt: Sendable {
        var ids: [Int32]
        var text: String
    }

    /// The prompts of a field: a text, a list of ids, or a list of either.
    ///
    /// - Throws: `.field` naming the id that is outside the vocabulary.
    static func prompts(
        _ value: JSONCursor, at name: String, tokenizer: Tokenizer, vocabularySize: Int,
        addSpecial: Bool, parseSpecial: Bool
    ) throws(RequestError) -> [Prompt] {
        func encoded(_ text: String) -> Prompt {
            Prompt(
                ids: tokenizer.encode(text, parseSpecial: parseSpecial, addSpecial: addSpecial),
                text: text)
        }
        func given(_ list: JSONCursor, _ path: String) throws(RequestError) -> Prompt {
            var ids: [Int32] = []
            ids.reserveCapacity(list.count)
            for id in list.array.map(Array.init) ?? [] {
                guard let id = id.int, id >= 0, id < vocabularySize else {
                    throw .field(
                        param: "\(path)[\(ids.count)]",
                        message: "is \(id.summary); expected a token id below \(vocabularySize)")
                }
                ids.append(Int32(id))
            }
            return Prompt(ids: ids, text: tokenizer.decode(ids))
        }
        if let text = value.string { return [encoded(text)] }
        guard let elements = value.array.map(Array.init), let first = elements.first else {
            return []
        }
        if first.kind == .number { return [try given(value, name)] }
        var prompts: [Prompt] = []
        for (index, element) in elements.enumerated() {
            if let text = element.string {
                prompts.append(encoded(text))
            } else {
                prompts.append(try given(element, "\(name)[\(index)]"))
            }
        }
        return prompts
    }
}
