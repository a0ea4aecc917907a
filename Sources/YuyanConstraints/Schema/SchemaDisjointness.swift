import YuyanFormats

/// Shows that the branches of a `oneOf` exclude each other, so that it means the same as `anyOf`.
struct SchemaDisjointness {
    let reader: SchemaReader

    /// More branches would take too long to compare in pairs.
    private static let branchLimit = 200

    /// - Throws: `.schema` if two branches may hold for the same value.
    func check(
        _ branches: [SchemaReference], _ schema: SchemaReference
    ) throws(ConstraintError) {
        guard branches.count <= Self.branchLimit else {
            throw .tooLarge(
                place: "JSON schema at \(schema.pointer)", what: "branches of oneOf",
                limit: Self.branchLimit)
        }
        let followed = try branches.map { branch throws(ConstraintError) in
            try follow(branch)
        }
        for right in followed.indices {
            for left in 0..<right where !(try isDisjoint(followed[left], followed[right])) {
                throw reader.fault(
                    schema, "oneOf whose branches \(left) and \(right) may both hold",
                    "anyOf, or branches with different types or constants")
            }
        }
    }

    private func follow(_ schema: SchemaReference) throws(ConstraintError) -> SchemaReference {
        var schema = schema
        for _ in 0..<reader.limits.depth {
            guard let target = schema.cursor["$ref"], schema.cursor.count == 1 else { break }
            schema = try reader.resolve(target, schema)
        }
        return schema
    }

    private func isDisjoint(
        _ a: SchemaReference, _ b: SchemaReference
    ) throws(ConstraintError) -> Bool {
        if a.cursor.bool == false || b.cursor.bool == false { return true }
        if try types(a).isDisjoint(with: types(b)) { return true }
        if let left = values(a), let right = values(b) {
            return !left.contains { value in right.contains { isEqual($0, value) } }
        }
        guard try types(a).intersection(types(b)) == .object else { return false }
        return try areObjectsDisjoint(a, b)
    }

    private func areObjectsDisjoint(
        _ a: SchemaReference, _ b: SchemaReference
    ) throws(ConstraintError) -> Bool {
        for (one, other) in [(a, b), (b, a)] {
            guard let required = one.cursor["required"]?.array else { continue }
            for name in required.compactMap(\.string) {
                let mine = one.cursor["properties"]?[name]
                let theirs = other.cursor["properties"]?[name]
                if theirs == nil {
                    let isClosed = other.cursor["additionalProperties"]?.bool == false
                    if isClosed, other.cursor["patternProperties"] == nil { return true }
                } else if let mine, let theirs {
                    let left = one.member(name, mine)
                    let right = other.member(name, theirs)
                    if try types(left).isDisjoint(with: types(right)) { return true }
                    if let mine = values(left), let theirs = values(right),
                        !mine.contains(where: { value in
                            theirs.contains { isEqual($0, value) }
                        })
                    {
                        return true
                    }
                }
            }
        }
        return false
    }

    private func types(_ schema: SchemaReference) throws(ConstraintError) -> SchemaTypes {
        if let types = schema.cursor["type"] {
            var found = try reader.types(types, schema)
            if schema.cursor["nullable"]?.bool == true { found.formUnion(.null) }
            return found
        }
        guard let values = values(schema) else { return .all }
        return values.reduce(into: []) { $0.formUnion(SchemaTypes(of: $1)) }
    }

    private func values(_ schema: SchemaReference) -> [JSONCursor]? {
        if let value = schema.cursor["const"] { return [value] }
        return schema.cursor["enum"]?.array.map { Array($0) }
    }
}
