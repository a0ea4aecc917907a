import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// A connection with its byte stream turned into requests, for Hummingbird's server.
struct ConnectionValue: ServerChildChannelValue {
    let requests: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    let connection: Connection
    var channel: any Channel { requests.channel }
}

/// Sets up connections and answers their requests, one after the other.
struct ConnectionChannel: ServerChildChannel {
    typealias Value = ConnectionValue
    typealias Inbound = NIOAsyncChannelInboundStream<HTTPServerRequestPart>
    typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    let core: ServerCore

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<ConnectionValue> {
        channel.eventLoop.makeCompletedFuture {
            let configuration = core.configuration
            try PacedBody.limitUnsentBytes(of: channel)
            let pipeline = channel.pipeline.syncOperations
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = configuration.maxHeaderBytes
            limits.maxHeaderListSize = configuration.maxHeaderBytes
            limits.maxHeaderFieldCount = configuration.maxHeaders
            // No pipelining help: the connection's one task reads a request after it has answered
            // the one before.
            try pipeline.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withErrorHandling: false,
                withOutboundHeaderValidation: true, withEncoderConfiguration: .init(),
                withDecoderLimitConfiguration: limits)
            let connection = Connection(channel)
            try pipeline.addHandler(
                ConnectionHandler(connection: connection, configuration: configuration))
            return ConnectionValue(
                requests: try NIOAsyncChannel(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true)),
                connection: connection)
        }
    }

    func handle(value: ConnectionValue, logger: Logger) async {
        core.opened(value.connection)
        defer { core.closed(value.connection) }
        do {
            try await value.requests.executeThenClose { inbound, outbound in
                try await serve(inbound, outbound, value.connection)
            }
        } catch {
            // The connection broke; whatever ran for it was told by its handler.
            core.logger.trace("connection ended: \(error)")
        }
    }

    private func serve(
        _ inbound: Inbound, _ outbound: Outbound, _ connection: Connection
    ) async throws {
        var parts = inbound.makeAsyncIterator()
        var keepsAlive = true
        while keepsAlive {
            let part: HTTPServerRequestPart?
            do { part = try await parts.next() } catch {
                guard let fault = transportError(error) else { throw error }
                let exchange = Exchange(core: core, connection: connection, head: nil)
                try await exchange.refuse(fault, outbound)
                break
            }
            guard let part else { return }
            // What is left of a body whose answer came early is not read as a request.
            guard case .head(let head) = part else { break }
            let exchange = Exchange(core: core, connection: connection, head: head)
            keepsAlive = try await exchange.run(&parts, outbound)
        }
        try await linger(&parts, outbound, connection)
    }

    /// Lets the client read the answer before the connection closes: bytes that arrive at a closed
    /// socket would make the system throw the answer away.
    private func linger(
        _ parts: inout Inbound.AsyncIterator, _ outbound: Outbound, _ connection: Connection
    ) async throws {
        outbound.finish()
        let channel = connection.channel
        let limit = TimeAmount(min(core.configuration.idleTimeout, .seconds(5)))
        let timer = channel.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
        defer { timer.cancel() }
        do { while try await parts.next() != nil {} } catch {}
        try await channel.closeFuture.get()
    }

    private func transportError(_ error: any Error) -> TransportError? {
        switch error {
        case HTTPParserError.headerOverflow:
            .headersTooLarge(limit: core.configuration.maxHeaderBytes)
        case let error as HTTPParserError: .malformed("\(error)")
        case let error as TransportError: error
        default: nil
        }
    }
}
