extension Service: RequestHandler {
    public var routes: [ServiceRoute] { Self.routes }
    public var openAPI: [UInt8]? { nil }
}
