import TestSupport
import Testing
@testable import YuyanEngine
import YuyanFormats
import YuyanText

@testable import YuyanServe

/// A service over a scripted engine and the small tokenizers of the goldens.
struct ServiceFixture {
    let engine: ScriptedEngine
    let service: Service
    let observer = RecordingObserver()
    let tokenizer: Tokenizer

    static let qwen2 = "Qwen2.5-Coder-0.5B-Instruct"
    static let qwen3 = "Qwen3-0.6B"
    static let smolLM2 = "SmolLM2-135M-Instruct"

    static func tokenizer(_ name: String = "qwen2") throws -> Tokenizer {
        try Tokenizer(directory: Goldens.path("tokenizers/" + name))
    }

    static func template(_ name: String) throws -> ChatTemplate {
        let bytes = try readBytes(Goldens.path("templates/\(name).jinja"))
        return try ChatTemplate(source: String(decoding: bytes, as: UTF8.self), name: name)
    }

    /// Answers with events; the tokens of a sample are those of `answer` unless `script` is given.
    init(
        template: String = Self.smolLM2, source: String? = nil, answer: String = "Hello there",
        limit: Int = 4096,
        configuration: ServiceConfiguration = ServiceConfiguration(),
        adapters: (any AdapterRegistry)? = nil, failure: EngineError? = nil,
        score: ScoreHead? = nil, script: ScriptedEngine.Script? = nil
    ) throws {
        let tokenizer = try Self.tokenizer()
        self.tokenizer = tokenizer
        engine = ScriptedEngine(
            vocabularySize: tokenizer.vocabularySize, contextLimit: limit, failure: failure,
            script: script ?? { Self.events($0, text: answer, tokenizer) })
        service = Service(
            engine: engine,
            text: ServedText(
                tokenizer: tokenizer,
                template: try source.map { try ChatTemplate(source: $0, name: "test") }
                    ?? Self.template(template), modelID: "tiny",
                aliases: ["default"], created: 1_700_000_000, trainedContext: 8192, score: score),
            adapters: adapters, configuration: configuration, observer: observer)
    }

    /// What an engine would say if the model wrote this text, ending by itself or by the limit.
    static func events(
        _ request: GenerationRequest, text: String, _ tokenizer: Tokenizer
    ) -> [GenerationEvent] {
        var events: [GenerationEvent] = [.started(queued: .milliseconds(3), cachedTokens: 2)]
        if let top = request.promptLogProbabilities {
            let scores = request.prompt.enumerated().map { index, token in
                index == 0 ? nil : scored(token, top: top)
            }
            events.append(.scored(scores))
        }
        let ids = tokenizer.encode(text, parseSpecial: true, addSpecial: false)
        let limit = request.parameters.maxTokens ?? .max
        let end = tokenizer.endOfGeneration.min() ?? 0
        for place in 0...ids.count {
            for sample in 0..<request.sampleCount where place < limit {
                let token = place < ids.count ? ids[place] : end
                events.append(
                    .token(
                        sample: sample, token: token,
                        logProbabilities: request.parameters.logprobs.map {
                            scored(token, top: $0)
                        }))
                if place == ids.count {
                    events.append(
                        .finished(sample: sample, finish: .stop(.endOfSequence(end))))
                }
            }
        }
        if limit <= ids.count {
            for sample in 0..<request.sampleCount {
                events.append(.finished(sample: sample, finish: .length))
            }
        }
        return events
    }

    private static func scored(_ token: Int32, top: Int) -> TokenLogProbabilities {
        func one(_ token: Int32) -> TokenLogProbability {
            TokenLogProbability(token: token, logProbability: -Float(token % 7) / 4)
        }
        return TokenLogProbabilities(
            chosen: one(token), top: (0..<Int32(top)).map { one((token + $0) % 900) })
    }

    // MARK: - Asking

    func post(_ path: String, _ body: String) async -> ServiceResponse {
        await service.respond(
            to: ServiceRequest(
                method: "POST", path: path, body: Array(body.utf8), client: "someone",
                requestID: "r1"))
    }

    /// The status and the JSON of an answer that is no stream.
    func json(_ path: String, _ body: String) async throws -> (status: Int, body: JSONCursor) {
        try Self.json(await post(path, body))
    }

    func get(_ path: String) async throws -> (status: Int, body: JSONCursor) {
        try Self.json(await service.respond(to: ServiceRequest(method: "GET", path: path)))
    }

    static func json(_ response: ServiceResponse) throws -> (status: Int, body: JSONCursor) {
        guard case .bytes(let bytes) = response.body else {
            throw FixtureError.unexpectedStream
        }
        return (response.status, try JSONDocument(bytes: bytes, name: "answer").root)
    }

    /// The events of a stream: names, where they have any, and data.
    func events(_ path: String, _ body: String) async throws -> [Event] {
        guard case .events(let events) = await post(path, body).body else {
            throw FixtureError.noStream
        }
        var text: [UInt8] = []
        for await piece in events { text += piece }
        return try Self.parse(text)
    }

    struct Event {
        var name: String?
        var data: String
        func json() throws -> JSONCursor {
            try JSONDocument(bytes: Array(data.utf8), name: "event").root
        }
    }

    static func parse(_ bytes: [UInt8]) throws -> [Event] {
        let text = try #require(String(validating: bytes, as: UTF8.self))
        var events: [Event] = []
        var event = Event(data: "")
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("data: ") {
                event.data = String(line.dropFirst(6))
            } else if line.hasPrefix("event: ") {
                event.name = String(line.dropFirst(7))
            } else if line.isEmpty, !event.data.isEmpty {
                events.append(event)
                event = Event(data: "")
            }
        }
        return events
    }
}

enum FixtureError: Error {
    case unexpectedStream
    case noStream
    case unreadable(String)
}

func readBytes(_ path: String) throws -> [UInt8] {
    let file = try MappedFile(path: path)
    return file.withBytes { bytes in bytes.withUnsafeBytes { Array($0) } }
}

extension JSONCursor {
    /// The value at the end of a path of names and positions.
    func at(_ path: String...) -> JSONCursor? {
        var value: JSONCursor? = self
        for name in path { value = Int(name).flatMap { value?[$0] } ?? value?[name] }
        return value
    }

    var names: [String] { entries?.map(\.key) ?? [] }
}
