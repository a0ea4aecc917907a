import Synchronization

import YuyanEngine
import YuyanServe

/// An engine that answers with what a test wrote down, and remembers what it was asked.
final class ScriptedEngine: InferenceEngine {
    typealias Script = @Sendable (GenerationRequest) throws -> [GenerationEvent]

    private struct State {
        var requests: [GenerationRequest] = []
        var embeddings: [EmbeddingRequest] = []
        var taken = 0
        var dropped = 0
    }

    private let state = Mutex(State())
    private let script: Script
    private let failure: EngineError?
    let contextLimit: Int
    let vocabularySize: Int

    /// - Parameter failure: Thrown after the script's events.
    init(
        vocabularySize: Int, contextLimit: Int = 4096, failure: EngineError? = nil,
        script: @escaping Script
    ) {
        self.vocabularySize = vocabularySize
        self.contextLimit = contextLimit
        self.failure = failure
        self.script = script
    }

    var requests: [GenerationRequest] { state.withLock { $0.requests } }
    var embeddings: [EmbeddingRequest] { state.withLock { $0.embeddings } }
    /// Events that readers have asked for.
    var taken: Int { state.withLock { $0.taken } }
    /// Requests whose events were let go.
    var dropped: Int { state.withLock { $0.dropped } }

    func submit(_ request: GenerationRequest) throws(EngineError) -> GenerationEvents {
        let events: [GenerationEvent]
        do {
            events = try script(request)
        } catch let error as EngineError {
            throw error
        } catch {
            throw .failed("\(error)")
        }
        state.withLock { $0.requests.append(request) }
        let place = Place { self.state.withLock { $0.dropped += 1 } }
        let failure = failure
        let stream = AsyncThrowingStream<GenerationEvent, any Error>(unfolding: {
            let index = place.next()
            self.state.withLock { $0.taken += 1 }
            if index < events.count { return events[index] }
            if index == events.count, let failure { throw failure }
            return nil
        })
        return GenerationEvents(stream: stream, backlog: .init(onDrain: {}))
    }

    func embed(_ request: EmbeddingRequest) async throws -> [[Float]] {
        state.withLock { $0.embeddings.append(request) }
        return request.texts.map { text in [3, Float(text.count), 0, 4] }
    }

    func statistics() -> EngineStatistics { EngineStatistics() }
    func drain() async {}
}

/// Where a reader is; tells when the last one who holds it lets go.
private final class Place: Sendable {
    private let index = Mutex(0)
    private let onEnd: @Sendable () -> Void

    init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }
    deinit { onEnd() }

    func next() -> Int {
        index.withLock { index in
            defer { index += 1 }
            return index
        }
    }
}

/// Remembers the records of requests.
final class RecordingObserver: ServiceObserver {
    private let state = Mutex<[RequestRecord]>([])
    var records: [RequestRecord] { state.withLock { $0 } }
    func finished(_ record: RequestRecord) { state.withLock { $0.append(record) } }
}
