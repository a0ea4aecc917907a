extension JSONCursor {
    /// The value of a key of an object.
    ///
    /// - Throws: `.wrongType` if this is no object, `.missingKey` with the nearest keys.
    public func value(_ key: String) throws(FormatError) -> JSONCursor {
        if let value = self[key] { return value }
        guard let entries else {
            throw .wrongType(
                file: tape.file.path, key: "the parent of \(key)", found: "\(kind)",
                expected: "object")
        }
        throw .missingKey(
            key: key, file: tape.file.path,
            nearest: nearestNames(to: key, in: entries.lazy.map(\.key)))
    }

    /// The text of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func string(_ key: String) throws(FormatError) -> String {
        let value = try value(key)
        return try value.typed(key, value.string, "string")
    }

    /// The whole number of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func int(_ key: String) throws(FormatError) -> Int {
        let value = try value(key)
        return try value.typed(key, value.int, "whole number")
    }

    /// The number of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func double(_ key: String) throws(FormatError) -> Double {
        let value = try value(key)
        return try value.typed(key, value.double, "finite number")
    }

    /// The truth value of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func bool(_ key: String) throws(FormatError) -> Bool {
        let value = try value(key)
        return try value.typed(key, value.bool, "bool")
    }

    /// The elements of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func array(_ key: String) throws(FormatError) -> JSONElements {
        let value = try value(key)
        return try value.typed(key, value.array, "array")
    }

    /// The object of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func object(_ key: String) throws(FormatError) -> JSONCursor {
        let value = try value(key)
        return try value.typed(key, value.kind == .object ? value : nil, "object")
    }

    /// The text of a key, or `nil` if the key is absent or `null`.
    ///
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalString(_ key: String) throws(FormatError) -> String? {
        guard let value = present(key) else { return nil }
        return try value.typed(key, value.string, "string")
    }

    /// The whole number of a key, or `nil` if the key is absent or `null`.
    ///
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalInt(_ key: String) throws(FormatError) -> Int? {
        guard let value = present(key) else { return nil }
        return try value.typed(key, value.int, "whole number")
    }

    /// The number of a key, or `nil` if the key is absent or `null`.
    ///
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalDouble(_ key: String) throws(FormatError) -> Double? {
        guard let value = present(key) else { return nil }
        return try value.typed(key, value.double, "finite number")
    }

    /// The truth value of a key, or `nil` if the key is absent or `null`.
    ///
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalBool(_ key: String) throws(FormatError) -> Bool? {
        guard let value = present(key) else { return nil }
        return try value.typed(key, value.bool, "bool")
    }

    // Configuration files write null for "not set".
    private func present(_ key: String) -> JSONCursor? {
        self[key].flatMap { $0.isNull ? nil : $0 }
    }

    private func typed<Value>(
        _ key: String, _ value: Value?, _ expected: String
    ) throws(FormatError) -> Value {
        guard let value else {
            let found = kind == .number ? "the number \(sourceText)" : "\(kind)"
            throw .wrongType(file: tape.file.path, key: key, found: found, expected: expected)
        }
        return value
    }

    /// The number as it was written.
    var sourceText: String {
        tape.withText { $0.text(in: tape.nodes[index].textRange) } ?? ""
    }
}
