extension Service: RequestHandler {
    /// The service's own list.
    public var routes: [ServiceRoute] { Self.routes }
    /// The document for this service's limits.
    public var openAPI: [UInt8]? { Array(OpenAPI.document(for: configuration).utf8) }
}
