import ArgumentParser
import YuyanServe

/// What a request that says nothing of sampling gets.
enum SamplingDefaults: String, ExpressibleByArgument, CaseIterable {
    case model
    case plain
}

extension LogFormat: ExpressibleByArgument {}
extension ServerLog.Level: ExpressibleByArgument {}

/// Where the server listens, whom it lets in and how much it bears.
struct ServerOptions: ParsableArguments {
    @Option(help: "Name or address to listen on; 0.0.0.0 for all of this machine's.")
    var host = "127.0.0.1"
    @Option(help: "Port to listen on; 0 for a free one.")
    var port = 8080
    @Option(
        help: "Key that requests must show; may be repeated. YUYAN_API_KEY adds one, out of sight.")
    var apiKey: [String] = []
    @Flag(help: "Let /metrics be read without a key, for scrapers that cannot send one.")
    var publicMetrics = false
    @Option(
        help: """
            Address of a proxy whose X-Forwarded-For names the client, for fair queueing; may be \
            repeated.
            """)
    var trustedProxy: [String] = []
    @Option(help: "Origin whose pages may call the API, or *; may be repeated.")
    var cors: [String] = []
    @Option(help: "PEM file of the certificate chain; with --tls-key the server speaks HTTPS.")
    var tlsCert: String?
    @Option(help: "PEM file of the certificate's private key.")
    var tlsKey: String?
    @Option(help: "Largest body of a request.")
    var maxBody = ByteSize(bytes: 16 << 20)
    @Option(help: "Most connections; others wait.")
    var maxConnections = 1024
    @Option(help: "Seconds that a request may take in all.")
    var requestTimeout = 600.0
    @Option(help: "Seconds a connection may be silent between requests or leave answers unread.")
    var idleTimeout = 75.0
    @Option(help: "Seconds that running requests may take after SIGTERM.")
    var drainTimeout = 30.0
    @Option(help: "text, or json for one object a line; on stderr.")
    var logFormat = LogFormat.text
    @Option(help: "Least important level to log: trace, debug, info, warning or error.")
    var logLevel = ServerLog.Level.info
    @Option(
        help: """
            How answers are sampled where a request does not say: model (generation_config.json, or \
            general.sampling.* of GGUF) or plain (temperature 1, nothing cut).
            """)
    var samplingDefaults = SamplingDefaults.model
    @Flag(help: "Log the text of requests and answers too; without it, never.")
    var logPrompts = false

    func validate() throws {
        guard (0...65535).contains(port) else {
            throw ValidationError("--port is \(port); use 0 to 65535.")
        }
        guard (1...100_000).contains(maxConnections) else {
            throw ValidationError("--max-connections is \(maxConnections); use 1 to 100000.")
        }
        guard maxBody.bytes <= 1 << 30 else {
            throw ValidationError("--max-body is \(maxBody); use at most 1GiB.")
        }
        for (name, value) in [
            ("--request-timeout", requestTimeout), ("--idle-timeout", idleTimeout),
            ("--drain-timeout", drainTimeout),
        ] where !(0.001...1e7).contains(value) {
            throw ValidationError("\(name) is \(value); use 0.001 to 10000000 seconds.")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("\(ServerError.halfTLS)")
        }
        guard apiKey.allSatisfy({ !$0.isEmpty }) else {
            throw ValidationError("--api-key is empty; leave it out to let everybody in.")
        }
        for origin in cors where origin != "*" && !origin.contains("://") {
            throw ValidationError(
                "--cors \(origin); expected an origin such as https://app.example, or *.")
        }
    }

    /// What curl sends so that it is let in: without a key nothing; a key itself is never shown.
    func keyHeader(environmentKey: String?) -> String {
        if !apiKey.isEmpty { return " -H 'authorization: Bearer KEY'" }
        guard let environmentKey, !environmentKey.isEmpty else { return "" }
        return " -H \"authorization: Bearer $YUYAN_API_KEY\""
    }

    /// The server's configuration; `environmentKey` is what YUYAN_API_KEY holds.
    func configuration(environmentKey: String?) -> ServerConfiguration {
        var result = ServerConfiguration()
        result.host = host
        result.port = port
        result.apiKeys = apiKey
        if let environmentKey, !environmentKey.isEmpty { result.apiKeys.append(environmentKey) }
        result.hasPublicMetrics = publicMetrics
        result.trustedProxies = trustedProxy
        result.corsOrigins = cors
        result.tlsCertificate = tlsCert
        result.tlsKey = tlsKey
        result.maxBodyBytes = maxBody.bytes
        result.maxHeldBodyBytes = max(result.maxHeldBodyBytes, maxBody.bytes)
        result.maxConnections = maxConnections
        result.requestTimeout = .seconds(requestTimeout)
        result.idleTimeout = .seconds(idleTimeout)
        result.bodyTimeout = min(.seconds(requestTimeout), result.bodyTimeout)
        result.drainTimeout = .seconds(drainTimeout)
        result.logPrompts = logPrompts
        result.version = Yuyan.configuration.version
        return result
    }
}
