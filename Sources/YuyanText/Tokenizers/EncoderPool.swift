import Synchronization

/// Encoders that wait for their next call, so that a `Tokenizer` is `Sendable` and its caches warm.
///
/// Each call of `encode` borrows one encoder; calls from many threads borrow different ones and share
/// nothing but this short lock.
final class EncoderPool: Sendable {
    /// More idle encoders than this are freed.
    private static let limit = 16
    private let idle = Mutex<[BytePairEncoder]>([])

    /// Runs `body` with an encoder that nobody else uses.
    func withEncoder(_ body: (inout BytePairEncoder) -> Void) {
        var encoder = idle.withLock { $0.popLast() } ?? BytePairEncoder()
        body(&encoder)
        idle.withLock { if $0.count < Self.limit { $0.append(encoder) } }
    }
}
