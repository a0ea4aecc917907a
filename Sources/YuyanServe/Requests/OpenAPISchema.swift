import YuyanFormats

extension FieldKind {
    /// The kind as a JSON schema of OpenAPI 3.1.
    var schema: JSONOutput {
        switch self {
        case .anything: return [:]
        case .boolean: return ["type": "boolean"]
        case .integer(let range):
            if range.lowerBound == .min, range.upperBound == .max {
                return ["type": "integer", "format": "int64"]
            }
            return [
                "type": "integer", "minimum": .integer(range.lowerBound),
                "maximum": .integer(range.upperBound),
            ]
        case .number(let range):
            return [
                "type": "number", "minimum": .double(range.lowerBound),
                "maximum": .double(range.upperBound),
            ]
        case .string(let maxBytes):
            return ["type": "string", "maxLength": .integer(maxBytes)]
        case .choice(let names):
            return ["type": "string", "enum": .array(names.map { .string($0) })]
        case .list(let kind, let count):
            return [
                "type": "array", "items": kind.schema, "minItems": .integer(count.lowerBound),
                "maxItems": .integer(count.upperBound),
            ]
        case .map(let kind, let maxCount):
            return [
                "type": "object", "additionalProperties": kind.schema,
                "maxProperties": .integer(maxCount),
            ]
        case .either(let kinds): return ["anyOf": .array(kinds.map(\.schema))]
        case .object(let fields): return Self.schema(of: fields)
        }
    }

    /// The schema of an object with these fields; all but the required ones may be null.
    static func schema(of fields: [Field]) -> JSONOutput {
        let properties = fields.map { field in
            let schema = field.kind.schema
            if field.isRequired { return (key: field.name, value: schema) }
            if case .anything = field.kind { return (key: field.name, value: schema) }
            return (key: field.name, value: ["anyOf": [schema, ["type": "null"]]])
        }
        let required = fields.filter(\.isRequired).map { JSONOutput.string($0.name) }
        return .fields([
            ("type", "object"), ("properties", .object(properties)),
            ("required", required.isEmpty ? nil : .array(required)),
        ])
    }
}
