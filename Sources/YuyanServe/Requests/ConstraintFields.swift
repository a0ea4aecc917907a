import YuyanConstraints
import YuyanFormats

/// The fields that say what an answer must look like, in the dialects of OpenAI, vLLM, llama.cpp.
enum ConstraintFields {
    /// The fields that ask for a form of the answer, of which a request may have one.
    static let names = [
        "response_format", "json_schema", "grammar", "guided_json", "guided_regex",
        "guided_choice", "guided_grammar", "regex", "ebnf", "structured_outputs",
    ]

    static func table(_ limits: ServiceConfiguration) -> [Field] {
        let text = FieldKind.string(maxBytes: limits.maxSchemaBytes)
        let schema = FieldKind.either([.freeObject, .boolean])
        let written = FieldKind.either([.freeObject, .boolean, text])
        let choices = FieldKind.list(.string(maxBytes: 4096), count: 1...1024)
        return [
            Field(
                "response_format",
                .object([
                    Field(
                        "type", .choice(["text", "json_object", "json_schema"]), required: true),
                    Field(
                        "json_schema",
                        .object([
                            Field("name", .name), Field("schema", schema),
                            Field("description", .text), Field("strict", .boolean),
                        ])),
                    Field("schema", schema),
                ])),
            Field("json_schema", written), Field("grammar", text),
            Field("guided_json", written), Field("guided_regex", text),
            Field("guided_choice", choices), Field("guided_grammar", text),
            Field("regex", text), Field("ebnf", text),
            Field(
                "structured_outputs",
                .object([
                    Field("json", written), Field("regex", text), Field("choice", choices),
                    Field("grammar", text), Field("json_object", .boolean),
                    Field(
                        "structural_tag",
                        .refused("is not supported; use 'tools', or 'grammar'")),
                ])),
        ]
    }

    /// The constraint of a body with the field that asks for it, or nil for free text.
    ///
    /// - Throws: `.field` if two fields ask for different things.
    static func constraint(
        _ body: RequestBody, _ limits: ServiceConfiguration
    ) throws(RequestError) -> FieldConstraint? {
        var found: [FieldConstraint] = []
        if let format = body["response_format"] {
            if let one = try responseFormat(format) { found.append(one) }
        }
        for name in ["json_schema", "guided_json"] {
            if let value = body[name] {
                found.append(FieldConstraint(param: name, source: try schema(value, name)))
            }
        }
        for name in ["grammar", "guided_grammar", "ebnf"] {
            if let text = body.string(name), !text.isEmpty {
                found.append(FieldConstraint(param: name, source: .gbnf(text)))
            }
        }
        for name in ["regex", "guided_regex"] {
            if let text = body.string(name) {
                found.append(FieldConstraint(param: name, source: .regex(text)))
            }
        }
        if let choices = body.strings("guided_choice") {
            found.append(FieldConstraint(param: "guided_choice", source: .choice(choices)))
        }
        if let outputs = body["structured_outputs"] {
            found += try structured(outputs)
        }
        guard found.count <= 1 else {
            throw .field(
                param: found[1].param,
                message: "asks for a form of the answer, as '\(found[0].param)' does; use one")
        }
        return found.first
    }

    private static func responseFormat(
        _ format: JSONCursor
    ) throws(RequestError) -> FieldConstraint? {
        let inner = format["json_schema"]?["schema"] ?? format["schema"]
        switch format["type"]?.string {
        case "json_object":
            // llama.cpp takes a schema here too.
            guard let schema = format["schema"], !schema.isNull else {
                return FieldConstraint(param: "response_format", source: .jsonObject)
            }
            return FieldConstraint(
                param: "response_format.schema", source: .jsonSchema(schema))
        case "json_schema":
            guard let inner, !inner.isNull else {
                throw .field(
                    param: "response_format.json_schema.schema",
                    message: "is missing; expected a JSON schema")
            }
            return FieldConstraint(
                param: "response_format.json_schema.schema", source: .jsonSchema(inner))
        default: return nil
        }
    }

    private static func structured(
        _ outputs: JSONCursor
    ) throws(RequestError) -> [FieldConstraint] {
        var found: [FieldConstraint] = []
        func add(_ name: String, _ source: ConstraintSource) {
            found.append(FieldConstraint(param: "structured_outputs.\(name)", source: source))
        }
        for (key, value) in outputs.entries ?? [] where !value.isNull {
            switch key {
            case "json": add(key, try schema(value, "structured_outputs.json"))
            case "regex": add(key, .regex(value.string ?? ""))
            case "choice": add(key, .choice((value.array ?? nil)?.compactMap(\.string) ?? []))
            case "grammar": add(key, .gbnf(value.string ?? ""))
            case "json_object": if value.bool == true { add(key, .jsonObject) }
            default: break
            }
        }
        return found
    }

    /// A schema given as JSON, or as a text that holds JSON.
    private static func schema(
        _ value: JSONCursor, _ param: String
    ) throws(RequestError) -> ConstraintSource {
        guard let text = value.string else { return .jsonSchema(value) }
        do throws(FormatError) {
            return .jsonSchema(try JSONDocument(bytes: Array(text.utf8), name: param).root)
        } catch {
            throw .field(param: param, message: "holds no JSON: \(error)")
        }
    }
}

/// A constraint and the field that asked for it, which errors of compiling name.
struct FieldConstraint: Sendable {
    var param: String
    var source: ConstraintSource
}
