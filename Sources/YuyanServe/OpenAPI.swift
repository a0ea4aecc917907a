import YuyanFormats

/// The description of the service that `/openapi.json` publishes.
enum OpenAPI {
    /// An OpenAPI 3.1 document of all routes, whose requests may name one of `models`.
    ///
    /// Requests are described by the very tables that check them.
    static func document(of tables: FieldTables, models: [String]) -> String {
        let posts: [(String, String, [Field], isStream: Bool)] = [
            ("/v1/chat/completions", "Answer a conversation", tables.chat, true),
            ("/v1/completions", "Continue a text", tables.completions, true),
            ("/v1/embeddings", "Turn texts into vectors", tables.embeddings, false),
            ("/v1/score", "Score texts with a reward model", tables.score, false),
            ("/v1/responses", "Answer a conversation, as items", tables.responses, true),
            ("/v1/messages", "Answer a conversation, as Anthropic does", tables.messages, true),
            (
                "/v1/messages/count_tokens", "Count a conversation's tokens", tables.countTokens,
                false
            ),
            ("/tokenize", "Turn text into tokens", tables.tokenize, false),
            ("/detokenize", "Turn tokens into text", tables.detokenize, false),
            ("/apply-template", "Render a conversation as text", tables.template, false),
            ("/v1/load_lora_adapter", "Load an adapter", tables.loadAdapter, false),
            ("/v1/unload_lora_adapter", "Forget an adapter", tables.unloadAdapter, false),
        ]
        var paths: [(key: String, value: JSONOutput)] = posts.map {
            path, summary, fields, isStream in
            (path, ["post": post(path, summary, fields, isStream: isStream)])
        }
        for (path, summary) in gets { paths.append((path, ["get": get(path, summary)])) }
        let document: JSONOutput = [
            "openapi": "3.1.0",
            "info": [
                "title": "Yuyan", "version": "1",
                "description": "An inference server with the interfaces of OpenAI and Anthropic.",
            ],
            "paths": .object(paths),
            "components": [
                "schemas": [
                    "Error": errorSchema, "AnthropicError": anthropicErrorSchema,
                    "Model": ["type": "string", "enum": .array(models.map { .string($0) })],
                ],
                "securitySchemes": [
                    "bearer": ["type": "http", "scheme": "bearer"],
                    "header": ["type": "apiKey", "in": "header", "name": "x-api-key"],
                ],
            ],
            "security": [[:], ["bearer": []], ["header": []]],
        ]
        return document.description
    }

    private static let gets = [
        ("/v1/models", "List the model and its adapters"),
        ("/v1/models/{id}", "Describe a model or an adapter"),
        ("/lora-adapters", "List the adapters"), ("/health", "Whether the server can answer"),
        ("/engine", "What the engine is doing: blocks, sequences, queue, rates"),
        ("/version", "The program's name and version"),
        ("/metrics", "Counters for Prometheus"), ("/openapi.json", "This document"),
        ("/", "A page to talk with the model"),
    ]

    private static func post(
        _ path: String, _ summary: String, _ fields: [Field], isStream: Bool
    ) -> JSONOutput {
        var content: [(key: String, value: JSONOutput)] = []
        if path.hasSuffix("lora_adapter") {
            content.append(("text/plain", ["schema": ["type": "string"]]))
        } else {
            content.append(("application/json", ["schema": ["type": "object"]]))
        }
        if isStream { content.append(("text/event-stream", ["schema": ["type": "string"]])) }
        return [
            "summary": .string(summary),
            "operationId": .string(operation("post", path)),
            "requestBody": [
                "required": true,
                "content": ["application/json": ["schema": schema(path, fields)]],
            ],
            "responses": responses(
                .object(content), errors: [400, 401, 404, 405, 408, 413, 415, 429, 431, 500, 503],
                isAnthropic: path.hasPrefix("/v1/messages")),
        ]
    }

    private static func schema(_ path: String, _ fields: [Field]) -> JSONOutput {
        if path == "/tokenize", case .object(let entries) = FieldKind.schema(of: fields) {
            let texts = ["content", "prompt", "messages"].map { name in
                JSONOutput.object([
                    (key: "required", value: [.string(name)]),
                    (key: "properties", value: .object([(key: name, value: notNull)])),
                ])
            }
            return .object(entries + [(key: "anyOf", value: .array(texts))])
        }
        let names = Set(fields.map(\.name))
        return FieldKind.schema(
            of: fields, atMostOneOf: ConstraintFields.names.filter(names.contains))
    }

    private static let notNull: JSONOutput = ["type": ["string", "array"]]

    private static func get(_ path: String, _ summary: String) -> JSONOutput {
        let type =
            switch path {
            case "/": "text/html"
            case "/metrics": "text/plain"
            default: "application/json"
            }
        var fields: [(String, JSONOutput?)] = [
            ("summary", .string(summary)), ("operationId", .string(operation("get", path))),
        ]
        if path.hasSuffix("{id}") {
            fields.append(
                (
                    "parameters",
                    [["name": "id", "in": "path", "required": true, "schema": ["type": "string"]]]
                ))
        }
        fields.append(
            (
                "responses",
                responses(
                    .object([(type, .object([("schema", .object([]))]))]),
                    errors: [400, 401, 404, 405, 429, 431, 500, 503],
                    isAnthropic: false)
            ))
        return .fields(fields)
    }

    private static func responses(
        _ content: JSONOutput, errors: [Int], isAnthropic: Bool
    ) -> JSONOutput {
        let schema: JSONOutput = [
            "$ref": .string("#/components/schemas/\(isAnthropic ? "AnthropicError" : "Error")")
        ]
        var all: [(key: String, value: JSONOutput)] = [
            ("200", ["description": "The answer", "content": content])
        ]
        for status in errors {
            all.append(
                (
                    "\(status)",
                    [
                        "description": .string(reason(status)),
                        "content": ["application/json": ["schema": schema]],
                    ]
                ))
        }
        return .object(all)
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 400: "The request is wrong; the message names the field"
        case 401: "The key is missing or wrong"
        case 404: "No such model, adapter or path"
        case 405: "No such method for this path"
        case 408: "The request did not arrive in time"
        case 413: "The body is too large"
        case 415: "The body is no JSON"
        case 429: "Too many requests wait; Retry-After says when to come back"
        case 431: "The headers are too large"
        case 503: "The server is loading or shutting down"
        default: "The server failed"
        }
    }

    private static func operation(_ method: String, _ path: String) -> String {
        let words = path.split { !$0.isLetter && !$0.isNumber }
        return ([method] + words.map(String.init)).joined(separator: "_")
    }

    private static let errorSchema: JSONOutput = [
        "type": "object", "required": ["error"],
        "properties": [
            "error": [
                "type": "object", "required": ["message", "type"],
                "properties": [
                    "message": ["type": "string"], "type": ["type": "string"],
                    "param": ["type": ["string", "null"]],
                    "code": ["type": ["string", "integer", "null"]],
                ],
            ]
        ],
    ]

    private static let anthropicErrorSchema: JSONOutput = [
        "type": "object", "required": ["type", "error"],
        "properties": [
            "type": ["const": "error"],
            "error": [
                "type": "object", "required": ["type", "message"],
                "properties": ["type": ["type": "string"], "message": ["type": "string"]],
            ],
        ],
    ]
}
