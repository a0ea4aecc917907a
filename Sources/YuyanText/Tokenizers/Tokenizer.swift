import YuyanFormats

/// Turns text into token ids and back, with exactly the ids of the model's own tokenizer.
///
/// Byte-level BPE from a GGUF file or an HF directory, equal to HF `tokenizers` on tokenizer.json. One
/// tokenizer may be used from any number of threads; each call works in memory of its own.
public final class Tokenizer: Sendable {
    private let model: BytePairModel
    private let preTokenizer: PreTokenizer
    private let normalizer: CanonicalComposition?
    /// Added tokens that are looked for in the text as given, and in its normal form.
    private let rawAdded: AddedTokens
    private let normalizedAdded: AddedTokens
    private let addedByContent: [String: Int32]
    private let specialIDs: Set<Int32>
    private let prefix: [Int32]
    private let suffix: [Int32]
    private let classes = UnicodeClasses.shared
    private let encoders = EncoderPool()

    /// The token that starts a sequence, if the model has one.
    public let beginningOfSequence: Int32?
    /// The token that the model's configuration names as the end.
    public let endOfSequence: Int32?
    /// All tokens after which generation stops: end of sequence, of turn, of message.
    public let endOfGeneration: Set<Int32>
    /// The token that fills unused places of a batch, if the model has one.
    public let padding: Int32?
    /// What batches are filled with where a batch must be: `padding`, or else the end of a sequence, as
    /// saved configurations say.
    package var fillsWith: Int32? { padding ?? endOfSequence }
    /// The Jinja template of the model's chat format, if it comes with one.
    public let chatTemplate: String?
    /// Further templates by name, such as "tool_use"; includes "default" where files name it.
    public let namedChatTemplates: [String: String]

    init(_ definition: TokenizerDefinition) {
        model = definition.model
        preTokenizer = definition.preTokenizer
        normalizer = definition.normalizes ? .shared : nil
        let added = definition.addedTokens
        rawAdded = AddedTokens(added.filter { !$0.isNormalized })
        normalizedAdded = AddedTokens(added.filter(\.isNormalized))
        addedByContent = Dictionary(
            added.map { (String(decoding: $0.content, as: UTF8.self), $0.id) },
            uniquingKeysWith: { first, _ in first })
        specialIDs = Set(added.filter(\.isSpecial).map(\.id))
        prefix = definition.prefix
        suffix = definition.suffix
        let settings = definition.settings
        beginningOfSequence = settings.beginning
        endOfSequence = settings.end
        padding = settings.padding
        chatTemplate = settings.chatTemplate
        namedChatTemplates = settings.namedChatTemplates
        var ends = Set(settings.otherEnds)
        if let end = settings.end { ends.insert(end) }
        for name in Self.endNames { if let id = addedByContent[name] { ends.insert(id) } }
        endOfGeneration = ends
    }

    /// The names under which models list tokens that end a turn, a message or a document.
    private static let endNames = [
        "<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>",
        "<|end|>", "</s>", "<end_of_turn>", "<|endofturn|>", "<|end_of_turn|>", "<|return|>",
    ]

    // MARK: - Text to ids

    /// The token ids of a text.
    ///
    /// - Parameters:
    ///   - text: Any text.
    ///   - parseSpecial: Whether special tokens written in the text become those tokens. If not, they are
    ///     plain text, as with `encode_special_tokens` of HF; added tokens that are not special are found
    ///     either way.
    ///   - addSpecial: Whether the tokens that the model wants around every text are added.
    public func encode(
        _ text: String, parseSpecial: Bool = false, addSpecial: Bool = true
    ) -> [Int32] {
        var ids: [Int32] = []
        encode(text, parseSpecial: parseSpecial, addSpecial: addSpecial, into: &ids)
        return ids
    }

    /// Appends the token ids of a text to an array, which saves allocations over many texts.
    public func encode(
        _ text: String, parseSpecial: Bool = false, addSpecial: Bool = true,
        into ids: inout [Int32]
    ) {
        if addSpecial { ids += prefix }
        ids.reserveCapacity(ids.count + text.utf8.count / 3 + suffix.count)
        encoders.withEncoder { encoder in
            encode(text.utf8.span, parseSpecial, with: &encoder, into: &ids)
        }
        if addSpecial { ids += suffix }
    }

    private func encode(
        _ text: Span<UInt8>, _ parseSpecial: Bool, with encoder: inout BytePairEncoder,
        into ids: inout [Int32]
    ) {
        if rawAdded.isEmpty {
            encodeUnnormalized(text, parseSpecial, with: &encoder, into: &ids)
            return
        }
        rawAdded.split(text, parseSpecial: parseSpecial, classes) { section in
            if let token = section.token {
                ids.append(token)
            } else {
                encodeUnnormalized(
                    text.extracting(section.range), parseSpecial, with: &encoder, into: &ids)
            }
        }
    }

    private func encodeUnnormalized(
        _ text: Span<UInt8>, _ parseSpecial: Bool, with encoder: inout BytePairEncoder,
        into ids: inout [Int32]
    ) {
        if let normalizer {
            var buffer: [UInt8] = []
            if normalizer.normalize(text, into: &buffer) {
                encodeNormalized(buffer.span, parseSpecial, with: &encoder, into: &ids)
                return
            }
        }
        encodeNormalized(text, parseSpecial, with: &encoder, into: &ids)
    }

    private func encodeNormalized(
        _ text: Span<UInt8>, _ parseSpecial: Bool, with encoder: inout BytePairEncoder,
        into ids: inout [Int32]
    ) {
        if normalizedAdded.isEmpty {
            encodeWords(text, 0..<text.count, stage: 0, with: &encoder, into: &ids)
            return
        }
        normalizedAdded.split(text, parseSpecial: parseSpecial, classes) { section in
            if let token = section.token {
                ids.append(token)
            } else {
                let part = text.extracting(section.range)
                encodeWords(part, 0..<part.count, stage: 0, with: &encoder, into: &ids)
            }
        }
    }

    /// Cuts a piece by the stages from `stage` on and encodes what comes out.
    private func encodeWords(
        _ text: Span<UInt8>, _ range: Range<Int>, stage index: Int,
        with encoder: inout BytePairEncoder, into ids: inout [Int32]
    ) {
        guard index < preTokenizer.stages.count else {
            if !range.isEmpty { encoder.encode(text, range, with: model, into: &ids) }
            return
        }
        let stage = preTokenizer.stages[index]
        if stage == .prefixSpace {
            if range.isEmpty || text[range.lowerBound] == UInt8(ascii: " ") {
                encodeWords(text, range, stage: index + 1, with: &encoder, into: &ids)
                return
            }
            var spaced: [UInt8] = [UInt8(ascii: " ")]
            for position in range { spaced.append(text[position]) }
            encodeWords(
                spaced.span, 0..<spaced.count, stage: index + 1, with: &encoder, into: &ids)
            return
        }
        let isLast = index + 1 == preTokenizer.stages.count
        var start = range.lowerBound
        while start < range.upperBound {
            let end = preTokenizer.end(
                of: stage, text, from: start, limit: range.upperBound, classes)
            if isLast {
                encoder.encode(text, start..<end, with: model, into: &ids)
            } else {
                encodeWords(text, start..<end, stage: index + 1, with: &encoder, into: &ids)
            }
            start = end
        }
    }

    /// The normal form that a text without added tokens is cut and merged in.
    func normalized(_ text: [UInt8]) -> [UInt8] {
        var buffer: [UInt8] = []
        guard let normalizer, normalizer.normalize(text.span, into: &buffer) else { return text }
        return buffer
    }

    // MARK: - Ids to text

    /// The text of a sequence of ids; bytes that are no UTF-8 become U+FFFD.
    ///
    /// - Parameters:
    ///   - ids: Token ids; those outside the vocabulary are left out, as in HF.
    ///   - skipSpecial: Whether special tokens are left out.
    public func decode(_ ids: some Sequence<Int32>, skipSpecial: Bool = false) -> String {
        var bytes: [UInt8] = []
        for id in ids { appendBytes(of: id, skipSpecial: skipSpecial, to: &bytes) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A decoder for ids that arrive one by one.
    public func streamDecoder(skipSpecial: Bool = false) -> StreamDecoder {
        StreamDecoder(tokenizer: self, skipSpecial: skipSpecial)
    }

    func appendBytes(of id: Int32, skipSpecial: Bool, to bytes: inout [UInt8]) {
        guard id >= 0, Int(id) < model.vocabulary.count else { return }
        if skipSpecial, specialIDs.contains(id) { return }
        bytes += model.vocabulary.arena[model.vocabulary.range(of: Int(id))]
    }

    // MARK: - Single tokens

    /// The number of ids, gaps included: the highest id plus one.
    public var vocabularySize: Int { model.vocabulary.count }

    /// Whether texts get the beginning-of-sequence token in front.
    public var addsBeginningOfSequence: Bool {
        beginningOfSequence.map { prefix.contains($0) } ?? false
    }

    /// Whether texts get the end-of-sequence token behind.
    public var addsEndOfSequence: Bool { endOfSequence.map { suffix.contains($0) } ?? false }

    /// Whether this is a special token: one that is not found in plain text.
    public func isSpecial(_ id: Int32) -> Bool { specialIDs.contains(id) }

    /// The exact bytes of a token, which need not be UTF-8; empty for an id that has none.
    public func bytes(of id: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        appendBytes(of: id, skipSpecial: false, to: &bytes)
        return bytes
    }

    /// The bytes of every token that writes text, by id; nil for the others, special ones included.
    package var textTokens: [[UInt8]?] {
        (0..<Int32(vocabularySize)).map { id in
            let bytes = isSpecial(id) ? [] : bytes(of: id)
            return bytes.isEmpty ? nil : bytes
        }
    }

    /// The text of a token, repaired with U+FFFD if it is a part of a character.
    public func text(of id: Int32) -> String { String(decoding: bytes(of: id), as: UTF8.self) }

    /// The id of the token with this text: an added or special token, or an entry of the vocabulary.
    public func id(of token: String) -> Int32? {
        if let id = addedByContent[token] { return id }
        let span = token.utf8.span
        return model.vocabulary.id(of: span, 0..<span.count).map {
            Int32(truncatingIfNeeded: $0)
        }
    }
}
