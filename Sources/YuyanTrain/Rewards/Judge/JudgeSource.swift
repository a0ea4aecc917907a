import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// Where a judge comes from: files of its own, or the model of the run, each maybe with an adapter.
struct JudgeSource: Sendable {
    enum Model: Sendable {
        /// A GGUF file or a Hugging Face folder.
        case files(String)
        /// The base of the model that the run trains or samples, which it never changes.
        case own(FrozenModel)
        /// The same before it is loaded.
        case promised
    }

    let model: Model
    /// A PEFT folder or a GGUF adapter; nil without one.
    var adapter: String?
    /// A Jinja file; nil for the model's own chat template.
    var template: String?

    /// A judge in memory.
    struct Loaded {
        let decoder: Decoder
        let tokenizer: Tokenizer
        let chat: ChatRenderer
        let adapter: LowRankAdapter?
        /// For messages.
        let name: String
    }

    /// Loads what is not in memory yet.
    ///
    /// - Throws: What is wrong with the files; `RewardFault` for a model that cannot judge.
    func loaded(on device: Device) throws -> Loaded {
        let decoder: Decoder
        let tokenizer: Tokenizer
        let name: String
        var chat: ChatTemplate?
        switch model {
        case .files(let path):
            let checkpoint = try Checkpoint(path: path)
            tokenizer = try Tokenizer(checkpoint: checkpoint)
            chat = try template(or: tokenizer.chatTemplate, of: path)
            decoder = try Decoder(checkpoint, on: device)
            name = path
        case .own(let own):
            (decoder, tokenizer, name) = (own.decoder, own.tokenizer, own.name)
            chat = try template == nil ? own.template : template(or: nil, of: name)
        case .promised: throw RewardFault("the model of the run is not loaded")
        }
        guard let chat else {
            throw RewardFault("\(name) has no chat template; give the path of one as `template`")
        }
        let adapter = try adapter.map {
            try LowRankAdapter(name: "judge", path: $0, for: decoder, on: device)
        }
        guard adapter?.score == nil else {
            throw RewardFault(
                "\(self.adapter ?? "") is a reward model, which gives scores and no texts; name it "
                    + "with reward_model")
        }
        return Loaded(
            decoder: decoder, tokenizer: tokenizer,
            chat: ChatRenderer(tokenizer: tokenizer, template: chat), adapter: adapter, name: name)
    }

    private func template(or own: String?, of path: String) throws -> ChatTemplate? {
        try (template.map { try MappedFile(path: $0).text } ?? own).map {
            try ChatTemplate(source: $0, name: template ?? path)
        }
    }

    /// Bytes that it will take beside the model of the run, keys and values aside.
    ///
    /// - Throws: What is wrong with the files.
    func predictedBytes() throws -> Int {
        var bytes = 0
        if case .files(let path) = model {
            bytes += try Checkpoint(path: path).tensors.packedByteCount
        }
        if let adapter { bytes += try AdapterSummary(path: adapter).byteCount }
        return bytes
    }
}
