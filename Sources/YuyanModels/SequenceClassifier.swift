import YuyanFormats
import YuyanNN
import YuyanTensor

/// A whole reward model: transformers' `…ForSequenceClassification` with one label.
///
/// A decoder of any family with a linear head `score.weight` `[1, C]` in the place of the language
/// model's. The score of a text is the head's product with the normalised state of its last token that
/// is no padding.
public struct SequenceClassifier: Sendable {
    /// Its logits mean nothing: the embedding stands where a language model has its head.
    public let decoder: Decoder
    /// The head `[C]`.
    public let head: [Float]
    /// The token that the last one is looked for before: `pad_token_id`; nil if texts are not padded.
    public let padding: Int32?

    /// Loads a directory of transformers.
    ///
    /// - Throws: `FormatError` if it is no sequence classification with one label, and what loading a
    ///   decoder throws.
    public init(_ checkpoint: Checkpoint, on device: Device) throws {
        guard case .huggingFace(_, let configuration) = checkpoint.source, Self.holds(checkpoint)
        else {
            throw FormatError.badValue(
                file: checkpoint.path, key: "architectures",
                found: Self.architectures(of: checkpoint).joined(separator: ", "),
                expected: "a directory of …ForSequenceClassification with one label")
        }
        var (_, shape) = try Families.shape(of: checkpoint)
        shape.tiedEmbeddings = true
        guard let entry = checkpoint.optionalEntry(Self.scoreName) else {
            throw FormatError.missingTensor(
                name: Self.scoreName, file: checkpoint.path, nearest: [])
        }
        guard entry.shape == [1, shape.width] else {
            throw FormatError.badValue(
                file: checkpoint.path, key: Self.scoreName, found: "\(entry.shape)",
                expected: "[1, \(shape.width)]: one label, and the model's width")
        }
        head = try Tensor(entry).values
        padding = try configuration.root.optionalInt("pad_token_id").flatMap {
            Int32(exactly: $0)
        }
        decoder = try Decoder(
            shape: shape, weights: checkpoint, interleaved: false, on: device)
    }

    /// Whether a checkpoint says that it classifies texts instead of writing them.
    public static func holds(_ checkpoint: Checkpoint) -> Bool {
        architectures(of: checkpoint).contains { $0.hasSuffix("ForSequenceClassification") }
    }

    /// A text's ids without padding at their end, of which at least one stays.
    public func judged(_ ids: [Int32]) -> [Int32] {
        Self.judged(ids, padding: padding)
    }

    /// A text's ids up to the one that a head reads, as transformers finds it.
    public static func judged(_ ids: [Int32], padding: Int32?) -> [Int32] {
        guard let padding else { return ids }
        let last = ids.lastIndex { $0 != padding } ?? 0
        return Array(ids.prefix(last + 1))
    }

    private static let scoreName = "score.weight"

    private static func architectures(of checkpoint: Checkpoint) -> [String] {
        guard case .huggingFace(_, let configuration) = checkpoint.source else { return ["GGUF"] }
        return configuration.root["architectures"]?.array?.compactMap(\.string) ?? []
    }
}
