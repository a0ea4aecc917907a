import YuyanFormats
import YuyanText

/// The fields of `/v1/completions`.
enum CompletionFields {
    static func table(_ limits: ServiceConfiguration, token: FieldKind) -> [Field] {
        let count = 1...limits.maxPrompts
        let ids = FieldKind.list(token, count: 1...(1 << 20))
        return [
            Field(
                "prompt",
                .either([.text, .list(.text, count: count), ids, .list(ids, count: count)]),
                required: true),
            Field("max_tokens", .integer(0...Int(Int32.max))), Field("echo", .boolean),
            Field("logprobs", .integer(0...100)),
            // Only the empty one: this model fills no gaps between texts.
            Field("suffix", .string(maxBytes: 0)),
            Field("best_of", .integer(1...limits.maxSamples)),
            Field("add_special_tokens", .boolean),
        ] + ConstraintFields.table(limits)
    }

    /// A prompt as ids and as text.
    struct Prompt: Sendable {
        var ids: [Int32]
        var text: String
    }

    /// The prompts of a field that was checked: a text, a list of ids, or a list of either.
    static func prompts(
        _ value: JSONCursor, tokenizer: Tokenizer, addSpecial: Bool, parseSpecial: Bool
    ) -> [Prompt] {
        func prompt(_ value: JSONCursor) -> Prompt {
            if let text = value.string {
                let ids = tokenizer.encode(
                    text, parseSpecial: parseSpecial, addSpecial: addSpecial)
                return Prompt(ids: ids, text: text)
            }
            let ids = (value.array.map(Array.init) ?? []).compactMap { $0.int.map { Int32($0) } }
            return Prompt(ids: ids, text: tokenizer.decode(ids))
        }
        guard let elements = value.array.map(Array.init), elements.first?.kind != .number else {
            return [prompt(value)]
        }
        return elements.map(prompt)
    }
}
