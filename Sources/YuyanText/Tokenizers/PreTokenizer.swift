/// Cuts text into the words that byte-pair encoding works inside of.
///
/// A chain of stages: each cuts the pieces of the one before. Every stage is a hand-written scanner
/// with the meaning of a known regular expression; there is no general engine.
struct PreTokenizer: Sendable {
    /// One way of cutting. Each tiles its input: pieces follow each other without gaps.
    enum Stage: Hashable, Sendable {
        /// `Digits`: numeric characters apart from the rest, one by one or in runs.
        case digits(individual: Bool)
        /// GPT-2's expression, inside `ByteLevel`.
        case gpt2
        /// Llama 3's expression, which Qwen2 shares but for the digits that go together.
        case llama3(maximumDigits: Int)
        /// Runs of punctuation and `$+<=>^~|`, the first of llama.cpp's "default" chain.
        case punctuation
        /// Runs of numbers.
        case numbers
        /// ASCII digits by threes from the left.
        case digitTriples
        /// `ByteLevel` with `add_prefix_space`: puts a space before a piece that lacks one.
        case prefixSpace
    }

    let stages: [Stage]

    /// The regular expressions of tokenizer.json that have a scanner here.
    static let knownExpressions: [(pattern: String, stage: Stage)] = [
        (
            #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
            .gpt2
        ),
        (
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"#
                + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            .llama3(maximumDigits: 3)
        ),
        (
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"#
                + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            .llama3(maximumDigits: 1)
        ),
        (#"[\p{P}\$\+<=>\^~\|]+"#, .punctuation),
        (#"\p{N}"#, .digits(individual: true)),
        (#"\p{N}+"#, .numbers),
        (#"[0-9][0-9][0-9]"#, .digitTriples),
    ]

    /// The chains of `tokenizer.ggml.pre`, with the names that llama.cpp gives them.
    static let knownNames: [(names: [String], stages: [Stage])] = [
        (["default"], [.punctuation, .gpt2, .numbers, .digitTriples]),
        (["gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe"], [.gpt2]),
        (
            ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
            [.digits(individual: true), .gpt2]
        ),
        (
            ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral"],
            [.llama3(maximumDigits: 3)]
        ),
        (["qwen2", "stablelm2", "deepseek-r1-qwen", "megrez"], [.llama3(maximumDigits: 1)]),
    ]

    /// End of the piece that starts at `start` when `text[start..<limit]` is cut by one stage.
    @inline(__always)
    func end(
        of stage: Stage, _ text: Span<UInt8>, from start: Int, limit: Int, _ classes: UnicodeClasses
    ) -> Int {
        let scanner = WordScanner(limit: limit, classes: classes)
        return switch stage {
        case .gpt2: scanner.gpt2(text, from: start)
        case .llama3(let digits): scanner.llama3(text, from: start, maximumDigits: digits)
        case .digits(let individual): scanner.digits(text, from: start, individual: individual)
        case .punctuation: scanner.punctuation(text, from: start)
        case .numbers: scanner.numbers(text, from: start)
        case .digitTriples: scanner.digitTriples(text, from: start)
        case .prefixSpace: limit
        }
    }
}
