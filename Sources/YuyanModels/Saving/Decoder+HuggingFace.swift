import YuyanFormats
import YuyanNN
import YuyanTensor

extension Decoder {
    /// Saves the weights and the configuration as a directory that transformers loads.
    ///
    /// Block-quantised weights are saved as the numbers that they stand for. The tokenizer's files
    /// are the business of whoever knows the text; see `TokenizerFiles`.
    ///
    /// - Parameters:
    ///   - directory: An existing folder; other files in it stay.
    ///   - type: f32, f16 or bf16, of all tensors.
    ///   - adapter: Merged into the weights; loaded for this model.
    ///   - source: Where the model came from. Of a directory, `config.json` and
    ///     `generation_config.json` are kept but for what changed.
    ///   - tokens: For the two files, where the source has none.
    ///   - score: The head `[1, C]` of a reward model; the language model's is left out then.
    ///   - maximumShardBytes: Most bytes of tensors in one file.
    ///   - device: Whose threads compute merged weights.
    /// - Throws: `FormatError` if a file cannot be written or `type` cannot hold a number,
    ///   `CheckpointError` if the configuration cannot be expressed.
    public func writeHuggingFace(
        to directory: String, as type: ElementType, adding adapter: LowRankAdapter? = nil,
        source: Checkpoint? = nil, tokens: SpecialTokens = SpecialTokens(),
        scoredBy score: NamedWeight? = nil, maximumShardBytes: Int = 5_000_000_000,
        on device: Device
    ) throws {
        func write(_ name: String, _ value: JSONOutput) throws {
            let path = directory.hasSuffix("/") ? directory + name : directory + "/" + name
            try writeAtomically(path) { try $0.write(value.indented + "\n") }
        }
        try SafetensorsWriter().writeModel(
            (weights(adding: adapter, on: device).filter {
                score == nil || $0.name != "lm_head.weight"
            } + [score].compactMap { $0 }).map { $0.source(as: type) }, to: directory,
            maximumShardBytes: maximumShardBytes)
        let isTied = isTied(adding: adapter)
        var generation: JSONOutput?
        var configuration: JSONOutput?
        if case .huggingFace(let files, let document)? = source?.source {
            configuration = JSONOutput(copying: document.root)
            configuration?.setType(type, isTied: isTied)
            generation = try files.json("generation_config.json").map {
                JSONOutput(copying: $0.root)
            }
        }
        try write(
            "generation_config.json",
            generation ?? .object(tokens.entries.filter { $0.value.description != "null" }))
        // Last, since a directory without it is no model yet.
        var written =
            try configuration ?? shape.configuration(as: type, isTied: isTied, tokens: tokens)
        if score != nil { written.setScored(padding: tokens.padding ?? tokens.ends.first) }
        try write("config.json", written)
    }
}

extension JSONOutput {
    /// Says that the model judges texts: transformers' sequence classification with one label.
    fileprivate mutating func setScored(padding: Int32?) {
        if case .array(let names)? = self["architectures"] {
            self["architectures"] = .array(
                names.map { name in
                    guard case .string(let text) = name else { return name }
                    return .string(
                        text.replacing("ForCausalLM", with: "ForSequenceClassification"))
                })
        }
        self["num_labels"] = nil
        self["id2label"] = ["0": "LABEL_0"]
        self["label2id"] = ["LABEL_0": 0]
        self["problem_type"] = .string("regression")
        // What scores were learnt behind, whatever the language model said, or did not say.
        if let padding { self["pad_token_id"] = .integer(Int(padding)) }
    }

    /// Changes what another storage of the same model changes.
    fileprivate mutating func setType(_ type: ElementType, isTied: Bool) {
        self["quantization_config"] = nil
        // Version 5 of transformers calls it dtype, and still reads the old name.
        self[self["dtype"] == nil ? "torch_dtype" : "dtype"] = .string(type.torchName)
        self["tie_word_embeddings"] = .bool(isTied)
    }
}
