import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// A model with everything that has to be saved beside its weights.
public struct SavedModel {
    /// The weights.
    public let decoder: Decoder
    /// Where they came from: its configuration and tokenizer are kept.
    public let source: Checkpoint
    /// Whose threads compute merged weights.
    public let device: Device

    /// - Parameters:
    ///   - decoder: Loaded from `source`, whatever became of its weights since.
    public init(decoder: Decoder, source: Checkpoint, device: Device) {
        self.decoder = decoder
        self.source = source
        self.device = device
    }

    /// Saves a directory that transformers, vLLM and Yuyan load: weights, configuration, tokenizer.
    ///
    /// - Parameters:
    ///   - directory: An existing folder; other files in it stay.
    ///   - type: f32, f16 or bf16.
    ///   - adapter: Merged into the weights; loaded for this model.
    ///   - score: The head `[1, C]` of a reward model, in the place of the language model's.
    ///   - maximumShardBytes: Most bytes of tensors in one file.
    /// - Throws: What goes wrong with files, as `FormatError`, `TokenizerError` or `CheckpointError`.
    public func writeHuggingFace(
        to directory: String, as type: ElementType, adding adapter: LowRankAdapter? = nil,
        scoredBy score: NamedWeight? = nil, maximumShardBytes: Int = 5_000_000_000
    ) throws {
        let files: TokenizerFiles
        let tokenizer: Tokenizer
        switch source.source {
        case .gguf(let file):
            files = try TokenizerFiles(gguf: file)
            tokenizer = try Tokenizer(gguf: file)
        case .huggingFace(let source, _):
            files = try TokenizerFiles(directory: source.path)
            tokenizer = try Tokenizer(directory: source.path)
        }
        try files.write(to: directory)
        try decoder.writeHuggingFace(
            to: directory, as: type, adding: adapter, source: source,
            tokens: tokenizer.specialTokens(below: decoder.shape.vocabularySize), scoredBy: score,
            maximumShardBytes: maximumShardBytes, on: device)
    }

    /// Saves a GGUF file of floats that llama.cpp and Yuyan load.
    ///
    /// - Parameters:
    ///   - type: f32, f16 or bf16; norms and biases are f32.
    ///   - adapter: Merged into the weights; loaded for this model.
    /// - Throws: As `writeHuggingFace`.
    public func writeGGUF(
        to path: String, as type: ElementType, adding adapter: LowRankAdapter? = nil
    ) throws {
        var vocabulary: [(key: String, value: GGUFOutput)] = []
        var name = "model"
        if case .huggingFace(let directory, _) = source.source {
            vocabulary = try GGUFVocabulary(
                directory: directory.path, size: decoder.shape.vocabularySize
            ).entries
            name = directory.path.split(separator: "/").last.map(String.init) ?? name
        }
        try decoder.writeGGUF(
            to: path, as: type, adding: adapter, source: source, vocabulary: vocabulary,
            name: name, on: device)
    }
}

extension Tokenizer {
    /// The roles of tokens, as configuration files name them.
    func specialTokens(below size: Int) -> SpecialTokens {
        func known(_ id: Int32?) -> Int32? { id.flatMap { Int($0) < size ? $0 : nil } }
        let end = known(endOfSequence)
        let others = endOfGeneration.filter { $0 != end && Int($0) < size }.sorted()
        return SpecialTokens(
            beginning: known(beginningOfSequence), ends: [end].compactMap { $0 } + others,
            padding: known(padding))
    }
}
