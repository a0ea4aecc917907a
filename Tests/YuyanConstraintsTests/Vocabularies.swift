import TestSupport
import YuyanFormats

@testable import YuyanConstraints

enum Vocabularies {
    /// Token `i` is byte `i`; 256 ends.
    static let bytes = ConstraintVocabulary(
        tokens: (0..<256).map { [UInt8($0)] } + [nil], endTokens: [256])

    /// All bytes, a control token, and pieces of JSON and text cut at any byte.
    static let pieces: ConstraintVocabulary = {
        var random = SeededGenerator(seed: 3)
        var tokens: [[UInt8]?] = (0..<256).map { [UInt8($0)] } + [nil]
        let texts = [
            #"{"name": "größe", "id": 12.5e3, "tags": [true, false, null, "雨😀"]}"#,
            "{\n  \"a\": [\n    1,\n    -20\n  ],\n  \"x y\": \"back\\\\slash\\n\\u00e9\"\n}",
            "the quick brown fox 2024-02-29T12:34:56Z \", \": {\"}]}, \"value\": \"next\": null",
            "aabbccab\"\"\"}}}]]]    \n\n  \\\"\\\\ 0000.99991234567890",
            "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"q\": 1}}\n</tool_call><tool",
        ].map { Array($0.utf8) }
        for _ in 0..<700 {
            let text = texts[Int.random(in: texts.indices, using: &random)]
            let start = Int.random(in: text.indices, using: &random)
            let end = min(text.count, start + Int.random(in: 1...9, using: &random))
            tokens.append(Array(text[start..<end]))
        }
        tokens += [nil, []]
        return ConstraintVocabulary(tokens: tokens, endTokens: [256, Int32(tokens.count - 2)])
    }()

    /// The vocabulary of SmolLM2, or `nil` if the model is absent.
    static let smolLM2: ConstraintVocabulary? = {
        guard let path = Models.smolLM2, let file = try? GGUFFile(path: path),
            let tokens = try? file.array("tokenizer.ggml.tokens", of: .string).strings()
        else { return nil }
        return ConstraintVocabulary(tokens: tokens.map { text($0) }, endTokens: [2])
    }()

    /// The bytes of an entry in the byte-level alphabet of GPT-2; `nil` for control tokens.
    private static func text(_ entry: String) -> [UInt8]? {
        if entry.hasPrefix("<|") || entry.hasPrefix("<repo") { return nil }
        var bytes: [UInt8] = []
        for scalar in entry.unicodeScalars {
            guard let byte = alphabet[scalar.value] else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static let alphabet: [UInt32: UInt8] = {
        var alphabet: [UInt32: UInt8] = [:]
        var next: UInt32 = 0x100
        for byte in UInt8.min...UInt8.max {
            if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE {
                alphabet[UInt32(byte)] = byte
            } else {
                alphabet[next] = byte
                next += 1
            }
        }
        return alphabet
    }()
}

/// Tokens with which an answer can be completed.
func leastTokens(_ constraint: CompiledConstraint, _ vocabulary: ConstraintVocabulary) -> Int {
    constraint.start().sufficientTokens
}

/// An answer of random allowed tokens.
struct Walk {
    private(set) var tokens: [Int32] = []
    private(set) var bytes: [UInt8] = []
    /// Whether the text was an answer when it ended.
    private(set) var isComplete = false
    /// Whether there was no way on.
    private(set) var isStuck = false

    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// - Parameter budget: Tokens; the walk ends at an end token, or when they are used up and the text
    ///   is complete, or when twice as many did not suffice.
    init(
        _ constraint: CompiledConstraint, _ vocabulary: ConstraintVocabulary, budget: Int,
        _ random: inout SeededGenerator
    ) {
        var state = constraint.start()
        let end = vocabulary.endTokens[0]
        while tokens.count < 2 * budget + 3000 {
            let left = budget - tokens.count
            if left <= 0, state.allows(end) {
                isComplete = true
                return
            }
            // An answer that fits its budget must not need more.
            if budget > 0, left <= 0 { return }
            let mask = state.allowedTokens(tokensLeft: left)
            let choices = (0..<Int32(vocabulary.texts.count)).filter { mask.contains($0) }
            guard let token = choices.randomElement(using: &random) else {
                isStuck = true
                return
            }
            if vocabulary.isEnd[Int(token)] {
                isComplete = state.allows(end)
                return
            }
            state.accept(token)
            tokens.append(token)
            bytes += vocabulary.texts[Int(token)] ?? []
        }
    }
}
