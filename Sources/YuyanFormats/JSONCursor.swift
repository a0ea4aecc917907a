/// One value of a JSON document.
public struct JSONCursor: Sendable {
    @usableFromInline let tape: JSONTape
    @usableFromInline let index: Int

    @inlinable
    init(tape: JSONTape, index: Int) {
        self.tape = tape
        self.index = index
    }

    @inlinable var node: JSONNode { tape.nodes[index] }

    /// The type of this value.
    @inlinable public var kind: JSONKind { node.kind }

    /// Whether this is `null`.
    public var isNull: Bool { node.tag == .null }

    /// The truth value, or `nil` if this is something else.
    public var bool: Bool? {
        switch node.tag {
        case .yes: true
        case .no: false
        default: nil
        }
    }

    /// The whole number, or `nil` if this is something else, has a fraction or does not fit.
    ///
    /// A number written as `1.0` or `1e3` counts as whole.
    public var int: Int? {
        let node = node
        switch node.tag {
        case .integer: return tape.withText { JSONNumber.integer($0, node.textRange) }
        case .real: return double.flatMap { Int(exactly: $0) }
        default: return nil
        }
    }

    /// The nearest double, or `nil` if this is no number or beyond the largest double.
    public var double: Double? {
        let node = node
        guard node.kind == .number else { return nil }
        return tape.withText { JSONNumber.double($0, node.textRange) }
    }

    /// Whether this is a number written without fraction and exponent.
    public var isInteger: Bool { node.tag == .integer }

    /// The text, or `nil` if this is something else.
    public var string: String? {
        var scratch: [UInt8] = []
        return withStringBytes(&scratch) { bytes in
            bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// Lends the UTF-8 bytes of the text, or returns `nil` if this is something else.
    ///
    /// - Parameters:
    ///   - scratch: Room for decoded escapes, to be reused between calls.
    ///   - body: Receives bytes that are valid until it returns.
    @inlinable
    public func withStringBytes<R, E: Error>(
        _ scratch: inout [UInt8], _ body: (RawSpan) throws(E) -> R
    ) throws(E) -> R? {
        let node = node
        guard node.kind == .string else { return nil }
        return try tape.withText { (text: RawSpan) throws(E) in
            try tape.withString(node, text, &scratch, body)
        }
    }

    /// The number of elements of an array or entries of an object; 0 for anything else.
    public var count: Int { node.isContainer ? node.count : 0 }

    /// The elements, or `nil` if this is no array.
    @inlinable public var array: JSONElements? {
        guard node.tag == .array else { return nil }
        return JSONElements(tape: tape, position: index + 1, left: node.count)
    }

    /// The value of a key, or `nil` if this is no object or has no such key.
    ///
    /// Takes time in proportion to the number of entries; walk large objects with `forEachEntry`.
    public subscript(key: String) -> JSONCursor? {
        guard node.tag == .object else { return nil }
        var key = key
        return key.withUTF8 { wanted in
            tape.withText { text in
                var scratch: [UInt8] = []
                var found: Int?
                var position = index + 1
                for _ in 0..<node.count {
                    let isEqual = tape.withString(tape.nodes[position], text, &scratch) { bytes in
                        guard bytes.byteCount == wanted.count else { return false }
                        return bytes.withUnsafeBytes { $0.elementsEqual(wanted) }
                    }
                    if isEqual { found = position + 1 }
                    position = tape.nodes[position + 1].next(after: position + 1)
                }
                return found.map { JSONCursor(tape: tape, index: $0) }
            }
        }
    }

    /// The element at a position, or `nil` if this is no array or has fewer.
    ///
    /// Takes time in proportion to the position.
    public subscript(position: Int) -> JSONCursor? {
        guard node.tag == .array, (0..<node.count).contains(position) else { return nil }
        var next = index + 1
        for _ in 0..<position { next = tape.nodes[next].next(after: next) }
        return JSONCursor(tape: tape, index: next)
    }

    /// Calls `body` with the UTF-8 bytes of each key and its value, in the order of the text.
    ///
    /// - Precondition: This is an object.
    @inlinable
    public func forEachEntry<E: Error>(
        _ body: (_ key: RawSpan, _ value: JSONCursor) throws(E) -> Void
    ) throws(E) {
        precondition(kind == .object, "\(tape.file.path): \(kind) has no entries")
        try tape.withText { (text: RawSpan) throws(E) in
            var scratch: [UInt8] = []
            var position = index + 1
            for _ in 0..<node.count {
                let value = JSONCursor(tape: tape, index: position + 1)
                try tape.withString(tape.nodes[position], text, &scratch) {
                    (key: RawSpan) throws(E) in
                    try body(key, value)
                }
                position = tape.nodes[position + 1].next(after: position + 1)
            }
        }
    }

    /// Keys and values in the order of the text, or `nil` if this is no object.
    public var entries: [(key: String, value: JSONCursor)]? {
        guard node.tag == .object else { return nil }
        var result: [(key: String, value: JSONCursor)] = []
        forEachEntry { key, value in
            let name = key.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
            result.append((name, value))
        }
        return result
    }
}

/// The elements of a JSON array, in order.
public struct JSONElements: Sequence, IteratorProtocol, Sendable {
    @usableFromInline let tape: JSONTape
    @usableFromInline var position: Int
    @usableFromInline var left: Int

    @inlinable
    init(tape: JSONTape, position: Int, left: Int) {
        self.tape = tape
        self.position = position
        self.left = left
    }

    /// The number of elements not yet returned.
    public var count: Int { left }

    /// The number of elements not yet returned, which lets `map` allocate once.
    public var underestimatedCount: Int { left }

    /// The next element, or `nil` after the last.
    @inlinable
    public mutating func next() -> JSONCursor? {
        guard left > 0 else { return nil }
        left -= 1
        let index = position
        position = tape.nodes[index].next(after: index)
        return JSONCursor(tape: tape, index: index)
    }
}
