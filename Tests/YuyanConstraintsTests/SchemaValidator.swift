import YuyanFormats

@testable import YuyanConstraints

/// Checks values against schemas by the keywords themselves, without automata.
///
/// Leaves out `pattern` and `format`, which have tests of their own.
struct SchemaValidator {
    let root: JSONCursor

    func isValid(_ value: JSONCursor) -> Bool { isValid(value, root) }

    private func isValid(_ value: JSONCursor, _ schema: JSONCursor) -> Bool {
        if let allowed = schema.bool { return allowed }
        if let reference = schema["$ref"]?.string {
            var target = root
            for part in reference.split(separator: "/").dropFirst() {
                guard let next = target[String(part)] else { return false }
                target = next
            }
            guard isValid(value, target) else { return false }
        }
        if let types = schema["type"] {
            let names = types.array?.compactMap(\.string) ?? [types.string ?? ""]
            guard names.contains(where: { isOf($0, value) }) else { return false }
        }
        if let values = schema["enum"]?.array {
            guard values.contains(where: { isEqual($0, value) }) else { return false }
        }
        if let constant = schema["const"], !isEqual(constant, value) { return false }
        if let parts = schema["allOf"]?.array, !parts.allSatisfy({ isValid(value, $0) }) {
            return false
        }
        if let parts = schema["anyOf"]?.array, !parts.contains(where: { isValid(value, $0) }) {
            return false
        }
        if let parts = schema["oneOf"]?.array, parts.filter({ isValid(value, $0) }).count != 1 {
            return false
        }
        switch value.kind {
        case .number: return isNumber(value, schema)
        case .string:
            let count = value.string?.unicodeScalars.count ?? 0
            return count >= schema["minLength"]?.int ?? 0
                && count <= schema["maxLength"]?.int ?? count
        case .array: return isArray(value, schema)
        case .object: return isObject(value, schema)
        case .null, .bool: return true
        }
    }

    private func isOf(_ type: String, _ value: JSONCursor) -> Bool {
        switch (type, value.kind) {
        case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array),
            ("object", .object), ("number", .number):
            true
        case ("integer", .number): value.double.map { $0 == $0.rounded() } ?? false
        default: false
        }
    }

    private func isNumber(_ value: JSONCursor, _ schema: JSONCursor) -> Bool {
        guard let number = value.double else { return false }
        if let bound = schema["minimum"]?.double, number < bound { return false }
        if let bound = schema["maximum"]?.double, number > bound { return false }
        if let bound = schema["exclusiveMinimum"]?.double, number <= bound { return false }
        if let bound = schema["exclusiveMaximum"]?.double, number >= bound { return false }
        if let divisor = schema["multipleOf"]?.int {
            if let int = value.int { return int % divisor == 0 }
            return number.truncatingRemainder(dividingBy: Double(divisor)) == 0
        }
        return true
    }

    private func isArray(_ value: JSONCursor, _ schema: JSONCursor) -> Bool {
        guard value.count >= schema["minItems"]?.int ?? 0,
            value.count <= schema["maxItems"]?.int ?? Int.max, let elements = value.array
        else { return false }
        let prefix = schema["prefixItems"]?.array.map { Array($0) } ?? []
        for (index, element) in elements.enumerated() {
            if index < prefix.count {
                guard isValid(element, prefix[index]) else { return false }
            } else if let rest = schema["items"], !isValid(element, rest) {
                return false
            }
        }
        return true
    }

    private func isObject(_ value: JSONCursor, _ schema: JSONCursor) -> Bool {
        for name in schema["required"]?.array?.compactMap(\.string) ?? [] {
            guard value[name] != nil else { return false }
        }
        for (name, member) in value.entries ?? [] {
            if let property = schema["properties"]?[name] {
                guard isValid(member, property) else { return false }
            } else if let others = schema["additionalProperties"], !isValid(member, others) {
                return false
            }
        }
        return true
    }
}
