import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads a server's certificate and key, so that a bad file is found before the socket opens.
enum TLSFiles {
    /// The TLS settings of a configuration, or nil if it wants none.
    ///
    /// - Throws: `ServerError` naming the file.
    static func configuration(_ configuration: ServerConfiguration) throws -> TLSConfiguration? {
        guard configuration.tlsCertificate != nil || configuration.tlsKey != nil else { return nil }
        guard let certificate = configuration.tlsCertificate, let key = configuration.tlsKey else {
            throw ServerError.halfTLS
        }
        let chain = try reading(certificate) { try NIOSSLCertificate.fromPEMFile(certificate) }
        guard !chain.isEmpty else {
            throw ServerError.tls(file: certificate, cause: "holds no certificate")
        }
        let secret = try reading(key) { try NIOSSLPrivateKey(file: key, format: .pem) }
        var result = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(secret))
        result.minimumTLSVersion = .tlsv12
        result.applicationProtocols = ["http/1.1"]
        do {
            // A key that does not belong to the certificate shows only here.
            _ = try NIOSSLContext(configuration: result)
        } catch {
            throw ServerError.tls(file: key, cause: "does not fit \(certificate) (\(error))")
        }
        return result
    }

    private static func reading<Value>(_ file: String, _ body: () throws -> Value) throws -> Value {
        guard access(file, R_OK) == 0 else {
            throw ServerError.tls(file: file, cause: String(cString: strerror(errno)))
        }
        do { return try body() } catch {
            throw ServerError.tls(file: file, cause: "cannot be read (\(error))")
        }
    }
}
