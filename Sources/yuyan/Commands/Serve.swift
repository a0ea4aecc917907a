import ArgumentParser
import Synchronization
import YuyanEngine
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

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a model to many clients over HTTP, with OpenAI's API.",
        discussion: """
            Example: yuyan serve --model smollm2-135m --port 8080 --kv-cache 2GiB

            Then, from any OpenAI client with the base URL http://127.0.0.1:8080/v1, or:
            curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
            -d '{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'

            The page at / chats and shows the engine at work; /metrics is for Prometheus, /health for \
            load balancers: 503 while the model loads and while the server drains, 200 otherwise.

            A reward model (what `yuyan train` writes with stage: rm) scores texts at /v1/score: an adapter \
            by its --adapter name, a whole one as --model, which then answers nothing else but /v1/embeddings.

            Every request gets the bits that it would get alone, however many run at once. When the \
            queue is full, requests are answered with 429 and Retry-After.

            SIGTERM or Ctrl-C: no new requests, running ones end, exit code 0. A second one ends the \
            server at once. Sizes are numbers with KiB, MiB, GiB or TiB.
            """)

    @Option(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var model: String
    @Option(help: "The model's name in the API; by default the cached name, or the file's.")
    var modelName: String?
    @OptionGroup(title: "Engine") var engine: EngineOptions
    @OptionGroup(title: "Server") var server: ServerOptions
    @OptionGroup(title: "Compute") var compute: ComputeOptions

    func run() throws {
        let environmentKey = getenv("YUYAN_API_KEY").map { String(cString: $0) }
        let configuration = server.configuration(environmentKey: environmentKey)
        let http = Server(
            configuration: configuration, logFormat: server.logFormat, logLevel: server.logLevel)
        // Threads inherit which signals are blocked, so this comes before there are any.
        ShutdownSignals.watch { http.shutDown() }
        let boundPort = BoundPort()
        let command = self
        try waiting {
            try await http.run(
                load: { try command.served(observer: $0, in: http) },
                listening: { port in
                    boundPort.number.store(port, ordering: .relaxed)
                    let address = configuration.address(port: port)
                    command.say("listening on \(address), loading \(command.model)", in: http)
                },
                ready: { model in
                    let address = configuration.address(
                        port: boundPort.number.load(ordering: .relaxed))
                    command.say(command.welcome(model, at: address), in: http)
                    guard command.server.logFormat == .text else { return }
                    let key = command.server.keyHeader(environmentKey: environmentKey)
                    let scores = (model.handler as? Service)?.scoresTexts ?? false
                    let example = Self.example(
                        at: address, model: model.modelID, key: key, scores: scores)
                    Terminal.write("try: " + example + "\n")
                })
        }
    }

    /// A line for people; a line of the log if whoever collects lines wants each to be JSON.
    private func say(_ text: String, in http: Server) {
        // Not stderr, which is the log's.
        if server.logFormat == .text { Terminal.write(text + "\n") } else { http.log(text) }
    }

    /// Loads the model and puts engine and service on top of it.
    private func served(observer: any ServiceObserver, in http: Server) throws -> ServedModel {
        let loaded = try LoadedModel(model, device: compute.device(), mayScore: true)
        let name = modelName ?? Self.name(of: model)
        let draft = try engine.draftModel.map { try LoadedModel($0, device: loaded.device) }
        if let draft { try loaded.checkVocabulary(of: draft) }
        let engine = try Engine(
            model: loaded.decoder, device: loaded.device, configuration: engine.configuration,
            endOfSequence: loaded.endOfSequence, draftModel: draft?.decoder)
        let warning = self.engine.contextWarning(
            trained: loaded.decoder.shape.contextLength, held: engine.contextLimit)
        if let warning { http.log(warning, isWarning: true) }
        let adapters = AdapterStore(
            model: loaded.decoder, device: loaded.device,
            budgetBytes: self.engine.adapterMemory.bytes)
        for adapter in self.engine.adapter {
            try adapters.register(name: adapter.name, directory: adapter.directory)
        }
        var configuration = ServiceConfiguration()
        configuration.allowsAdapterChanges = !self.engine.fixedAdapters
        configuration.maxSamples = min(configuration.maxSamples, self.engine.maxSequences)
        if server.samplingDefaults == .model {
            configuration.sampling = try SamplingParameters(
                advisedBy: Checkpoint(path: loaded.path))
            let advice = configuration.sampling.advice
            if !advice.isEmpty { say("sampling by the model's advice: \(advice)", in: http) }
        }
        let service = Service(
            engine: engine, text: try loaded.servedText(modelID: name), adapters: adapters,
            configuration: configuration, observer: observer)
        return ServedModel(handler: service, engine: engine, modelID: name)
    }

    /// `SmolLM2-135M.Q4_1` of `models/SmolLM2-135M.Q4_1.gguf`; a cached name is its own.
    static func name(of model: String) -> String {
        let last = model.split(separator: "/").last.map(String.init) ?? model
        return last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last
    }

    /// What to know once requests are answered.
    func welcome(_ model: ServedModel, at address: String) -> String {
        let cache = model.engine.statistics()
        let bytes = ByteSize(bytes: max(1, cache.totalBlocks * cache.blockBytes))
        let tokens = cache.totalBlocks * cache.blockTokens
        return """
            serving \(model.modelID) at \(address): \(tokens) tokens of cache in \
            \(cache.totalBlocks) blocks (\(bytes)), context \(model.engine.contextLimit)
            """
    }

    /// A command that asks the server something.
    ///
    /// - Parameter scores: Whether the model scores texts instead of writing them.
    static func example(
        at address: String, model: String, key: String, scores: Bool = false
    ) -> String {
        scores
            ? """
            curl \(address)/v1/score -H 'content-type: application/json'\(key) \
            -d '{"model": "\(model)", "messages": ["Hello"]}'
            """
            : """
            curl \(address)/v1/chat/completions -H 'content-type: application/json'\(key) \
            -d '{"model": "\(model)", "messages": [{"role": "user", "content": "Hello"}]}'
            """
    }
}

/// The port, which is known only once the socket is open.
private final class BoundPort: Sendable {
    let number = Atomic(0)
}

extension ServerConfiguration {
    /// The URL under which this machine reaches the server.
    func address(port: Int) -> String {
        let name = host == "0.0.0.0" || host == "::" ? "127.0.0.1" : host
        let bracketed = name.contains(":") ? "[\(name)]" : name
        return "\(tlsCertificate == nil ? "http" : "https")://\(bracketed):\(port)"
    }
}

extension LoadedModel {
    /// Guesses of another vocabulary would be other words.
    func checkVocabulary(of draft: LoadedModel) throws {
        let count = tokenizer.vocabularySize
        guard draft.tokenizer.vocabularySize == count,
            (0..<Int32(count)).allSatisfy({
                tokenizer.bytes(of: $0) == draft.tokenizer.bytes(of: $0)
            })
        else {
            throw CommandError.badArgument(
                "\(draft.path) has another vocabulary than \(path); a draft model must share it")
        }
    }

    /// The text side of the model, for the service.
    func servedText(modelID: String) throws -> ServedText {
        let template = try tokenizer.chatTemplate.map { try ChatTemplate(source: $0, name: path) }
        return ServedText(
            tokenizer: tokenizer, template: template, modelID: modelID, created: time(nil),
            trainedContext: decoder.shape.contextLength, score: score)
    }
}
