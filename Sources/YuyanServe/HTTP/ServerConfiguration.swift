/// Where a server listens, whom it lets in, and how much it bears.
public struct ServerConfiguration: Sendable {
    /// A server on this machine's own address, open to whoever reaches it.
    public init() {}

    /// Name or address to listen on.
    public var host = "127.0.0.1"
    /// Port to listen on; 0 for one that is free.
    public var port = 8080
    /// Keys of which a request must show one; none lets everybody in.
    public var apiKeys: [String] = []
    /// Whether `/metrics` needs no key.
    public var hasPublicMetrics = false
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    public var trustedProxies: [String] = []
    /// Origins whose pages may call the API; `*` for all.
    public var corsOrigins: [String] = []
    /// PEM file of the certificate chain; nil for HTTP without TLS.
    public var tlsCertificate: String?
    /// PEM file of the certificate's key; given exactly if the chain is.
    public var tlsKey: String?

    /// Most bytes of one body.
    public var maxBodyBytes = 16 << 20
    /// Most bytes of all bodies that are held at one time.
    public var maxHeldBodyBytes = 256 << 20
    /// Most bytes of a request's headers.
    public var maxHeaderBytes = 32 << 10
    /// Most headers of a request.
    public var maxHeaders = 128
    /// Most connections; others wait in the system's queue.
    public var maxConnections = 1024
    /// Threads that move bytes; they compete with those that compute.
    public var threads = 1

    /// Most time for a body to arrive.
    public var bodyTimeout = Duration.seconds(60)
    /// Most time from the first byte of a request to the last of its answer.
    public var requestTimeout = Duration.seconds(600)
    /// Most time that a connection may stay silent between requests, or leave its answer unread.
    public var idleTimeout = Duration.seconds(75)
    /// How long a stream may be silent before a comment tells the client that all is well.
    public var pingInterval = Duration.seconds(15)
    /// Most time that requests may take to end when the server stops.
    public var drainTimeout = Duration.seconds(30)

    /// Whether logs may hold prompts and answers.
    public var logPrompts = false
    /// What `/version` says.
    public var version = "0"
}

extension ServerConfiguration {
    /// Who asks: what a trusted proxy says, else whoever is connected.
    ///
    /// The last entry that is no trusted proxy itself: those before it a client can invent.
    func client(at address: String, _ headers: [(name: String, value: String)]) -> String {
        guard trustedProxies.contains(address) else { return address }
        let hops = headers.filter { $0.name == "x-forwarded-for" }
            .flatMap { $0.value.split(separator: ",") }
            .map { String($0.drop { $0 == " " }.prefix { $0 != " " }.prefix(64)) }
        return hops.last { !$0.isEmpty && !trustedProxies.contains($0) } ?? address
    }
}

/// A server that cannot start.
public enum ServerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The address is taken or not this machine's.
    case cannotListen(host: String, port: Int, cause: String)
    /// A certificate or key cannot be used.
    case tls(file: String, cause: String)
    /// Only one of the two TLS files is given.
    case halfTLS

    /// What is wrong, with the address or file, and what to try.
    public var description: String {
        switch self {
        case .cannotListen(let host, let port, let cause):
            "cannot listen on \(host):\(port): \(cause); is another server there? try another --port"
        case .tls(let file, let cause):
            "\(file): \(cause); expected a PEM file, as `openssl req -x509` writes it"
        case .halfTLS: "--tls-cert and --tls-key go together; give both or neither"
        }
    }
}
