extension GGUFFile {
    /// The text of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func string(_ key: String) throws(FormatError) -> String {
        try required(key, try optionalString(key))
    }

    /// The whole number of a key, whatever its width in the file.
    ///
    /// - Throws: `.missingKey` with the nearest keys, `.wrongType`, or `.overflow`.
    public func int(_ key: String) throws(FormatError) -> Int {
        try required(key, try optionalInt(key))
    }

    /// The number of a key; whole numbers count too.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func double(_ key: String) throws(FormatError) -> Double {
        try required(key, try optionalDouble(key))
    }

    /// The truth value of a key.
    ///
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func bool(_ key: String) throws(FormatError) -> Bool {
        try required(key, try optionalBool(key))
    }

    /// The array of a key, with elements of one of the given types.
    ///
    /// - Parameters:
    ///   - key: The metadata key.
    ///   - types: The element types that the caller can decode; by default any.
    /// - Throws: `.missingKey` with the nearest keys, or `.wrongType`.
    public func array(
        _ key: String, of types: GGUFValueType...
    ) throws(FormatError) -> GGUFArray {
        try required(key, try array(key, among: types))
    }

    /// The text of a key, or `nil` if the key is absent.
    ///
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalString(_ key: String) throws(FormatError) -> String? {
        guard let value = self[key] else { return nil }
        guard case .string(let text) = value else { throw wrongType(key, value, "a string") }
        return text
    }

    /// The whole number of a key, or `nil` if the key is absent.
    ///
    /// - Throws: `.wrongType` if the value is something else, `.overflow` if it is too large.
    public func optionalInt(_ key: String) throws(FormatError) -> Int? {
        guard let value = self[key] else { return nil }
        let number: Int? =
            switch value {
            case .unsigned(let number): Int(exactly: number)
            case .signed(let number): Int(exactly: number)
            default: throw wrongType(key, value, "an integer")
            }
        guard let number else { throw .overflow(file: file.path, what: "'\(key)'") }
        return number
    }

    /// The number of a key, or `nil` if the key is absent.
    ///
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalDouble(_ key: String) throws(FormatError) -> Double? {
        guard let value = self[key] else { return nil }
        switch value {
        case .float(let number): return number
        case .unsigned(let number): return Double(number)
        case .signed(let number): return Double(number)
        default: throw wrongType(key, value, "a number")
        }
    }

    /// The truth value of a key, or `nil` if the key is absent.
    ///
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalBool(_ key: String) throws(FormatError) -> Bool? {
        guard let value = self[key] else { return nil }
        guard case .bool(let flag) = value else { throw wrongType(key, value, "a bool") }
        return flag
    }

    /// The array of a key, or `nil` if the key is absent.
    ///
    /// - Parameters:
    ///   - key: The metadata key.
    ///   - types: The element types that the caller can decode; by default any.
    /// - Throws: `.wrongType` if the value is something else.
    public func optionalArray(
        _ key: String, of types: GGUFValueType...
    ) throws(FormatError) -> GGUFArray? {
        try array(key, among: types)
    }

    private func array(
        _ key: String, among types: [GGUFValueType]
    ) throws(FormatError) -> GGUFArray? {
        guard let value = self[key] else { return nil }
        guard case .array(let array) = value,
            types.isEmpty || types.contains(array.elementType)
        else {
            let names = types.map { "\($0)" }.joined(separator: " or ")
            throw wrongType(key, value, types.isEmpty ? "an array" : "an array of \(names)")
        }
        return array
    }

    private func required<Value>(_ key: String, _ value: Value?) throws(FormatError) -> Value {
        guard let value else {
            throw .missingKey(key: key, file: file.path, nearest: nearestNames(to: key, in: keys))
        }
        return value
    }

    private func wrongType(_ key: String, _ value: GGUFValue, _ expected: String) -> FormatError {
        .wrongType(file: file.path, key: key, found: value.kind, expected: expected)
    }
}
