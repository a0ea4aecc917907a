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
        case .above(let least, let most):
            return [
                "type": "number", "exclusiveMinimum": .double(least), "maximum": .double(most),
            ]
        case .string(let minBytes, let maxBytes):
            // The length counts characters, of which there are no more than bytes.
            return [
                "type": "string", "minLength": .integer(min(minBytes, 1)),
                "maxLength": .integer(maxBytes),
            ]
        case .model: return ["$ref": "#/components/schemas/Model"]
        case .never: return ["const": .bool(false)]
        case .refused: return .bool(false)
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
        case .tokens(let kind, let limit, let maxCount):
            return [
                "type": "object", "additionalProperties": kind.schema,
                "propertyNames": ["pattern": .string("^(\(Self.digits(below: limit)))$")],
                "maxProperties": .integer(maxCount),
            ]
        case .variants(let tag, let isRequired, let variants):
            return [
                "anyOf": .array(
                    variants.enumerated().map { place, variant in
                        let name = Field(
                            tag, .choice(variant.names), required: isRequired || place > 0)
                        return Self.schema(of: [name] + variant.fields)
                    })
            ]
        case .either(let kinds): return ["anyOf": .array(kinds.map(\.schema))]
        case .object(let fields): return Self.schema(of: fields)
        }
    }

    /// The schema of an object with these fields; all but the required ones may be null.
    static func schema(of fields: [Field]) -> JSONOutput {
        let properties = fields.filter(\.isPublished).map { field in
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

    /// The schema of an object of which at most one of the fields `forms` may be given.
    static func schema(of fields: [Field], atMostOneOf forms: [String]) -> JSONOutput {
        guard !forms.isEmpty, case .object(let entries) = schema(of: fields) else {
            return schema(of: fields)
        }
        let choices = [nil] + forms.map(Optional.some)
        let branches = choices.map { chosen -> JSONOutput in
            let absent = forms.filter { $0 != chosen }.map { (key: $0, value: nothing) }
            return .fields([
                ("properties", .object(absent)),
                ("required", chosen.map { .array([.string($0)]) }),
            ])
        }
        return .object(entries + [(key: "anyOf", value: .array(branches))])
    }

    private static let nothing: JSONOutput = ["type": "null"]

    /// A regular expression for the decimal numbers from 0 to `limit - 1`.
    static func digits(below limit: Int) -> String {
        let last = Array(String(max(0, limit - 1)))
        // Shorter numbers; then those of the same length by the first digit in which they differ.
        var forms = ["0"]
        if last.count > 1 { forms.append("[1-9][0-9]{0,\(last.count - 2)}") }
        for (place, digit) in last.enumerated() {
            let least = place == 0 ? 1 : 0
            guard let value = digit.wholeNumberValue, value > least else { continue }
            let rest = last.count - place - 1
            forms.append(
                String(last[..<place]) + "[\(least)-\(value - 1)]"
                    + (rest > 0 ? "[0-9]{\(rest)}" : ""))
        }
        if limit > 1 { forms.append(String(last)) }
        return forms.joined(separator: "|")
    }
}
