import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

@testable import YuyanServe

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A certificate for 127.0.0.1 signed by itself, made by the system's openssl.
private struct SelfSigned {
    let folder = TemporaryFolder()
    var certificate: String { folder.path + "/cert.pem" }
    var key: String { folder.path + "/key.pem" }

    static let openssl: String? = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first { path in
        access(path, X_OK) == 0
    }

    init() throws {
        let program = try #require(Self.openssl)
        let words = [
            program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate,
        ]
        var arguments = words.map { word -> UnsafeMutablePointer<CChar>? in strdup(word) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var child = pid_t()
        try #require(posix_spawn(&child, program, &actions, nil, arguments, environ) == 0)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 { try #require(errno == EINTR) }
        try #require(status == 0)
    }
}

/// Collects what a server sends until it closes.
private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let promise: EventLoopPromise<String>
    private var text = ""
    init(_ promise: EventLoopPromise<String>) { self.promise = promise }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        text += String(buffer: unwrapInboundIn(data))
    }
    func channelInactive(context: ChannelHandlerContext) { promise.succeed(text) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A peer that closes without a farewell has still said everything.
        if case .some(.uncleanShutdown) = error as? NIOSSLError { return }
        promise.fail(error)
        context.close(promise: nil)
    }
}

@Suite("TLS", .serialized, .enabled(if: SelfSigned.openssl != nil))
struct TLSTests {
    private func connect(
        port: Int, trusting certificate: String, version: TLSVersion
    ) async throws -> (any Channel, EventLoopFuture<String>) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(certificate)
        configuration.minimumTLSVersion = version
        configuration.maximumTLSVersion = version
        let context = try NIOSSLContext(configuration: configuration)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: String.self)
        let channel = try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLClientHandler(context: context, serverHostname: "localhost"),
                        Collector(promise))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return (channel, promise.futureResult)
    }

    @Test("a client that trusts the certificate is answered", arguments: [true, false])
    func handshake(newest: Bool) async throws {
        let files = try SelfSigned()
        let (certificate, key) = (files.certificate, files.key)
        try await ScriptedServer.run {
            $0.tlsCertificate = certificate
            $0.tlsKey = key
        } _: { scripted in
            let (channel, text) = try await connect(
                port: scripted.port, trusting: certificate, version: newest ? .tlsv13 : .tlsv12)
            let request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            try await channel.writeAndFlush(ByteBuffer(string: request)).get()
            let answer = try await text.get()
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix(#"{"status": "ok"}"#))
        }
        withExtendedLifetime(files) {}
    }

    @Test("a client that goes away cancels its request through TLS too")
    func disconnect() async throws {
        let files = try SelfSigned()
        let (certificate, key) = (files.certificate, files.key)
        try await ScriptedServer.run {
            $0.tlsCertificate = certificate
            $0.tlsKey = key
        } _: { scripted in
            let (channel, _) = try await connect(
                port: scripted.port, trusting: certificate, version: .tlsv13)
            let request = "POST /wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            try await channel.writeAndFlush(ByteBuffer(string: request)).get()
            await scripted.wait("the request runs") {
                scripted.handler.running.load(ordering: .relaxed) == 1
            }
            try await channel.close().get()
            await scripted.wait("the request is cancelled") {
                scripted.handler.cancelled.load(ordering: .relaxed) == 1
            }
        }
        withExtendedLifetime(files) {}
    }

    @Test("a key of another certificate is refused with both names")
    func foreignKey() async throws {
        let (one, other) = (try SelfSigned(), try SelfSigned())
        let (certificate, key) = (one.certificate, other.key)
        await #expect {
            try await ScriptedServer.run {
                $0.tlsCertificate = certificate
                $0.tlsKey = key
            } _: { _ in
            }
        } throws: { error in
            guard case ServerError.tls(let file, let cause) = error else { return false }
            return file == key && cause.contains(certificate)
        }
        withExtendedLifetime((one, other)) {}
    }
}
