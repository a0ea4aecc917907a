extension Service: RequestHandler {
    /// The service's own list.
    public var routes: [ServiceRoute] { Self.routes }
    /// The document for this service's limits, model and present adapters.
    public var openAPI: [UInt8]? {
        let names = [text.modelID] + text.aliases + (adapters?.registered.map(\.name) ?? [])
        return Array(OpenAPI.document(of: tables, models: names).utf8)
    }
}
