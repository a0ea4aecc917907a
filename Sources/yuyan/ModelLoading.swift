import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanServe
import YuyanTensor
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Models that `make run` and the fetch scripts cache, by the short name that commands take.
enum CachedModels {
    static let files = [
        "smollm2-135m": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "qwen2.5-coder-0.5b": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    ]

    /// `$YUYAN_HOME`, or `~/.cache/yuyan`.
    static var folder: String {
        if let home = getenv("YUYAN_HOME"), home.pointee != 0 { return String(cString: home) }
        let home = getenv("HOME").map { String(cString: $0) } ?? "."
        return home + "/.cache/yuyan"
    }

    /// The path that a `--model` argument means: a cached name's file, or the argument itself.
    static func path(of model: String) throws -> String {
        guard access(model, F_OK) != 0, let file = files[model] else {
            if access(model, F_OK) != 0, !model.contains("/"), !model.contains(".") {
                throw CommandError.unknownModel(model, known: files.keys.sorted())
            }
            return model
        }
        let path = folder + "/" + file
        guard access(path, F_OK) == 0 else {
            throw CommandError.notCached(model, path: path)
        }
        return path
    }
}

/// A command that cannot do what its arguments ask.
enum CommandError: Error, CustomStringConvertible {
    case unknownModel(String, known: [String])
    case notCached(String, path: String)
    case noChatTemplate(String)
    case badArgument(String)

    var description: String {
        switch self {
        case .unknownModel(let name, let known):
            "'\(name)' is neither a file, a directory nor a cached name; cached names: "
                + known.joined(separator: ", ")
        case .notCached(let name, let path):
            "'\(name)' is not cached at \(path); run `make run` (smollm2-135m) or "
                + "`scripts/fetch-model \(name)` first"
        case .noChatTemplate(let path):
            "\(path): no chat template; use --raw to give the text as it is"
        case .badArgument(let text): text
        }
    }
}

/// An opened model with its tokenizer, ready to run.
struct LoadedModel {
    let path: String
    let decoder: Decoder
    let tokenizer: Tokenizer
    let device: Device
    /// Of a reward model, which writes no texts.
    let score: ScoreHead?

    /// - Parameter mayScore: Whether the model may be a reward model.
    init(_ model: String, device: Device, mayScore: Bool = false) throws {
        path = try CachedModels.path(of: model)
        let checkpoint = try Checkpoint(path: path)
        tokenizer = try Tokenizer(checkpoint)
        self.device = device
        guard SequenceClassifier.holds(checkpoint) else {
            (decoder, score) = (try Decoder(checkpoint, on: device), nil)
            return
        }
        guard mayScore else {
            throw CommandError.badArgument(
                "\(path) is a reward model, which writes no texts; `yuyan serve` answers /v1/score "
                    + "with it")
        }
        let model = try SequenceClassifier(checkpoint, on: device)
        decoder = model.decoder
        score = ScoreHead(weight: model.head, padding: model.padding)
    }

    /// Stop tokens that exist in the model's vocabulary.
    var endOfSequence: [Int32] {
        tokenizer.endOfGeneration.filter { Int($0) < decoder.shape.vocabularySize }.sorted()
    }
}

extension Tokenizer {
    /// The tokenizer that lies in or beside a checkpoint.
    convenience init(_ checkpoint: Checkpoint) throws {
        switch checkpoint.source {
        case .gguf(let file): try self.init(gguf: file)
        case .huggingFace(let directory, _): try self.init(directory: directory.path)
        }
    }
}

extension LoadedModel {
    /// - Parameter adapter: A PEFT directory or a GGUF adapter, or nil for the model as it is.
    func session(_ options: CacheOptions, adapter: String? = nil) throws -> Session {
        Session(
            model: decoder, device: device, keyValueType: options.kv, chunkSize: options.chunk,
            contextLimit: options.context,
            adapter: try adapter.map {
                try LowRankAdapter(name: $0, path: $0, for: decoder, on: device)
            })
    }

    /// Renders a conversation through the model's chat template, ready for the answer.
    func chatTokens(_ messages: [ChatMessage]) throws -> [Int32] {
        try chatTokens(messages.map(\.templateValue), tools: nil)
    }

    /// Renders a conversation whose turns may hold more than plain text, such as tool calls.
    func chatTokens(_ messages: [TemplateValue], tools: [TemplateValue]?) throws -> [Int32] {
        guard let source = tokenizer.chatTemplate else {
            throw CommandError.noChatTemplate(path)
        }
        let renderer = ChatRenderer(
            tokenizer: tokenizer, template: try ChatTemplate(source: source, name: path))
        let chat = renderer.conversation(messages: messages, tools: tools)
        return chat.ids(try chat.render(addsGenerationPrompt: true))
    }
}
