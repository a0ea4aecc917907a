import NIOHTTP1
import YuyanEngine
import YuyanFormats

extension Exchange {
    /// What a request comes to before its body is read.
    enum Decision {
        case answer(ServiceResponse, template: String)
        case service(RequestTarget, template: String)

        /// The route's name in metrics and logs.
        var template: String {
            switch self {
            case .answer(_, let template), .service(_, let template): template
            }
        }
    }

    /// Finds the route, lets the client in or not, and answers what needs no model.
    func decide() -> Decision {
        guard let target = RequestTarget(head.uri) else {
            return refusal(.malformed("the target '\(head.uri)' is no path"), "malformed")
        }
        let method = head.method.rawValue
        let match = core.routes.match(method: method, path: target.path)
        if head.method == .OPTIONS { return options(match, target) }
        if !isPublic(match), !core.keys.isOpen {
            let candidate = APIKeys.candidate(in: headers)
            guard candidate.flatMap({ core.keys.index(of: $0) }) != nil else {
                return refusal(.unauthorized(given: candidate != nil), "unauthorized")
            }
        }
        switch match {
        case .notFound: return refusal(.notFound(path: target.path), "not found")
        case .methodNotAllowed(let allowed):
            return refusal(
                .methodNotAllowed(method, path: target.path, allowed: allowed), "wrong method")
        case .found(.service, let template): return .service(target, template: template)
        case .found(let own, let template): return .answer(answer(own), template: template)
        }
    }

    private func refusal(_ error: TransportError, _ template: String) -> Decision {
        .answer(error.response(for: head.uri), template: template)
    }

    /// The page and the probes of load balancers need no key; metrics only if they are made public.
    private func isPublic(_ match: RouteTable.Match) -> Bool {
        switch match {
        case .found(.health, _), .found(.asset, _): true
        case .found(.metrics, _): core.configuration.hasPublicMetrics
        default: false
        }
    }

    private func options(_ match: RouteTable.Match, _ target: RequestTarget) -> Decision {
        let none = ServiceResponse(status: 204, headers: [], body: .bytes([]))
        if let origin = header("origin"), header("access-control-request-method") != nil {
            guard core.crossOrigin.allows(origin) else {
                return refusal(.foreignOrigin(origin), "preflight")
            }
            var response = none
            response.headers = core.crossOrigin.preflight(headers)
            return .answer(response, template: "preflight")
        }
        switch match {
        case .methodNotAllowed(let allowed):
            var response = none
            response.headers = [(name: "allow", value: allowed.joined(separator: ", "))]
            return .answer(response, template: "options")
        case .found, .notFound:
            guard target.path != "*" else { return .answer(none, template: "options") }
            return refusal(.notFound(path: target.path), "not found")
        }
    }

    // MARK: Own routes

    private func answer(_ target: RouteTable.Target) -> ServiceResponse {
        switch target {
        case .health:
            switch core.phase {
            case .loading: TransportError.loading.response
            case .draining: TransportError.draining.response
            case .ready: json(["status": "ok"])
            }
        case .metrics: metrics()
        case .engine: engine()
        case .version: json(["name": "yuyan", "version": .string(core.configuration.version)])
        case .openAPI: openAPI()
        case .asset(let name): asset(name)
        case .service: TransportError.notFound(path: head.uri).response
        }
    }

    private func json(_ value: JSONOutput) -> ServiceResponse {
        ServiceResponse(
            status: 200,
            headers: [
                (name: "content-type", value: "application/json"),
                (name: "cache-control", value: "no-store"),
            ], body: .bytes(Array(value.description.utf8)))
    }

    private func metrics() -> ServiceResponse {
        let text = core.metrics.text(
            statistics: core.model?.engine.statistics(), modelID: core.model?.modelID ?? "",
            connections: core.connectionCount, active: core.activeCount)
        return ServiceResponse(
            status: 200,
            headers: [(name: "content-type", value: "text/plain; version=0.0.4; charset=utf-8")],
            body: .bytes(Array(text.utf8)))
    }

    private func engine() -> ServiceResponse {
        guard let model = core.model else { return TransportError.loading.response }
        let statistics = model.engine.statistics()
        let now = ContinuousClock.now
        core.throughput.note(statistics, at: now)
        return json(
            EngineSnapshot(
                statistics: statistics, rates: core.throughput.rates(at: now),
                modelID: model.modelID, contextLimit: model.engine.contextLimit,
                isDraining: core.phase == .draining, uptime: (now - core.started) / .seconds(1)
            ).json)
    }

    private func openAPI() -> ServiceResponse {
        guard let model = core.model else { return TransportError.loading.response }
        guard let bytes = model.handler.openAPI else {
            return TransportError.notFound(path: "/openapi.json").response
        }
        return ServiceResponse(
            status: 200, headers: [(name: "content-type", value: "application/json")],
            body: .bytes(bytes))
    }

    private func asset(_ name: String) -> ServiceResponse {
        guard let asset = WebAssets.all.first(where: { $0.name == name }) else {
            return TransportError.notFound(path: "/" + name).response
        }
        let headers = [
            (name: "content-type", value: asset.type),
            (name: "etag", value: asset.entityTag),
            (name: "cache-control", value: "no-cache"),
            (name: "content-security-policy", value: Self.contentSecurityPolicy),
            (name: "referrer-policy", value: "no-referrer"),
            (name: "cross-origin-opener-policy", value: "same-origin"),
            (name: "x-frame-options", value: "DENY"),
        ]
        if let known = header("if-none-match"),
            known.split(separator: ",").contains(where: { candidate in
                let tag = candidate.drop { $0 == " " }
                return tag == asset.entityTag || tag == "*" || tag == "W/" + asset.entityTag
            })
        {
            return ServiceResponse(status: 304, headers: headers, body: .bytes([]))
        }
        return ServiceResponse(
            status: 200, headers: headers, body: .bytes(Array(asset.text.utf8)))
    }

    /// Nothing but this server's own files: no inline script, no other host, no frame, no form.
    private static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        + "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
}
