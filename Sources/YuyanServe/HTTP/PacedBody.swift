import NIOCore
import NIOHTTP1

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes a body no faster than its connection takes it, counted in bytes.
///
/// A channel's writer stops its callers once the channel is not writable, but it learns of that from
/// the event loop: what callers write before the loop gets to run is queued without limit. So after
/// every `unseenBytes` the caller waits for the loop. A slow reader then holds no more than these,
/// the channel's high watermark, and `unsentBytes` in the system's send buffer.
struct PacedBody {
    /// Bytes that may be on their way to the event loop.
    static let unseenBytes = 64 << 10
    /// Bytes that the system may hold before it has sent them; it would take megabytes.
    static let unsentBytes = 128 << 10

    private let outbound: Exchange.Outbound
    private let eventLoop: any EventLoop
    private var unseen = 0

    /// A body after its head; `eventLoop` is the connection's.
    init(_ outbound: Exchange.Outbound, eventLoop: any EventLoop) {
        self.outbound = outbound
        self.eventLoop = eventLoop
    }

    /// Returns when there is room for more.
    ///
    /// - Throws: If the connection breaks or the task is cancelled.
    mutating func write(_ bytes: some Collection<UInt8>) async throws {
        try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: bytes))))
        unseen += bytes.count
        guard unseen >= Self.unseenBytes else { return }
        unseen = 0
        // Tasks of a loop run in order: the pieces are the channel's now, and so is its judgement.
        try await eventLoop.submit {}.get()
    }

    /// Has the system call a socket writable only while it holds few bytes that it has not sent;
    /// what is sent and not acknowledged does not count, so that long distances stay fast.
    static func limitUnsentBytes(of channel: any Channel) throws {
        guard channel.remoteAddress?.protocol != .unix else { return }
        try channel.syncOptions?.setOption(
            .tcpOption(NIOBSDSocket.Option(rawValue: TCP_NOTSENT_LOWAT)),
            value: SocketOptionValue(unsentBytes))
    }
}
