import HummingbirdCore
import NIOCore
import NIOHTTP1

/// Watches one connection from its event loop: who went away, who is too slow, who waits too long.
///
/// - A client that closes its side is gone: its request is cancelled.
/// - Between requests, and while headers arrive, `idleTimeout` runs; `bodyTimeout` while a body does.
/// - Bytes that the client does not take within `idleTimeout` close the connection. What waits here
///   is at most the channel's high watermark, because writers wait until the channel is writable.
/// - A silent event stream gets a comment every `pingInterval`.
/// - Clients of HTTP/1.0 get their answer without chunks and a closed connection.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let connection: Connection
    private let configuration: ServerConfiguration
    private var readDeadline: Scheduled<Void>?
    private var writeDeadline: Scheduled<Void>?
    private var ping: Scheduled<Void>?
    private var lastWrite = NIODeadline.now()
    /// Versions of the requests whose answers have not ended, oldest first.
    private var versions: [HTTPVersion] = []
    private var isQuiescing = false

    init(connection: Connection, configuration: ServerConfiguration) {
        self.connection = connection
        self.configuration = configuration
    }

    func handlerAdded(context: ChannelHandlerContext) { waitForRequest(context) }

    func channelInactive(context: ChannelHandlerContext) {
        cancelTimers()
        connection.close()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(var head):
            let keepsAlive = head.isKeepAlive
            versions.append(head.version)
            if !keepsAlive { head.headers.replaceOrAdd(name: "connection", value: "close") }
            readDeadline?.cancel()
            readDeadline = schedule(configuration.bodyTimeout, context) { handler, context in
                context.fireErrorCaught(
                    TransportError.bodyTimeout(handler.configuration.bodyTimeout))
            }
            context.fireChannelRead(wrapInboundOut(.head(head)))
        case .body: context.fireChannelRead(data)
        case .end:
            readDeadline?.cancel()
            readDeadline = nil
            context.fireChannelRead(data)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        lastWrite = .now()
        switch unwrapOutboundIn(data) {
        case .head(var head):
            guard head.status.code >= 200 else { return context.write(data, promise: promise) }
            if versions.first == .http1_0 { head.version = .http1_0 }
            if head.headers.first(name: "content-type") == "text/event-stream" {
                schedulePing(after: configuration.pingInterval, context)
            }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            ping?.cancel()
            ping = nil
            context.write(data, promise: promise)
            if !versions.isEmpty { versions.removeFirst() }
            if versions.isEmpty {
                if isQuiescing {
                    context.flush()
                    context.close(mode: .output, promise: nil)
                }
                waitForRequest(context)
            }
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writeDeadline?.cancel()
        writeDeadline = nil
        if !context.channel.isWritable {
            writeDeadline = schedule(configuration.idleTimeout, context) { handler, context in
                handler.connection.close()
                context.close(promise: nil)
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: connection.close()
        case is ChannelShouldQuiesceEvent:
            isQuiescing = true
            if versions.isEmpty { context.close(promise: nil) }
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: Timers

    private func waitForRequest(_ context: ChannelHandlerContext) {
        readDeadline?.cancel()
        readDeadline = schedule(configuration.idleTimeout, context) { _, context in
            context.close(promise: nil)
        }
    }

    private func schedulePing(after pause: Duration, _ context: ChannelHandlerContext) {
        ping = schedule(pause, context) { handler, context in
            let interval = handler.configuration.pingInterval
            let silent = Duration.nanoseconds((NIODeadline.now() - handler.lastWrite).nanoseconds)
            guard silent >= interval else {
                return handler.schedulePing(after: interval - silent, context)
            }
            if context.channel.isWritable {
                let comment = context.channel.allocator.buffer(string: ": ping\n\n")
                handler.lastWrite = .now()
                context.writeAndFlush(
                    handler.wrapOutboundOut(.body(.byteBuffer(comment))), promise: nil)
            }
            handler.schedulePing(after: interval, context)
        }
    }

    private func schedule(
        _ pause: Duration, _ context: ChannelHandlerContext,
        _ action: @escaping (ConnectionHandler, ChannelHandlerContext) -> Void
    ) -> Scheduled<Void> {
        context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(pause)) {
            action(self, context)
        }
    }

    private func cancelTimers() {
        readDeadline?.cancel()
        writeDeadline?.cancel()
        ping?.cancel()
    }
}

@available(*, unavailable)
extension ConnectionHandler: Sendable {}
