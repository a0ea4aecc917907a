import YuyanFormats

/// Turns schemas into alternatives without references and combinations.
struct SchemaReader {
    let root: JSONCursor
    let limits: ConstraintLimits

    /// Keywords that change what is valid and that masks cannot enforce.
    private static let refused: [String: String] = [
        "not": "anyOf with what is allowed",
        "if": "anyOf", "then": "anyOf", "else": "anyOf",
        "dependentRequired": "anyOf", "dependentSchemas": "anyOf", "dependencies": "anyOf",
        "propertyNames": "patternProperties", "contains": "prefixItems or items",
        "minContains": "minItems", "maxContains": "maxItems",
        "unevaluatedProperties": "additionalProperties", "unevaluatedItems": "items",
        "$dynamicRef": "$ref", "$recursiveRef": "$ref",
    ]

    /// The alternatives that together say what all of some schemas say.
    func shapes(_ schemas: [SchemaReference]) throws(ConstraintError) -> [SchemaShape] {
        var shape = SchemaShape()
        shape.pointer = schemas.first?.pointer ?? "#"
        var shapes = [shape]
        for schema in schemas { shapes = try apply(schema, to: shapes, open: [], depth: 0) }
        return shapes
    }

    private func apply(
        _ schema: SchemaReference, to shapes: [SchemaShape], open: Set<String>, depth: Int
    ) throws(ConstraintError) -> [SchemaShape] {
        if let allowed = schema.cursor.bool { return allowed ? shapes : [] }
        guard let entries = schema.cursor.entries else {
            throw fault(schema, "\(schema.cursor.kind)", "an object or a boolean")
        }
        guard depth <= limits.depth else {
            throw .tooLarge(
                place: "JSON schema at \(schema.pointer)", what: "schemas in schemas",
                limit: limits.depth)
        }
        guard !open.contains(schema.pointer) else {
            throw .unsatisfiable(
                place: "JSON schema at \(schema.pointer), which refers to itself without a step")
        }
        let open = open.union([schema.pointer])
        // Of equal keys the last counts, as in JSON.
        var last: [String: JSONCursor] = [:]
        for (key, value) in entries { last[key] = value }
        var shapes = shapes
        for index in shapes.indices { try assertions(schema, last, &shapes[index]) }
        for (key, value) in last.sorted(by: { $0.key < $1.key }) {
            switch key {
            case "$ref":
                let target = try resolve(value, schema)
                shapes = try apply(target, to: shapes, open: open, depth: depth + 1)
            case "allOf":
                for part in try list(value, key, schema) {
                    shapes = try apply(part, to: shapes, open: open, depth: depth + 1)
                }
            case "anyOf", "oneOf":
                let branches = try list(value, key, schema)
                if key == "oneOf" { try SchemaDisjointness(reader: self).check(branches, schema) }
                var combined: [SchemaShape] = []
                for branch in branches {
                    combined += try apply(branch, to: shapes, open: open, depth: depth + 1)
                    guard combined.count <= limits.alternatives else {
                        throw .tooLarge(
                            place: "JSON schema at \(schema.pointer)", what: "alternatives",
                            limit: limits.alternatives)
                    }
                }
                shapes = combined
            default: break
            }
        }
        return shapes
    }

    func fault(
        _ schema: SchemaReference, _ found: String, _ supported: String
    ) -> ConstraintError {
        .schema(pointer: schema.pointer, found: found, supported: supported)
    }

    /// The schemas of a keyword that holds several.
    func list(
        _ value: JSONCursor, _ key: String, _ schema: SchemaReference
    ) throws(ConstraintError) -> [SchemaReference] {
        guard let elements = value.array, value.count > 0 else {
            throw fault(schema, "\(key): \(value.kind)", "an array of schemas, not empty")
        }
        return elements.enumerated().map { schema.element($0.offset, of: key, $0.element) }
    }

    /// The schema that a reference names: a JSON pointer in the same document.
    func resolve(
        _ value: JSONCursor, _ schema: SchemaReference
    ) throws(ConstraintError) -> SchemaReference {
        guard let text = value.string else {
            throw fault(schema, "$ref: \(value.kind)", "a string")
        }
        guard text == "#" || text.hasPrefix("#/") else {
            throw fault(schema, "$ref '\(text)'", "references into the same schema, '#/...'")
        }
        var cursor = root
        for part in text.split(separator: "/").dropFirst() {
            let key = Self.unescaped(part)
            let next = cursor[key] ?? Int(key).flatMap { cursor[$0] }
            guard let next else {
                throw fault(schema, "$ref '\(text)' to nothing", "references to what exists")
            }
            cursor = next
        }
        return SchemaReference(cursor: cursor, pointer: text)
    }

    private static func unescaped(_ part: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(part.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                rest = rest.dropFirst(2)
                bytes.append(value)
            } else if byte == UInt8(ascii: "~"), let next = rest.first,
                next == UInt8(ascii: "0") || next == UInt8(ascii: "1")
            {
                rest = rest.dropFirst()
                bytes.append(next == UInt8(ascii: "0") ? UInt8(ascii: "~") : UInt8(ascii: "/"))
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Keywords

    /// Adds what a schema says by itself.
    private func assertions(
        _ schema: SchemaReference, _ keywords: [String: JSONCursor], _ shape: inout SchemaShape
    ) throws(ConstraintError) {
        for (key, hint) in Self.refused where keywords[key] != nil {
            throw fault(schema, "'\(key)'", hint)
        }
        if let unique = keywords["uniqueItems"], unique.bool != false {
            throw fault(schema, "'uniqueItems'", "arrays whose elements may be equal")
        }
        if let types = keywords["type"] {
            var isNullable: SchemaTypes = []
            if keywords["nullable"]?.bool == true { isNullable = .null }
            shape.types.formIntersection(try self.types(types, schema).union(isNullable))
        }
        if let values = keywords["enum"] {
            guard let elements = values.array, values.count > 0 else {
                throw fault(schema, "enum: \(values.kind)", "an array, not empty")
            }
            restrict(&shape, to: Array(elements))
        }
        if let value = keywords["const"] { restrict(&shape, to: [value]) }
        try numbers(schema, keywords, &shape)
        shape.minLength = max(shape.minLength, try count("minLength", schema, keywords) ?? 0)
        shape.minItems = max(shape.minItems, try count("minItems", schema, keywords) ?? 0)
        shape.minProperties = max(
            shape.minProperties, try count("minProperties", schema, keywords) ?? 0)
        shape.maxLength = smaller(shape.maxLength, try count("maxLength", schema, keywords))
        shape.maxItems = smaller(shape.maxItems, try count("maxItems", schema, keywords))
        shape.maxProperties = smaller(
            shape.maxProperties, try count("maxProperties", schema, keywords))
        for key in ["pattern", "format"] {
            guard let value = keywords[key] else { continue }
            guard let text = value.string else {
                throw fault(schema, "\(key): \(value.kind)", "a string")
            }
            if key == "pattern", !shape.patterns.contains(text) { shape.patterns.append(text) }
            if key == "format", !shape.formats.contains(text) { shape.formats.append(text) }
        }
        try arrays(schema, keywords, &shape)
        try objects(schema, keywords, &shape)
    }

    private func restrict(_ shape: inout SchemaShape, to values: [JSONCursor]) {
        if let old = shape.values {
            shape.values = old.filter { value in values.contains { isEqual($0, value) } }
        } else {
            shape.values = values
        }
    }

    func types(
        _ value: JSONCursor, _ schema: SchemaReference
    ) throws(ConstraintError) -> SchemaTypes {
        var names = [value]
        if let elements = value.array { names = Array(elements) }
        var types: SchemaTypes = []
        for name in names {
            guard let text = name.string, let type = SchemaTypes(name: text) else {
                throw fault(
                    schema, "type \(name.string.map { "'\($0)'" } ?? "\(name.kind)")",
                    "null, boolean, integer, number, string, array, object")
            }
            types.formUnion(type)
        }
        return types
    }

    private func count(
        _ key: String, _ schema: SchemaReference, _ keywords: [String: JSONCursor]
    ) throws(ConstraintError) -> Int? {
        guard let value = keywords[key] else { return nil }
        guard let count = value.int, count >= 0 else {
            throw fault(schema, "\(key): \(value.kind)", "a whole number of 64 bits, not negative")
        }
        return count
    }

    private func smaller(_ a: Int?, _ b: Int?) -> Int? {
        guard let a, let b else { return a ?? b }
        return min(a, b)
    }

    private func numbers(
        _ schema: SchemaReference, _ keywords: [String: JSONCursor], _ shape: inout SchemaShape
    ) throws(ConstraintError) {
        for key in ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"] {
            guard let value = keywords[key] else { continue }
            // Until draft 4 the exclusive keywords were booleans beside the others.
            if value.bool == false, key.hasPrefix("exclusive") { continue }
            guard let number = DecimalNumber(value) else {
                throw fault(schema, "\(key): \(value.kind)", "a number below 1e40")
            }
            let bound = NumberBound(value: number, isExclusive: key.hasPrefix("exclusive"))
            if key.hasSuffix("inimum") {
                if let old = shape.minimum, !isTighter(bound, than: old, isMinimum: true) {
                    continue
                }
                shape.minimum = bound
            } else {
                if let old = shape.maximum, !isTighter(bound, than: old, isMinimum: false) {
                    continue
                }
                shape.maximum = bound
            }
        }
        if let divisor = keywords["multipleOf"] { shape.divisors.append(divisor) }
    }

    private func isTighter(_ a: NumberBound, than b: NumberBound, isMinimum: Bool) -> Bool {
        if DecimalNumber.isLess(a.value, b.value) { return !isMinimum }
        if DecimalNumber.isLess(b.value, a.value) { return isMinimum }
        return a.isExclusive
    }

    private func arrays(
        _ schema: SchemaReference, _ keywords: [String: JSONCursor], _ shape: inout SchemaShape
    ) throws(ConstraintError) {
        var part = SchemaShape.Items()
        var isPart = false
        if let prefix = keywords["prefixItems"] {
            part.prefix = try list(prefix, "prefixItems", schema)
            isPart = true
        }
        if let items = keywords["items"] {
            isPart = true
            if items.kind == .array {
                // Until draft 2019-09 a list of items was what prefixItems is now.
                part.prefix = items.count == 0 ? [] : try list(items, "items", schema)
                if let rest = keywords["additionalItems"] {
                    part.rest = schema.member("additionalItems", rest)
                }
            } else {
                part.rest = schema.member("items", items)
            }
        }
        if isPart { shape.items.append(part) }
    }

    private func objects(
        _ schema: SchemaReference, _ keywords: [String: JSONCursor], _ shape: inout SchemaShape
    ) throws(ConstraintError) {
        if let required = keywords["required"] {
            guard let names = required.array else {
                throw fault(schema, "required: \(required.kind)", "an array of strings")
            }
            var known = Set(shape.required)
            for name in names {
                guard let text = name.string else {
                    throw fault(schema, "required: [\(name.kind)]", "an array of strings")
                }
                if known.insert(text).inserted { shape.required.append(text) }
            }
        }
        var members = SchemaShape.Members()
        var isPart = false
        if let properties = keywords["properties"] {
            guard let entries = properties.entries else {
                throw fault(schema, "properties: \(properties.kind)", "an object")
            }
            isPart = true
            let parent = schema.member("properties", properties)
            var places: [String: Int] = [:]
            for (name, value) in entries {
                if let place = places[name] {
                    members.properties[place].schema = parent.member(name, value)
                } else {
                    places[name] = members.properties.count
                    members.properties.append((name, parent.member(name, value)))
                }
            }
        }
        if let patterns = keywords["patternProperties"] {
            guard let entries = patterns.entries else {
                throw fault(schema, "patternProperties: \(patterns.kind)", "an object")
            }
            isPart = true
            let parent = schema.member("patternProperties", patterns)
            members.patterns = entries.map { ($0.key, parent.member($0.key, $0.value)) }
        }
        if let additional = keywords["additionalProperties"] {
            isPart = true
            members.additional = schema.member("additionalProperties", additional)
        }
        if isPart { shape.members.append(members) }
    }
}

/// Whether two values of JSON are equal; 1 and 1.0 are.
func isEqual(_ a: JSONCursor, _ b: JSONCursor) -> Bool {
    guard a.kind == b.kind else { return false }
    switch a.kind {
    case .null: return true
    case .bool: return a.bool == b.bool
    case .number: return a.double == b.double && a.int == b.int
    case .string: return a.string == b.string
    case .array:
        guard a.count == b.count, let left = a.array, let right = b.array else { return false }
        return zip(left, right).allSatisfy { isEqual($0, $1) }
    case .object:
        guard a.count == b.count, let entries = a.entries else { return false }
        return entries.allSatisfy { key, value in b[key].map { isEqual(value, $0) } ?? false }
    }
}
