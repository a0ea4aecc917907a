import Synchronization

/// The events of one request, to be iterated once by one task.
///
/// What the reader has not taken yet is counted: the engine leaves out the sequences of a reader
/// that falls behind, so that a slow connection grows no memory; others may take its blocks.
public struct GenerationEvents: AsyncSequence, Sendable {
    /// An event.
    public typealias Element = GenerationEvent
    /// Events handed over and not yet taken.
    public final class Backlog: Sendable {
        private let produced = Atomic<Int>(0)
        private let consumed = Atomic<Int>(0)
        private let hasEnough = Atomic<Bool>(false)
        private let onDrain: @Sendable () -> Void
        /// Waiting events from which on the engine pauses the request.
        public static let limit = 256

        /// `onDrain` is called when a backlog that was more than half full is so no more.
        public init(onDrain: @escaping @Sendable () -> Void) { self.onDrain = onDrain }

        /// Whether the reader is too far behind.
        public var isFull: Bool {
            produced.load(ordering: .relaxed) - consumed.load(ordering: .relaxed) >= Self.limit
        }
        /// Whether a reader that was too far behind still is.
        public var isHalfFull: Bool {
            produced.load(ordering: .relaxed) - consumed.load(ordering: .relaxed) > Self.limit / 2
        }
        /// Whether the reader left because it had all that it wanted.
        var isSatisfied: Bool { hasEnough.load(ordering: .relaxed) }
        /// Counts an event that was handed over.
        public func produce() { produced.add(1, ordering: .relaxed) }

        func consume() {
            let wasBehind = isHalfFull
            consumed.add(1, ordering: .relaxed)
            if wasBehind, !isHalfFull { onDrain() }
        }

        func satisfy() { hasEnough.store(true, ordering: .relaxed) }
    }

    private let stream: AsyncThrowingStream<GenerationEvent, any Error>
    private let backlog: Backlog

    /// Events of `stream`, counted in `backlog` by whoever feeds it.
    public init(stream: AsyncThrowingStream<GenerationEvent, any Error>, backlog: Backlog) {
        self.stream = stream
        self.backlog = backlog
    }

    /// Takes events and counts them off.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: AsyncThrowingStream<GenerationEvent, any Error>.AsyncIterator
        let backlog: Backlog

        /// The next event, or nil at the end of all samples.
        public mutating func next() async throws -> GenerationEvent? {
            let event = try await base.next()
            if event != nil { backlog.consume() }
            return event
        }

        /// Says that what follows is not wanted, before the iterator is dropped: the answer is
        /// complete, and its request does not count as cancelled.
        public func hasEnough() { backlog.satisfy() }
    }

    /// The one iterator.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: stream.makeAsyncIterator(), backlog: backlog)
    }
}
