public import YuyanFormats

/// Judges finished documents by a schema that answers could be held to.
///
/// Reads schemas as masks do and refuses the same ones, but judges values, not texts: properties may
/// come in any order, white space and escapes do not matter, and properties that the schema does not
/// name are allowed unless it forbids them. Strings and numbers go through the automata of their
/// schemas in canonical form.
public final class SchemaVerdict: Sendable {
    private let schema: JSONCursor
    private let limits: ConstraintLimits
    private let vocabulary = ConstraintVocabulary(
        tokens: (0..<256).map { [UInt8($0)] } + [nil], endTokens: [256])

    /// Judgements of one document before it is given up.
    fileprivate static let mostSteps = 200_000

    /// - Throws: ``ConstraintError`` if the schema is wrong, or says what masks cannot enforce.
    public init(
        _ schema: JSONCursor, limits: ConstraintLimits = ConstraintLimits()
    ) throws(ConstraintError) {
        self.schema = schema
        self.limits = limits
        _ = try CompiledConstraint(.jsonSchema(schema), vocabulary: vocabulary, limits: limits)
    }

    /// Whether a value is valid.
    ///
    /// - Throws: `.tooLarge` if the judgement takes too much work.
    public func allows(_ value: JSONCursor) throws(ConstraintError) -> Bool {
        var judge = Judge(
            reader: SchemaReader(root: schema, limits: limits), limits: limits,
            vocabulary: vocabulary, stepsLeft: Self.mostSteps)
        return try judge.allows(value, [SchemaReference(cursor: schema, pointer: "#")])
    }
}

/// One judgement; remembers what schemas were read into.
private struct Judge {
    let reader: SchemaReader
    let limits: ConstraintLimits
    let vocabulary: ConstraintVocabulary
    var stepsLeft: Int
    private var shapes: [String: [SchemaShape]] = [:]
    private var scalars: [String: CompiledConstraint] = [:]

    init(
        reader: SchemaReader, limits: ConstraintLimits, vocabulary: ConstraintVocabulary,
        stepsLeft: Int
    ) {
        self.reader = reader
        self.limits = limits
        self.vocabulary = vocabulary
        self.stepsLeft = stepsLeft
    }

    /// Whether a value satisfies all of some schemas.
    mutating func allows(
        _ value: JSONCursor, _ schemas: [SchemaReference]
    ) throws(ConstraintError) -> Bool {
        stepsLeft -= 1
        guard stepsLeft >= 0 else {
            throw .tooLarge(
                place: "document", what: "values to judge", limit: SchemaVerdict.mostSteps)
        }
        let schemas = schemas.filter { $0.cursor.bool != true }
        guard !schemas.isEmpty else { return true }
        let key = Set(schemas.map(\.pointer)).sorted().joined(separator: "\u{0}")
        let shapes: [SchemaShape]
        if let known = self.shapes[key] {
            shapes = known
        } else {
            shapes = try reader.shapes(schemas)
            self.shapes[key] = shapes
        }
        let type = SchemaTypes(of: value)
        for (index, shape) in shapes.enumerated() where !shape.types.isDisjoint(with: type) {
            let isAllowed: Bool
            switch value.kind {
            case .null, .bool: isAllowed = isAmong(shape.values, value)
            case .string, .number:
                isAllowed = try isScalar(value, shape, key: "\(key)\u{0}\u{0}\(index)")
            case .array: isAllowed = try isArray(value, shape)
            case .object: isAllowed = try isObject(value, shape)
            }
            if isAllowed { return true }
        }
        return false
    }

    private func isAmong(_ values: [JSONCursor]?, _ value: JSONCursor) -> Bool {
        values.map { $0.contains { isEqual($0, value) } } ?? true
    }

    /// Bounds by comparison, the rest by the automaton of the schema.
    private mutating func isScalar(
        _ value: JSONCursor, _ shape: SchemaShape, key: String
    ) throws(ConstraintError) -> Bool {
        var shape = shape
        if value.kind == .number, shape.values == nil {
            guard isWithin(value, shape) else { return false }
            shape.minimum = nil
            shape.maximum = nil
            if shape.divisors.isEmpty { return true }
            shape.types.formIntersection([.integer, .fraction])
        } else if value.kind == .string {
            shape.types.formIntersection(.string)
        }
        var text: [UInt8]?
        if let values = shape.values {
            // Constants stand in the automaton as the schema's own values are written.
            text = values.first { isEqual($0, value) }.map { SchemaCompiler.text(of: $0) }
        } else {
            text = Self.canonical(value)
        }
        guard let text else { return false }
        guard let constraint = try automaton(shape, key: "\(key) \(value.kind)") else {
            return false
        }
        stepsLeft -= text.count / 16
        var state = constraint.start()
        for byte in text {
            guard !state.isFinished, state.allows(Int32(byte)) else { return false }
            state.accept(Int32(byte))
        }
        return state.allows(256)
    }

    /// Nil if no scalar satisfies the shape.
    private mutating func automaton(
        _ shape: SchemaShape, key: String
    ) throws(ConstraintError) -> CompiledConstraint? {
        if let known = scalars[key] { return known }
        do throws(ConstraintError) {
            let constraint = try CompiledConstraint(
                scalar: shape, reader: reader, vocabulary: vocabulary, limits: limits)
            scalars[key] = constraint
            return constraint
        } catch .unsatisfiable {
            return nil
        }
    }

    private func isWithin(_ value: JSONCursor, _ shape: SchemaShape) -> Bool {
        guard shape.minimum != nil || shape.maximum != nil else { return true }
        return DecimalNumber(value).map(shape.bounds) ?? false
    }

    /// The way in which an automaton writes a scalar; nil for numbers that none can write.
    private static func canonical(_ value: JSONCursor) -> [UInt8]? {
        if let text = value.string { return SchemaCompiler.quoted(text) }
        guard let number = DecimalNumber(value) else { return nil }
        var text = number.isNegative && !number.isZero ? [UInt8(ascii: "-")] : []
        text += number.whole.isEmpty ? [0x30] : number.whole.map { $0 + 0x30 }
        if !number.fraction.isEmpty {
            text.append(UInt8(ascii: "."))
            text += number.fraction.map { $0 + 0x30 }
        }
        return text
    }

    private mutating func isArray(
        _ value: JSONCursor, _ shape: SchemaShape
    ) throws(ConstraintError) -> Bool {
        guard isAmong(shape.values, value), value.count >= shape.minItems,
            value.count <= shape.maxItems ?? Int.max, let elements = value.array
        else { return false }
        for (index, element) in elements.enumerated() {
            for part in shape.items {
                let schema = index < part.prefix.count ? part.prefix[index] : part.rest
                guard let schema else { continue }
                guard try allows(element, [schema]) else { return false }
            }
        }
        return true
    }

    private mutating func isObject(
        _ value: JSONCursor, _ shape: SchemaShape
    ) throws(ConstraintError) -> Bool {
        // Of equal keys the last counts.
        var members: [String: JSONCursor] = [:]
        for (key, member) in value.entries ?? [] { members[key] = member }
        guard isAmong(shape.values, value), members.count >= shape.minProperties,
            members.count <= shape.maxProperties ?? Int.max,
            shape.required.allSatisfy({ members[$0] != nil })
        else { return false }
        for part in shape.members {
            let schemas = Dictionary(part.properties.map { ($0.name, $0.schema) }) { $1 }
            for (key, member) in members.sorted(by: { $0.key < $1.key }) {
                var isKnown = false
                if let schema = schemas[key] {
                    isKnown = true
                    guard try allows(member, [schema]) else { return false }
                }
                for pattern in part.patterns {
                    guard try matches(key, pattern.pattern) else { continue }
                    isKnown = true
                    guard try allows(member, [pattern.schema]) else { return false }
                }
                if !isKnown, let additional = part.additional {
                    guard try allows(member, [additional]) else { return false }
                }
            }
        }
        return true
    }

    private mutating func matches(
        _ key: String, _ pattern: String
    ) throws(ConstraintError) -> Bool {
        var shape = SchemaShape()
        shape.types = .string
        shape.patterns = [pattern]
        let text = JSONOutput.array([.string(key)]).description
        guard let document = try? JSONDocument(bytes: Array(text.utf8), name: "key"),
            let value = document.root[0]
        else { return false }
        return try isScalar(value, shape, key: "pattern \(pattern)")
    }
}
