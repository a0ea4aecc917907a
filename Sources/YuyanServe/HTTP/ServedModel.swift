import YuyanEngine

/// What answers requests once they are read, checked and let in.
public protocol RequestHandler: Sendable {
    /// The answer to a request of one of `routes`; faults become answers too.
    func respond(to request: ServiceRequest) async -> ServiceResponse
    /// Everything that `respond` answers.
    var routes: [ServiceRoute] { get }
    /// `/openapi.json`; nil if there is none.
    var openAPI: [UInt8]? { get }
}

/// A model that is loaded and ready to answer.
public struct ServedModel: Sendable {
    /// Answers the API's requests.
    public let handler: any RequestHandler
    /// The engine behind it, for statistics and draining.
    public let engine: any InferenceEngine
    /// The model's name in the API.
    public let modelID: String

    /// A model with its handler and engine.
    public init(handler: any RequestHandler, engine: any InferenceEngine, modelID: String) {
        self.handler = handler
        self.engine = engine
        self.modelID = modelID
    }
}
